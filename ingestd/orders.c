#include "ingestd/orders.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

/* ingestd */
#include "ingestd/flow.h"

/* What fetchd told of itself last. */
struct news {
	uint64_t incarnation; /* 0: nothing yet */
	uint64_t started_s, updated_s;
	char version[VERSION_TEXT_MAX + 1];
	uint8_t counts[COUNTS_MAX];
	size_t counts_len;
};

#define MESSAGES_A_TURN 32 /* then the loop looks at everybody else */

struct orders {
	struct desk *desk;
	struct pipe *orders, *chunks;
	struct peer fetchd;
	bool hello_due;
	ev_io can_send, can_receive;
	struct log_limit bad;
	struct news news;
};

static void send_later(struct orders *o)
{
	ev_io_start(o->desk->loop, &o->can_send);
}

/* 0: sent. Anything else: not now, and we are woken when it is worth another try. */
static int send_or_wait(struct orders *o, const struct message *m)
{
	int r = pipe_send(o->orders, m);
	if (r == -EAGAIN)
		send_later(o);
	else if (r < 0)
		log_errno(r, "cannot send %s to fetchd", message_name(m->type));
	return r;
}

static int send_hello(struct orders *o)
{
	struct message m = {.type = MSG_HELLO, .incarnation = o->fetchd.self, .peer = o->fetchd.other};
	int r = send_or_wait(o, &m);

	if (r == 0)
		o->hello_due = false;
	return r;
}

/* What a tag named when somebody asked last is not what whoever asks now has to get. */
static bool is_to_be_resolved(const struct task *t)
{
	struct source source;

	return !t->resolved && !t->has_asked_digest &&
	       source_parse(span_str(t->in->record.source), &source, NULL) == 0 && source.kind == SOURCE_MANIFEST &&
	       !source.reference.has_digest;
}

static int send_order(struct orders *o, struct task *t)
{
	char expected[DIGEST_TEXT_SIZE] = "";
	const struct record *record = &t->in->record;

	if (record->has_expected && !is_to_be_resolved(t))
		digest_format(&record->expected, expected);
	struct message m = {
	    .type = MSG_FETCH,
	    .ref = span_str(t->ref),
	    .attempt = record->attempt,
	    .source = span_str(record->source),
	    .offset = t->in->offset,
	    .size = record->size,
	    .expected = span_str(expected),
	    .validator = span_str(record->validator),
	    .restarts = (uint8_t)(record->restarts < UINT8_MAX ? record->restarts : UINT8_MAX),
	};
	int r = send_or_wait(o, &m);
	if (r == 0)
		t->order_due = false;
	return r;
}

void orders_flush(struct orders *o)
{
	if (o->hello_due && send_hello(o) < 0)
		return;
	for (size_t i = 0; i < o->desk->tasks.len; i++) {
		struct task *t = o->desk->tasks.by_ref[i];
		if (t->order_due && send_order(o, t) < 0)
			return;
	}
	ev_io_stop(o->desk->loop, &o->can_send);
}

void orders_cancel(struct orders *o, struct span ref, uint64_t attempt)
{
	struct message m = {.type = MSG_CANCEL, .ref = ref, .attempt = attempt};

	if (o)
		(void)pipe_send(o->orders, &m);
}

/*
 * Whoever says HELLO may have nothing of ours in hand: a new fetchd has only what we sent since it connected, and one
 * that lost us has nothing. So every order goes again, from where we are and under the attempt that it has: a fetchd
 * that has it already knows it for a repetition, and nothing is fetched twice.
 */
static void on_hello(struct orders *o, const struct message *m)
{
	struct tasks *ts = &o->desk->tasks;

	if (peer_hello(&o->fetchd, m->incarnation, m->peer))
		log_info("fetchd is there (%016" PRIx64 ")", m->incarnation);
	o->hello_due = true;
	for (size_t i = 0; i < ts->len; i++)
		ts->by_ref[i]->order_due = ts->by_ref[i]->state == TRANSFER_FETCHING && !ts->by_ref[i]->reserving;
	orders_flush(o);
}

static void on_transfer(struct orders *o, const struct message *m)
{
	struct task *t = tasks_find(&o->desk->tasks, m->ref);

	if (!t || t->state != TRANSFER_FETCHING || m->attempt != t->in->record.attempt) {
		if (m->type != MSG_END && m->type != MSG_FAIL && m->type != MSG_RESOLVED)
			orders_cancel(o, m->ref, m->attempt);
		return;
	}
	switch (m->type) {
	case MSG_OPENED:
		flow_opened(o->desk, t, m);
		break;
	case MSG_RESOLVED:
		flow_resolved(o->desk, t, m);
		break;
	case MSG_CHUNK:
		flow_chunk(o->desk, t, m);
		break;
	case MSG_END:
		flow_end(o->desk, t, m);
		break;
	case MSG_FAIL:
		flow_fail(o->desk, t, m);
		break;
	default:
		flow_beat(o->desk, t, m);
	}
}

static void on_counts(struct orders *o, const struct message *m)
{
	struct news *n = &o->news;

	if (m->stage != STAGE_FETCHD)
		return;
	n->incarnation = m->incarnation;
	n->started_s = m->started_s;
	n->updated_s = m->updated_s;
	(void)snprintf(n->version, sizeof(n->version), "%.*s", SPAN_ARG(m->version));
	memcpy(n->counts, m->counts.data, m->counts.len);
	n->counts_len = m->counts.len;
}

bool orders_fetchd_counts(const struct orders *o, struct message *ret_counts)
{
	const struct news *n = &o->news;

	if (n->incarnation == 0 || n->incarnation != o->fetchd.other || pipe_peers(o->chunks) == 0)
		return false;
	*ret_counts = (struct message){
	    .type = MSG_COUNTS,
	    .stage = STAGE_FETCHD,
	    .incarnation = n->incarnation,
	    .started_s = n->started_s,
	    .updated_s = n->updated_s,
	    .version = span_str(n->version),
	    .counts = span_of(n->counts, n->counts_len),
	};
	return true;
}

void orders_count(const struct orders *o)
{
	count_set(COUNT_INGESTD_SAW_FETCHD, o->fetchd.restarts);
	count_set(COUNT_PEERS_ORDERS, pipe_peers(o->orders));
	count_set(COUNT_PEERS_CHUNKS, pipe_peers(o->chunks));
}

static bool is_of_fetchd(enum message_type type)
{
	return type == MSG_OPENED || type == MSG_RESOLVED || type == MSG_CHUNK || type == MSG_END || type == MSG_FAIL ||
	       type == MSG_BEAT;
}

static void refuse(struct orders *o, const char *what)
{
	uint64_t held_back;

	count_add(COUNT_REFUSED_CHUNKS, 1);
	if (log_limit_pass(&o->bad, &held_back))
		log_warning("refused a message on 'chunks': %s (%" PRIu64 " more before)", what, held_back);
}

static void on_chunks(struct ev_loop *loop, ev_io *w, int events)
{
	struct orders *o = w->data;
	struct message m;
	enum decode_verdict verdict;

	(void)loop;
	(void)events;
	for (unsigned i = 0; i < MESSAGES_A_TURN && !o->desk->stopping; i++) {
		int r = pipe_receive(o->chunks, &m, &verdict);
		if (r == -EAGAIN)
			break;
		if (r == -EBADMSG)
			refuse(o, decode_verdict_text(verdict));
		else if (r < 0)
			log_errno(r, "cannot receive from fetchd");
		else if (m.type == MSG_HELLO)
			on_hello(o, &m);
		else if (m.type == MSG_COUNTS)
			on_counts(o, &m);
		else if (is_of_fetchd(m.type))
			on_transfer(o, &m);
		else
			refuse(o, "it is not one of fetchd's");
	}
	desk_schedule(o->desk);
	if (o->desk->stopping)
		ev_io_stop(o->desk->loop, &o->can_receive);
}

static void on_can_send(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	orders_flush(w->data);
}

int orders_new(struct desk *desk, struct orders **ret_orders)
{
	struct orders *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->desk = desk;
	int r = peer_init(&o->fetchd);
	if (r == 0)
		r = pipe_open(desk->settings->runtime_dir, PIPE_ORDERS, PIPE_PUSH, &o->orders);
	if (r == 0)
		r = pipe_open(desk->settings->runtime_dir, PIPE_CHUNKS, PIPE_PULL, &o->chunks);
	if (r < 0) {
		orders_free(o);
		return r;
	}
	ev_io_init(&o->can_send, on_can_send, pipe_send_fd(o->orders), EV_READ);
	ev_io_init(&o->can_receive, on_chunks, pipe_receive_fd(o->chunks), EV_READ);
	o->can_send.data = o->can_receive.data = o;
	ev_io_start(desk->loop, &o->can_receive);
	o->hello_due = true; /* the first thing that goes out */
	ev_io_start(desk->loop, &o->can_send);
	*ret_orders = o;
	return 0;
}

void orders_free(struct orders *o)
{
	if (!o)
		return;
	if (o->chunks) {
		ev_io_stop(o->desk->loop, &o->can_send);
		ev_io_stop(o->desk->loop, &o->can_receive);
	}
	pipe_close(o->orders);
	pipe_close(o->chunks);
	free(o);
}
