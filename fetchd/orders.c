#include "fetchd/orders.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loop.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/peer.h"

#define BEAT_LOOK_MS      100
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
	uint8_t restarts;  /* of the last order */
	uint32_t served;   /* who brought what came since the last restart ... */
	uint32_t suspects; /* ... and what came before it, which was wrong */
};

struct orders {
	struct fetcher *env;
	struct pipe *in;
	struct pipe *out;
	struct peer peer;
	struct loop_io readable;
	struct loop_timer hello;
	struct loop_timer beat;
	struct loop_hook turn;
	uint64_t losses; /* of connections to ingestd, as far as they were dealt with */
	struct log_limit limit;
	bool counts_due;                     /* this ingestd has not been told anything */
	uint64_t told_ms;                    /* when ingestd was last told what was counted */
	uint64_t told[COUNT_RECEIVED_BYTES]; /* and that: all of fetchd's numbers come before ingestd's */
	unsigned hellos;                     /* not answered so far */
	struct order all[ORDERS_MAX];
};

static void say_hello(struct orders *os)
{
	struct message m = {.type = MSG_HELLO, .incarnation = os->peer.self, .peer = os->peer.other};
	(void)pipe_send(os->out, &m); /* nobody there: the timer says it again */
}

static void on_hello_time(void *self)
{
	struct orders *os = self;
	if (os->peer.greeted) {
		os->hellos = 0;
		loop_timer_stop(&os->hello);
		return;
	}
	if (++os->hellos % PIPE_RENEW_HELLOS == 0) {
		(void)pipe_renew(os->in);
		(void)pipe_renew(os->out);
	}
	say_hello(os);
}

static void refresh_counts(const struct orders *os)
{
	for (enum counter c = COUNT_FETCHES_BUSY; c <= COUNT_BACKLOG_CHUNKS; c++)
		count_set(c, 0);
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (os->all[i].fetch)
			fetch_count(os->all[i].fetch);
	count_set(COUNT_FETCHD_SAW_INGESTD, os->peer.restarts);
}

/* Nobody can ask us. A pipe that does not take it now is tried again with the next look. */
static void tell_counts(struct orders *os)
{
	uint8_t counts[COUNTS_MAX];
	struct message m;
	uint64_t now_ms = clock_mono_ms();
	if (!os->counts_due && now_ms - os->told_ms < COUNTS_EVERY_MS)
		return;
	refresh_counts(os);
	if (!os->counts_due && memcmp(os->told, counter_values, sizeof(os->told)) == 0)
		return;
	counters_tell(&(struct stage_self){STAGE_FETCHD, os->peer.self, os->peer.started_s}, counts, &m);
	if (pipe_send(os->out, &m) < 0)
		return;
	os->counts_due = false;
	os->told_ms = now_ms;
	memcpy(os->told, counter_values, sizeof(os->told));
}

static void on_beat_time(void *self)
{
	struct orders *os = self;
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (os->all[i].fetch)
			fetch_beat(os->all[i].fetch);
	tell_counts(os);
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
static void on_turn(void *self)
{
	struct orders *os = self;
	uint64_t losses = pipe_losses(os->out);
	if (losses == os->losses)
		return;
	os->losses = losses;
	log_info("lost the connection to ingestd");
	drop_all(os);
	os->peer.greeted = false;
	loop_timer_every(&os->hello, HELLO_AGAIN_MS, HELLO_AGAIN_MS);
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
			os->all[i].served |= fetch_served(f);
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
		log_info("connected to ingestd %016" PRIx64, m->incarnation);
		drop_all(os);
	}
	if (os->peer.greeted) {
		os->counts_due = true;
		tell_counts(os);
		return;
	}
	say_hello(os);
	loop_timer_every(&os->hello, HELLO_AGAIN_MS, HELLO_AGAIN_MS);
}

static void end_fetch(struct order *o)
{
	if (o->fetch)
		o->served |= fetch_served(o->fetch);
	fetch_free(o->fetch);
	o->fetch = NULL;
}

/*
 * A transfer that starts over because its bytes were wrong has to get them elsewhere. A fetchd that does not know from
 * where they were trusts the registry first.
 */
static void note_restarts(struct order *o, bool is_known, uint8_t restarts)
{
	if (restarts > o->restarts)
		o->suspects = is_known && o->served != 0 ? o->served : FETCH_ALL_MIRRORS;
	if (restarts != o->restarts)
		o->served = 0;
	if (restarts < o->restarts)
		o->suspects = 0;
	o->restarts = restarts;
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
	    .resolve = true,
	    .suspects = o->suspects,
	};
	if (!o->ref)
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
	bool is_known = o != NULL;
	if (o)
		end_fetch(o);
	else
		o = find_place(os);
	if (!o) {
		log_error("cannot take the order for '%.*s': %d transfers are running", SPAN_ARG(m->ref), ORDERS_MAX);
		return;
	}
	note_restarts(o, is_known, m->restarts);
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
	end_fetch(o);
	o->ended_ms = clock_mono_ms();
}

static void refuse(struct orders *os, const char *what)
{
	uint64_t held_back;

	count_add(COUNT_REFUSED_ORDERS, 1);
	if (log_limit_pass(&os->limit, &held_back))
		log_warning("refused a message on 'orders': %s (%" PRIu64 " so far)", what,
			    counter_values[COUNT_REFUSED_ORDERS]);
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

static void on_readable(void *self, unsigned events)
{
	struct orders *os = self;
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

int orders_new(struct fetcher *env, struct pipe *in, struct pipe *out, struct orders **ret_orders)
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
	loop_io_init(&os->readable, env->loop, on_readable, os);
	loop_timer_init(&os->hello, env->loop, on_hello_time, os);
	loop_timer_init(&os->beat, env->loop, on_beat_time, os);
	loop_io_watch(&os->readable, pipe_receive_fd(in), LOOP_READ);
	loop_timer_every(&os->hello, 0, HELLO_AGAIN_MS);
	loop_timer_every(&os->beat, BEAT_LOOK_MS, BEAT_LOOK_MS);
	loop_hook_start(&os->turn, env->loop, on_turn, os);
	*ret_orders = os;
	return 0;
}

void orders_free(struct orders *os)
{
	if (!os)
		return;
	drop_all(os);
	loop_io_stop(&os->readable);
	loop_timer_stop(&os->hello);
	loop_timer_stop(&os->beat);
	loop_hook_stop(&os->turn);
	free(os);
}
