#include "ingestd/orders.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/log.h"
#include "common/base/loop.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

struct orders {
	struct transfers *transfers;
	struct pipe *pipe;
	struct peer fetchd;
	bool hello_due;
	struct loop_io can_send;
};

/* 0: sent. Anything else: not now, and we are woken when it is worth another try. */
static int send_or_wait(struct orders *o, const struct message *m)
{
	int r = pipe_send(o->pipe, m);

	if (r == -EAGAIN)
		loop_io_watch(&o->can_send, pipe_send_fd(o->pipe), LOOP_READ);
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

/* What a tag named at an earlier request may be another manifest than it names now. */
static bool is_to_be_resolved(const struct transfer *t)
{
	struct source source;

	return !t->resolved && !t->has_asked_digest &&
	       source_parse(span_str(t->in->record.source), &source, NULL) == 0 && source.kind == SOURCE_MANIFEST &&
	       !source.reference.has_digest;
}

static int send_order(struct orders *o, struct transfer *t)
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
		transfer_enter(t, PHASE_ORDERED);
	return r;
}

void orders_flush(struct orders *o)
{
	if (o->hello_due && send_hello(o) < 0)
		return;
	for (size_t i = 0; i < o->transfers->len; i++) {
		struct transfer *t = o->transfers->by_ref[i];
		if (t->phase == PHASE_ORDER_DUE && send_order(o, t) < 0)
			return;
	}
	loop_io_stop(&o->can_send);
}

void orders_cancel(struct orders *o, struct span ref, uint64_t attempt)
{
	struct message m = {.type = MSG_CANCEL, .ref = ref, .attempt = attempt};

	(void)pipe_send(o->pipe, &m);
}

void orders_greet(struct orders *o, uint64_t incarnation, uint64_t named)
{
	if (peer_hello(&o->fetchd, incarnation, named))
		log_info("fetchd said hello (%016" PRIx64 ")", incarnation);
	o->hello_due = true;
	for (size_t i = 0; i < o->transfers->len; i++)
		if (o->transfers->by_ref[i]->phase == PHASE_ORDERED)
			transfer_enter(o->transfers->by_ref[i], PHASE_ORDER_DUE);
	orders_flush(o);
}

bool orders_is_peer(const struct orders *o, uint64_t incarnation)
{
	return incarnation != 0 && incarnation == o->fetchd.other;
}

void orders_count(const struct orders *o)
{
	count_set(COUNT_INGESTD_SAW_FETCHD, o->fetchd.restarts);
	count_set(COUNT_PEERS_ORDERS, pipe_peers(o->pipe));
}

static void on_can_send(void *self, unsigned events)
{
	(void)events;
	orders_flush(self);
}

int orders_new(struct loop *loop, const char *runtime_dir, struct transfers *transfers, struct orders **ret_orders)
{
	struct orders *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->transfers = transfers;
	int r = peer_init(&o->fetchd);
	if (r == 0)
		r = pipe_open(runtime_dir, PIPE_ORDERS, PIPE_PUSH, &o->pipe);
	if (r < 0) {
		free(o);
		return r;
	}
	loop_io_init(&o->can_send, loop, on_can_send, o);
	o->hello_due = true; /* the first thing that goes out */
	loop_io_watch(&o->can_send, pipe_send_fd(o->pipe), LOOP_READ);
	*ret_orders = o;
	return 0;
}

void orders_free(struct orders *o)
{
	if (!o)
		return;
	loop_io_stop(&o->can_send);
	pipe_close(o->pipe);
	free(o);
}
