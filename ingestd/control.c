#include "ingestd/control.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/hasher.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

/* ingestd */
#include "ingestd/orders.h"
#include "ingestd/tally.h"

struct control {
	struct desk *desk;
	struct pipe *requests, *events;
	struct peer self;
	ev_io can_receive;
	struct log_limit bad;
};

/* What an answer's views look into, besides the request and the task. */
struct answer {
	struct message m;
	struct record_texts texts;
	struct reason why;
	uint8_t counts[COUNTS_MAX];
	char boot[BOOT_TEXT_MAX + 1];
};

static void answer_error(struct answer *a, enum fail_class class)
{
	a->m = (struct message){.type = MSG_ERROR, .fail_class = (uint8_t) class, .text = span_str(a->why.text)};
}

static void answer_task(struct answer *a, struct task *t)
{
	if (t) {
		task_record(t, &a->texts, &a->m);
		return;
	}
	reason_set(&a->why, "there is no such transfer");
	answer_error(a, FAIL_NOT_FOUND);
}

static void on_get(struct control *c, const struct message *request, struct answer *a)
{
	struct task *t;
	uint64_t size;
	enum fail_class class = FAIL_IO;

	reason_set(&a->why, "cannot take it on");
	if (desk_get(c->desk, request, &t, &size, &class, &a->why) < 0)
		answer_error(a, class);
	else if (t)
		answer_task(a, t);
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

/* The next transfer that is one: what is committed already is remembered only for those who ask for it by ref. */
static struct task *next_of(struct control *c, struct span ref)
{
	struct task *t = tasks_after(&c->desk->tasks, ref);

	while (t && t->state == TRANSFER_COMMITTED)
		t = tasks_after(&c->desk->tasks, span_str(t->ref));
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
	int r = desk_abort(c->desk, request->ref, &why);

	if (r == 0 || r == -ENOENT)
		a->m = (struct message){.type = MSG_OK};
	else
		answer_errno(a, "abort", r, &why);
}

static void on_reset(struct control *c, const struct message *request, struct answer *a)
{
	struct reason why = {"out of memory"};
	int r = desk_reset(c->desk, request->ref, &why);

	if (r == 0 || r == -ENOENT)
		answer_task(a, r == 0 ? tasks_find(&c->desk->tasks, request->ref) : NULL);
	else
		answer_errno(a, "reset", r, &why);
}

static void on_ping(struct control *c, struct answer *a)
{
	hex_encode(c->desk->home.boot_id, BOOT_ID_SIZE, a->boot);
	a->m = (struct message){
	    .type = MSG_PONG,
	    .incarnation = c->self.self,
	    .started_s = c->self.started_s,
	    .updated_s = clock_wall_s(),
	    .version = span_str(SLUICE_VERSION),
	    .boot = span_str(a->boot),
	    .text = span_str(layout_path(c->desk->home.layout)),
	};
	if (a->m.text.len > TEXT_MAX) /* dev and ino tell the store; the path is for people */
		a->m.text.len = TEXT_MAX;
	layout_identity(c->desk->home.layout, &a->m.dev, &a->m.ino);
}

static void on_stats(struct control *c, const struct message *request, struct answer *a)
{
	if (request->stage == STAGE_INGESTD) {
		tally_refresh(c->desk);
		counters_tell(STAGE_INGESTD, &c->self, a->counts, &a->m);
	} else if (request->stage != STAGE_FETCHD) {
		reason_set(&a->why, "ingestd knows nothing of commitd's numbers");
		answer_error(a, FAIL_USAGE);
	} else if (!orders_fetchd_counts(c->desk->orders, &a->m)) {
		reason_set(&a->why, "fetchd is not connected to ingestd");
		answer_error(a, FAIL_UNAVAILABLE);
	}
}

static void on_request(struct control *c, const struct message *request, struct answer *a)
{
	switch (request->type) {
	case MSG_GET:
		on_get(c, request, a);
		break;
	case MSG_STATUS:
		answer_task(a, tasks_find(&c->desk->tasks, request->ref));
		break;
	case MSG_NEXT:
		answer_task(a, next_of(c, request->ref));
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

static void on_requests(struct ev_loop *loop, ev_io *w, int events)
{
	struct control *c = w->data;
	struct message request;
	struct answer a;
	enum decode_verdict verdict;
	uint64_t held_back;
	int r;

	(void)loop;
	(void)events;
	while (!c->desk->stopping && (r = pipe_receive(c->requests, &request, &verdict)) != -EAGAIN) {
		if (r == 0) {
			on_request(c, &request, &a);
		} else {
			count_add(COUNT_REFUSED_INGEST_CTL, 1);
			reason_set(&a.why, "refused a request: %s",
				   r == -EBADMSG ? decode_verdict_text(verdict) : strerror(-r));
			if (log_limit_pass(&c->bad, &held_back))
				log_warning("%s (%" PRIu64 " more before)", a.why.text, held_back);
			answer_error(&a, FAIL_USAGE);
		}
		(void)pipe_send(c->requests, &a.m); /* whoever asked may be gone; asking again is always right */
	}
	if (c->desk->stopping)
		ev_io_stop(c->desk->loop, &c->can_receive);
}

void control_publish(struct control *c, struct task *t)
{
	struct message m;
	struct record_texts texts;

	if (!c)
		return;
	task_record(t, &texts, &m);
	(void)pipe_send(c->events, &m);
}

int control_new(struct desk *desk, struct control **ret_control)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->desk = desk;
	int r = peer_init(&c->self);
	if (r == 0)
		r = pipe_open(desk->settings->runtime_dir, PIPE_INGEST_EVENTS, PIPE_PUBLISH, &c->events);
	if (r == 0)
		r = pipe_open(desk->settings->runtime_dir, PIPE_INGEST_CTL, PIPE_REPLY, &c->requests);
	if (r < 0) {
		control_free(c);
		return r;
	}
	ev_io_init(&c->can_receive, on_requests, pipe_receive_fd(c->requests), EV_READ);
	c->can_receive.data = c;
	ev_io_start(desk->loop, &c->can_receive);
	*ret_control = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	if (c->requests)
		ev_io_stop(c->desk->loop, &c->can_receive);
	pipe_close(c->requests);
	pipe_close(c->events);
	free(c);
}
