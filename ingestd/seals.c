#include "ingestd/seals.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/file.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

/* ingestd */
#include "ingestd/flow.h"

struct seals {
	struct desk *desk;
	struct pipe *seals, *receipts;
	struct peer commitd;
	bool hello_due;
	ev_io can_send, can_receive;
	struct log_limit bad;
	unsigned hellos; /* that came while the answer to the one before was still to be sent */
};

static int send_or_wait(struct seals *s, const struct message *m)
{
	int r = pipe_send(s->seals, m);
	if (r == -EAGAIN)
		ev_io_start(s->desk->loop, &s->can_send);
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

static int send_seal(struct seals *s, struct task *t)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m;

	seal_of(t->in, digest, &m);
	int r = send_or_wait(s, &m);
	if (r == 0)
		t->seal_due = false;
	return r;
}

void seals_flush(struct seals *s)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = s->commitd.self, .peer = s->commitd.other};

	if (s->hello_due && send_or_wait(s, &hello) < 0)
		return;
	s->hello_due = false;
	for (size_t i = 0; i < s->desk->tasks.len; i++) {
		struct task *t = s->desk->tasks.by_ref[i];
		if (t->seal_due && send_seal(s, t) < 0)
			return;
	}
	ev_io_stop(s->desk->loop, &s->can_send);
}

/* A commitd that says HELLO has no seal of ours, or cannot know that it has: all go again. It joins doubles itself. */
static void on_hello(struct seals *s, const struct message *m)
{
	struct tasks *ts = &s->desk->tasks;

	if (peer_hello(&s->commitd, m->incarnation, m->peer))
		log_info("commitd is there (%016" PRIx64 ")", m->incarnation);
	s->hellos = s->hello_due ? s->hellos + 1 : 0;
	if (s->hellos > 0 && s->hellos % PIPE_RENEW_HELLOS == 0)
		(void)pipe_renew(s->seals); /* it speaks, and our answer does not go out */
	s->hello_due = true;
	for (size_t i = 0; i < ts->len; i++) {
		struct task *t = ts->by_ref[i];
		if (t->state == TRANSFER_SEALED && !t->syncing && t->in->record.has_sealed)
			t->seal_due = true;
	}
	seals_flush(s);
}

static void refuse(struct seals *s, const char *what)
{
	uint64_t held_back;

	count_add(COUNT_REFUSED_RECEIPTS, 1);
	if (log_limit_pass(&s->bad, &held_back))
		log_warning("refused a message on 'receipts': %s (%" PRIu64 " more before)", what, held_back);
}

/*
 * A receipt counts for the ingest that is sealed under that digest now; anything else is an old one. The ingest is
 * about to be removed for it, so the blob has to be there.
 */
static void on_receipt(struct seals *s, const struct message *m)
{
	char sealed[DIGEST_TEXT_SIZE];
	uint64_t size;
	struct task *t = tasks_find(&s->desk->tasks, m->ref);

	if (!t || t->state != TRANSFER_SEALED || t->syncing || !t->in->record.has_sealed)
		return;
	digest_format(&t->in->record.sealed, sealed);
	if (!span_eq(m->digest, span_str(sealed)))
		return;
	if (m->type == MSG_REJECTED) {
		flow_rejected(s->desk, t, m);
	} else if (layout_blob_size(s->desk->home.layout, &t->in->record.sealed, &size) == 0) {
		flow_committed(s->desk, t, m);
	} else {
		refuse(s, "it says that something is stored which is not");
		t->seal_due = true;
		seals_flush(s);
	}
}

void seals_count(const struct seals *s)
{
	count_set(COUNT_INGESTD_SAW_COMMITD, s->commitd.restarts);
	count_set(COUNT_PEERS_RECEIPTS, pipe_peers(s->receipts));
}

static void on_receipts(struct ev_loop *loop, ev_io *w, int events)
{
	struct seals *s = w->data;
	struct message m;
	enum decode_verdict verdict;
	int r = 0;

	(void)loop;
	(void)events;
	while (!s->desk->stopping && (r = pipe_receive(s->receipts, &m, &verdict)) != -EAGAIN) {
		if (r == -EBADMSG)
			refuse(s, decode_verdict_text(verdict));
		else if (r < 0)
			log_errno(r, "cannot receive from commitd");
		else if (m.type == MSG_HELLO)
			on_hello(s, &m);
		else if (m.type == MSG_COMMITTED || m.type == MSG_REJECTED)
			on_receipt(s, &m);
		else
			refuse(s, "it is not one of commitd's");
	}
	desk_schedule(s->desk);
	if (s->desk->stopping)
		ev_io_stop(s->desk->loop, &s->can_receive);
}

static void on_can_send(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	seals_flush(w->data);
}

int seals_new(struct desk *desk, struct seals **ret_seals)
{
	struct seals *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->desk = desk;
	int r = peer_init(&s->commitd);
	if (r == 0)
		r = pipe_open(desk->settings->runtime_dir, PIPE_SEALS, PIPE_PUSH, &s->seals);
	if (r == 0)
		r = pipe_open(desk->settings->runtime_dir, PIPE_RECEIPTS, PIPE_PULL, &s->receipts);
	if (r < 0) {
		seals_free(s);
		return r;
	}
	ev_io_init(&s->can_send, on_can_send, pipe_send_fd(s->seals), EV_READ);
	ev_io_init(&s->can_receive, on_receipts, pipe_receive_fd(s->receipts), EV_READ);
	s->can_send.data = s->can_receive.data = s;
	ev_io_start(desk->loop, &s->can_receive);
	s->hello_due = true; /* the first thing that goes out */
	ev_io_start(desk->loop, &s->can_send);
	*ret_seals = s;
	return 0;
}

void seals_free(struct seals *s)
{
	if (!s)
		return;
	if (s->receipts) {
		ev_io_stop(s->desk->loop, &s->can_send);
		ev_io_stop(s->desk->loop, &s->can_receive);
	}
	pipe_close(s->seals);
	pipe_close(s->receipts);
	free(s);
}
