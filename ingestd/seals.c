#include "ingestd/seals.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/loop.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

struct seals {
	struct transfers *transfers;
	struct pipe *pipe;
	struct peer commitd;
	bool hello_due;
	unsigned hellos; /* that came while the answer to the one before was still to be sent */
	struct loop_io can_send;
};

static int send_or_wait(struct seals *s, const struct message *m)
{
	int r = pipe_send(s->pipe, m);

	if (r == -EAGAIN)
		loop_io_watch(&s->can_send, pipe_send_fd(s->pipe), LOOP_READ);
	else if (r < 0)
		log_errno(r, "cannot send %s to commitd", message_name(m->type));
	return r;
}

void seal_of(const struct ingest *in, char digest_text[static DIGEST_TEXT_SIZE], struct message *ret_seal)
{
	struct stat st = {0};

	if (!in->is_moved && fstat(in->data_fd, &st) < 0)
		st = (struct stat){0}; /* then commitd does not find what was sealed, and we seal again */
	digest_format(&in->record.sealed, digest_text);
	*ret_seal = (struct message){
	    .type = MSG_SEALED,
	    .ref = span_str(in->record.ref),
	    .digest = span_str(digest_text),
	    .size = in->record.size,
	    .provenance = in->provenance,
	    .ino = (uint64_t)st.st_ino,
	    .mtime_ns = file_mtime_ns(&st),
	};
}

static int send_seal(struct seals *s, struct transfer *t)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m;

	seal_of(t->in, digest, &m);
	int r = send_or_wait(s, &m);
	if (r == 0)
		transfer_enter(t, PHASE_SEAL_SENT);
	return r;
}

void seals_flush(struct seals *s)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = s->commitd.self, .peer = s->commitd.other};

	if (s->hello_due && send_or_wait(s, &hello) < 0)
		return;
	s->hello_due = false;
	for (size_t i = 0; i < s->transfers->len; i++) {
		struct transfer *t = s->transfers->by_ref[i];
		if (t->phase == PHASE_SEAL_DUE && send_seal(s, t) < 0)
			return;
	}
	loop_io_stop(&s->can_send);
}

void seals_greet(struct seals *s, uint64_t incarnation, uint64_t named)
{
	if (peer_hello(&s->commitd, incarnation, named))
		log_info("commitd said hello (%016" PRIx64 ")", incarnation);
	s->hellos = s->hello_due ? s->hellos + 1 : 0;
	if (s->hellos > 0 && s->hellos % PIPE_RENEW_HELLOS == 0)
		(void)pipe_renew(s->pipe); /* it speaks, and our answer does not go out */
	s->hello_due = true;
	for (size_t i = 0; i < s->transfers->len; i++)
		if (s->transfers->by_ref[i]->phase == PHASE_SEAL_SENT)
			transfer_enter(s->transfers->by_ref[i], PHASE_SEAL_DUE);
	seals_flush(s);
}

void seals_count(const struct seals *s)
{
	count_set(COUNT_INGESTD_SAW_COMMITD, s->commitd.restarts);
}

static void on_can_send(void *self, unsigned events)
{
	(void)events;
	seals_flush(self);
}

int seals_new(struct loop *loop, const char *runtime_dir, struct transfers *transfers, struct seals **ret_seals)
{
	struct seals *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->transfers = transfers;
	int r = peer_init(&s->commitd);
	if (r == 0)
		r = pipe_open(runtime_dir, PIPE_SEALS, PIPE_PUSH, &s->pipe);
	if (r < 0) {
		free(s);
		return r;
	}
	loop_io_init(&s->can_send, loop, on_can_send, s);
	s->hello_due = true; /* the first thing that goes out */
	loop_io_watch(&s->can_send, pipe_send_fd(s->pipe), LOOP_READ);
	*ret_seals = s;
	return 0;
}

void seals_free(struct seals *s)
{
	if (!s)
		return;
	loop_io_stop(&s->can_send);
	pipe_close(s->pipe);
	free(s);
}
