#include "fetchd/orders.h"

/* System */
#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/peer.h"

#define BEAT_LOOK_S       0.1
#define MESSAGES_PER_TURN 64 /* then other events have theirs */

/*
 * A row is free (no ref), live (a fetch) or past (a ref without a fetch): the attempt of a past one is remembered, so
 * that a repeated order for it is known as one, until the row is needed.
 */
struct order {
	char *ref;
	uint64_t attempt;
	struct fetch *fetch;
	uint64_t ended_ms;
};

struct orders {
	const struct fetcher *env;
	struct pipe *in;
	struct pipe *out;
	struct peer peer;
	ev_io readable;
	ev_timer hello;
	ev_timer beat;
	ev_prepare turn;
	uint64_t losses; /* of connections to ingestd, as far as they were dealt with */
	struct log_limit limit;
	uint64_t refused; /* messages */
	struct order all[ORDERS_MAX];
};

static void say_hello(struct orders *os)
{
	struct message m = {.type = MSG_HELLO, .incarnation = os->peer.self, .peer = os->peer.other};
	(void)pipe_send(os->out, &m); /* nobody there: the timer says it again */
}

static void on_hello_time(struct ev_loop *loop, ev_timer *w, int events)
{
	struct orders *os = w->data;
	(void)events;
	if (os->peer.greeted)
		ev_timer_stop(loop, w);
	else
		say_hello(os);
}

static void on_beat_time(struct ev_loop *loop, ev_timer *w, int events)
{
	struct orders *os = w->data;
	(void)loop;
	(void)events;
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (os->all[i].fetch)
			fetch_beat(os->all[i].fetch);
}

static void row_release(struct order *o)
{
	fetch_free(o->fetch);
	free(o->ref);
	*o = (struct order){0};
}

static void drop_all(struct orders *os)
{
	for (size_t i = 0; i < ORDERS_MAX; i++)
		row_release(&os->all[i]);
}

/*
 * What went out on a connection that broke is lost, and whoever comes next orders it all again. So what still arrives
 * for it would be thrown away: stop at once, instead of letting servers fill the sockets meanwhile.
 */
static void on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct orders *os = w->data;
	uint64_t losses = pipe_losses(os->out);
	(void)events;
	if (losses == os->losses)
		return;
	os->losses = losses;
	log_info("ingestd is gone");
	drop_all(os);
	os->peer.greeted = false;
	ev_timer_again(loop, &os->hello);
}

static struct order *find(struct orders *os, struct span ref)
{
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (os->all[i].ref && span_eq(span_str(os->all[i].ref), ref))
			return &os->all[i];
	return NULL;
}

/* A free row, or the one that has been past for longest. NULL: all are live. */
static struct order *find_place(struct orders *os)
{
	struct order *oldest = NULL;
	for (size_t i = 0; i < ORDERS_MAX; i++) {
		struct order *o = &os->all[i];
		if (!o->ref)
			return o;
		if (!o->fetch && (!oldest || o->ended_ms < oldest->ended_ms))
			oldest = o;
	}
	if (oldest)
		row_release(oldest);
	return oldest;
}

static void on_done(void *self, struct fetch *f)
{
	struct orders *os = self;
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (os->all[i].fetch == f) {
			os->all[i].fetch = NULL;
			os->all[i].ended_ms = clock_mono_ms();
		}
	if (fetch_sink_error(f) < 0)
		(void)log_errno(fetch_sink_error(f), "cannot send to ingestd");
	fetch_free(f);
}

static const struct fetch_hooks hooks = {on_done};

static void take_hello(struct orders *os, const struct message *m)
{
	if (peer_hello(&os->peer, m->incarnation, m->peer)) {
		log_info("ingestd %016" PRIx64 " is there", m->incarnation);
		drop_all(os);
	}
	if (os->peer.greeted)
		return;
	say_hello(os);
	ev_timer_again(os->env->loop, &os->hello);
}

static int row_begin(struct orders *os, struct order *o, const struct message *m)
{
	struct fetch_order order = {
	    .ref = m->ref,
	    .attempt = m->attempt,
	    .source = m->source,
	    .offset = m->offset,
	    .size = m->size,
	    .expected = m->expected,
	    .validator = m->validator,
	};
	o->ref = strndup((const char *)m->ref.data, m->ref.len);
	o->attempt = m->attempt;
	return o->ref ? fetch_new(os->env, &order, &hooks, os, &o->fetch) : -ENOMEM;
}

/* What cannot even begin stays silent: ingestd orders it again when no beat comes. */
static void take_fetch(struct orders *os, const struct message *m)
{
	struct order *o = find(os, m->ref);
	if (o && m->attempt <= o->attempt)
		return;
	if (o)
		row_release(o);
	else
		o = find_place(os);
	if (!o) {
		log_error("cannot take the order for '%.*s': %d transfers run", SPAN_ARG(m->ref), ORDERS_MAX);
		return;
	}
	int r = row_begin(os, o, m);
	if (r < 0) {
		(void)log_errno(r, "cannot take the order for '%.*s'", SPAN_ARG(m->ref));
		row_release(o);
		return;
	}
	fetch_start(o->fetch);
}

static void take_cancel(struct orders *os, const struct message *m)
{
	struct order *o = find(os, m->ref);
	if (!o || m->attempt < o->attempt)
		return;
	fetch_free(o->fetch);
	o->fetch = NULL;
	o->ended_ms = clock_mono_ms();
}

static void refuse(struct orders *os, const char *what)
{
	uint64_t held_back;
	os->refused++;
	if (log_limit_pass(&os->limit, &held_back))
		log_warning("refused a message on 'orders': %s (%" PRIu64 " so far)", what, os->refused);
}

static void take(struct orders *os, const struct message *m)
{
	switch (m->type) {
	case MSG_HELLO:
		take_hello(os, m);
		return;
	case MSG_FETCH:
		take_fetch(os, m);
		return;
	case MSG_CANCEL:
		take_cancel(os, m);
		return;
	default:
		refuse(os, message_name(m->type));
		return;
	}
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct orders *os = w->data;
	(void)loop;
	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		struct message m;
		enum decode_verdict verdict = DECODE_OK;
		int r = pipe_receive(os->in, &m, &verdict);
		if (r == 0)
			take(os, &m);
		else if (r == -EBADMSG)
			refuse(os, decode_verdict_text(verdict));
		else
			return;
	}
}

int orders_new(const struct fetcher *env, struct pipe *in, struct pipe *out, struct orders **ret_orders)
{
	struct orders *os = calloc(1, sizeof(*os));
	int r = os ? peer_init(&os->peer) : -ENOMEM;
	if (r < 0) {
		free(os);
		return r;
	}
	os->env = env;
	os->in = in;
	os->out = out;
	ev_io_init(&os->readable, on_readable, pipe_receive_fd(in), EV_READ);
	ev_timer_init(&os->hello, on_hello_time, 0., HELLO_AGAIN_MS / 1000.0);
	ev_timer_init(&os->beat, on_beat_time, BEAT_LOOK_S, BEAT_LOOK_S);
	ev_prepare_init(&os->turn, on_turn);
	os->readable.data = os->hello.data = os->beat.data = os->turn.data = os;
	ev_io_start(env->loop, &os->readable);
	ev_timer_start(env->loop, &os->hello);
	ev_timer_start(env->loop, &os->beat);
	ev_prepare_start(env->loop, &os->turn);
	*ret_orders = os;
	return 0;
}

void orders_free(struct orders *os)
{
	if (!os)
		return;
	drop_all(os);
	ev_io_stop(os->env->loop, &os->readable);
	ev_timer_stop(os->env->loop, &os->hello);
	ev_timer_stop(os->env->loop, &os->beat);
	ev_prepare_stop(os->env->loop, &os->turn);
	free(os);
}
