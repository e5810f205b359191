#include "ingestd/control.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/hasher.h"
#include "common/base/log.h"
#include "common/base/loop.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

/* ingestd */
#include "ingestd/queue.h"

struct control {
	struct control_env env;
	struct pipe *pipe;
	struct loop_io can_receive;
	struct log_limit bad;
};

/* What an answer's views look into, besides the request and the transfer. */
struct answer {
	struct message m;
	struct transfer_texts texts;
	struct reason why;
	uint8_t counts[COUNTS_MAX];
	char boot[BOOT_TEXT_MAX + 1];
};

static void answer_error(struct answer *a, enum fail_class class)
{
	a->m = (struct message){.type = MSG_ERROR, .fail_class = (uint8_t) class, .text = span_str(a->why.text)};
}

static void answer_transfer(struct answer *a, struct transfer *t)
{
	if (t) {
		transfer_tell(t, &a->texts, &a->m);
		return;
	}
	reason_set(&a->why, "no such transfer");
	answer_error(a, FAIL_NOT_FOUND);
}

static void on_get(struct control *c, const struct message *request, struct answer *a)
{
	struct transfer *t;
	uint64_t size;
	enum fail_class class;

	reason_set(&a->why, "out of memory");
	if (queue_get(c->env.flow, request, &t, &size, &class, &a->why) < 0)
		answer_error(a, class);
	else if (t)
		answer_transfer(a, t);
	else
		a->m = (struct message){
		    .type = MSG_RECORD,
		    .ref = request->ref,
		    .state = TRANSFER_COMMITTED,
		    .offset = size,
		    .size = size,
		    .digest = request->expected,
		};
}

/* The next transfer that is one: what is committed already is remembered only for those who request it by ref. */
static struct transfer *next_of(const struct transfers *ts, struct span ref)
{
	struct transfer *t = transfers_after(ts, ref);

	while (t && t->phase == PHASE_COMMITTED)
		t = transfers_after(ts, span_str(t->ref));
	return t;
}

/* What somebody else holds, or what is being committed, is over soon. */
static void answer_errno(struct answer *a, const char *verb, int r, const struct reason *why)
{
	reason_set(&a->why, "cannot %s it: %s", verb, why->text);
	answer_error(a, r == -EWOULDBLOCK || r == -EBUSY ? FAIL_AGAIN : FAIL_IO);
}

static void on_abort(struct control *c, const struct message *request, struct answer *a)
{
	struct reason why = {"out of memory"};
	int r = queue_abort(c->env.flow, request->ref, &why);

	if (r == 0 || r == -ENOENT)
		a->m = (struct message){.type = MSG_OK};
	else
		answer_errno(a, "abort", r, &why);
}

static void on_reset(struct control *c, const struct message *request, struct answer *a)
{
	struct reason why = {"out of memory"};
	int r = queue_reset(c->env.flow, request->ref, &why);

	if (r == 0 || r == -ENOENT)
		answer_transfer(a, r == 0 ? transfers_find(c->env.flow->transfers, request->ref) : NULL);
	else
		answer_errno(a, "reset", r, &why);
}

static void on_ping(struct control *c, struct answer *a)
{
	const struct ingest_home *home = c->env.flow->home;

	hex_encode(home->boot_id, BOOT_ID_SIZE, a->boot);
	a->m = (struct message){
	    .type = MSG_PONG,
	    .incarnation = c->env.who->incarnation,
	    .started_s = c->env.who->started_s,
	    .updated_s = clock_wall_s(),
	    .version = span_str(SLUICE_VERSION),
	    .boot = span_str(a->boot),
	    .text = span_str(layout_path(home->layout)),
	};
	if (a->m.text.len > TEXT_MAX) /* dev and ino tell the store; the path is for people */
		a->m.text.len = TEXT_MAX;
	layout_identity(home->layout, &a->m.dev, &a->m.ino);
}

static void on_stats(struct control *c, const struct message *request, struct answer *a)
{
	if (request->stage == STAGE_INGESTD) {
		c->env.refresh(c->env.self);
		counters_tell(c->env.who, a->counts, &a->m);
	} else if (request->stage != STAGE_FETCHD) {
		reason_set(&a->why, "ingestd does not have commitd's counts");
		answer_error(a, FAIL_USAGE);
	} else if (!chunks_fetchd_counts(c->env.chunks, &a->m)) {
		reason_set(&a->why, "fetchd is not connected to ingestd");
		answer_error(a, FAIL_UNAVAILABLE);
	}
}

static void on_request(struct control *c, const struct message *request, struct answer *a)
{
	const struct transfers *ts = c->env.flow->transfers;

	switch (request->type) {
	case MSG_GET:
		on_get(c, request, a);
		break;
	case MSG_STATUS:
		answer_transfer(a, transfers_find(ts, request->ref));
		break;
	case MSG_NEXT:
		answer_transfer(a, next_of(ts, request->ref));
		break;
	case MSG_ABORT:
		on_abort(c, request, a);
		break;
	case MSG_RESET:
		on_reset(c, request, a);
		break;
	case MSG_PING:
		on_ping(c, a);
		break;
	case MSG_STATS:
		on_stats(c, request, a);
		break;
	default:
		reason_set(&a->why, "ingestd does not answer %s", message_name(request->type));
		answer_error(a, FAIL_USAGE);
	}
}

static void refuse(struct control *c, struct answer *a, const char *what)
{
	uint64_t held_back;

	count_add(COUNT_REFUSED_INGEST_CTL, 1);
	reason_set(&a->why, "refused a request: %s", what);
	if (log_limit_pass(&c->bad, &held_back))
		log_warning("%s (%" PRIu64 " more not shown)", a->why.text, held_back);
	answer_error(a, FAIL_USAGE);
}

static void on_readable(void *self, unsigned events)
{
	struct control *c = self;
	struct message request;
	struct answer a;
	enum decode_verdict verdict;
	int r;

	(void)events;
	while ((r = pipe_receive(c->pipe, &request, &verdict)) != -EAGAIN) {
		if (r == 0)
			on_request(c, &request, &a);
		else
			refuse(c, &a, r == -EBADMSG ? decode_verdict_text(verdict) : strerror(-r));
		(void)pipe_send(c->pipe, &a.m); /* whoever asked may be gone; asking again is always right */
	}
}

int control_new(const struct control_env *env, struct control **ret_control)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->env = *env;
	int r = pipe_open(env->runtime_dir, PIPE_INGEST_CTL, PIPE_REPLY, &c->pipe);
	if (r < 0) {
		free(c);
		return r;
	}
	loop_io_init(&c->can_receive, env->loop, on_readable, c);
	loop_io_watch(&c->can_receive, pipe_receive_fd(c->pipe), LOOP_READ);
	*ret_control = c;
	return 0;
}

void control_stop(struct control *c)
{
	loop_io_stop(&c->can_receive);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	control_stop(c);
	pipe_close(c->pipe);
	free(c);
}
