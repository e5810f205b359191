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

struct orderbook {
	const struct fetcher *env;
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

static void say_hello(struct orderbook *book)
{
	struct message m = {.type = MSG_HELLO, .incarnation = book->peer.self, .peer = book->peer.other};
	(void)pipe_send(book->out, &m); /* nobody there: the timer says it again */
}

static void on_hello_time(void *self)
{
	struct orderbook *book = self;
	if (book->peer.greeted) {
		book->hellos = 0;
		loop_timer_stop(&book->hello);
		return;
	}
	if (++book->hellos % PIPE_RENEW_HELLOS == 0) {
		(void)pipe_renew(book->in);
		(void)pipe_renew(book->out);
	}
	say_hello(book);
}

static void refresh_counts(const struct orderbook *book)
{
	for (enum counter c = COUNT_FETCHES_BUSY; c <= COUNT_BACKLOG_CHUNKS; c++)
		count_set(c, 0);
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (book->all[i].fetch)
			fetch_count(book->all[i].fetch);
	count_set(COUNT_FETCHD_SAW_INGESTD, book->peer.restarts);
}

/* Nobody can ask us. A pipe that does not take it now is tried again with the next look. */
static void tell_counts(struct orderbook *book)
{
	uint8_t counts[COUNTS_MAX];
	struct message m;
	uint64_t now_ms = clock_mono_ms();
	if (!book->counts_due && now_ms - book->told_ms < COUNTS_EVERY_MS)
		return;
	refresh_counts(book);
	if (!book->counts_due && memcmp(book->told, counter_values, sizeof(book->told)) == 0)
		return;
	counters_tell(&(struct stage_self){STAGE_FETCHD, book->peer.self, book->peer.started_s}, counts, &m);
	if (pipe_send(book->out, &m) < 0)
		return;
	book->counts_due = false;
	book->told_ms = now_ms;
	memcpy(book->told, counter_values, sizeof(book->told));
}

static void on_beat_time(void *self)
{
	struct orderbook *book = self;
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (book->all[i].fetch)
			fetch_beat(book->all[i].fetch);
	tell_counts(book);
}

static void row_release(struct order *o)
{
	fetch_free(o->fetch);
	free(o->ref);
	*o = (struct order){0};
}

static void drop_all(struct orderbook *book)
{
	for (size_t i = 0; i < ORDERS_MAX; i++)
		row_release(&book->all[i]);
}

/*
 * What went out on a connection that broke is lost, and whoever comes next orders it all again. So what still arrives
 * for it would be thrown away: stop at once, instead of letting servers fill the sockets meanwhile.
 */
static void on_turn(void *self)
{
	struct orderbook *book = self;
	uint64_t losses = pipe_losses(book->out);
	if (losses == book->losses)
		return;
	book->losses = losses;
	log_info("ingestd is gone");
	drop_all(book);
	book->peer.greeted = false;
	loop_timer_every(&book->hello, HELLO_AGAIN_MS, HELLO_AGAIN_MS);
}

static struct order *find(struct orderbook *book, struct span ref)
{
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (book->all[i].ref && span_eq(span_str(book->all[i].ref), ref))
			return &book->all[i];
	return NULL;
}

/* A free row, or the one that has been past for longest. NULL: all are live. */
static struct order *find_place(struct orderbook *book)
{
	struct order *oldest = NULL;
	for (size_t i = 0; i < ORDERS_MAX; i++) {
		struct order *o = &book->all[i];
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
	struct orderbook *book = self;
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (book->all[i].fetch == f) {
			book->all[i].served |= fetch_served(f);
			book->all[i].fetch = NULL;
			book->all[i].ended_ms = clock_mono_ms();
		}
	if (fetch_sink_error(f) < 0)
		(void)log_errno(fetch_sink_error(f), "cannot send to ingestd");
	fetch_free(f);
}

static const struct fetch_hooks hooks = {on_done};

static void take_hello(struct orderbook *book, const struct message *m)
{
	if (peer_hello(&book->peer, m->incarnation, m->peer)) {
		log_info("ingestd %016" PRIx64 " is there", m->incarnation);
		drop_all(book);
	}
	if (book->peer.greeted) {
		book->counts_due = true;
		tell_counts(book);
		return;
	}
	say_hello(book);
	loop_timer_every(&book->hello, HELLO_AGAIN_MS, HELLO_AGAIN_MS);
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

static int row_begin(struct orderbook *book, struct order *o, const struct message *m)
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
	return o->ref ? fetch_new(book->env, &order, &hooks, book, &o->fetch) : -ENOMEM;
}

/* What cannot even begin stays silent: ingestd orders it again when no beat comes. */
static void take_fetch(struct orderbook *book, const struct message *m)
{
	struct order *o = find(book, m->ref);
	if (o && m->attempt <= o->attempt)
		return;
	bool is_known = o != NULL;
	if (o)
		end_fetch(o);
	else
		o = find_place(book);
	if (!o) {
		log_error("cannot take the order for '%.*s': %d transfers run", SPAN_ARG(m->ref), ORDERS_MAX);
		return;
	}
	note_restarts(o, is_known, m->restarts);
	int r = row_begin(book, o, m);
	if (r < 0) {
		(void)log_errno(r, "cannot take the order for '%.*s'", SPAN_ARG(m->ref));
		row_release(o);
		return;
	}
	fetch_start(o->fetch);
}

static void take_cancel(struct orderbook *book, const struct message *m)
{
	struct order *o = find(book, m->ref);
	if (!o || m->attempt < o->attempt)
		return;
	end_fetch(o);
	o->ended_ms = clock_mono_ms();
}

static void refuse(struct orderbook *book, const char *what)
{
	uint64_t held_back;

	count_add(COUNT_REFUSED_ORDERS, 1);
	if (log_limit_pass(&book->limit, &held_back))
		log_warning("refused a message on 'orders': %s (%" PRIu64 " so far)", what,
			    counter_values[COUNT_REFUSED_ORDERS]);
}

static void take(struct orderbook *book, const struct message *m)
{
	switch (m->type) {
	case MSG_HELLO:
		take_hello(book, m);
		return;
	case MSG_FETCH:
		take_fetch(book, m);
		return;
	case MSG_CANCEL:
		take_cancel(book, m);
		return;
	default:
		refuse(book, message_name(m->type));
		return;
	}
}

static void on_readable(void *self, unsigned events)
{
	struct orderbook *book = self;
	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		struct message m;
		enum decode_verdict verdict = DECODE_OK;
		int r = pipe_receive(book->in, &m, &verdict);
		if (r == 0)
			take(book, &m);
		else if (r == -EBADMSG)
			refuse(book, decode_verdict_text(verdict));
		else
			return;
	}
}

int orderbook_new(const struct fetcher *env, struct pipe *in, struct pipe *out, struct orderbook **ret_book)
{
	struct orderbook *book = calloc(1, sizeof(*book));
	int r = book ? peer_init(&book->peer) : -ENOMEM;
	if (r < 0) {
		free(book);
		return r;
	}
	book->env = env;
	book->in = in;
	book->out = out;
	loop_io_init(&book->readable, env->loop, on_readable, book);
	loop_timer_init(&book->hello, env->loop, on_hello_time, book);
	loop_timer_init(&book->beat, env->loop, on_beat_time, book);
	loop_io_watch(&book->readable, pipe_receive_fd(in), LOOP_READ);
	loop_timer_every(&book->hello, 0, HELLO_AGAIN_MS);
	loop_timer_every(&book->beat, BEAT_LOOK_MS, BEAT_LOOK_MS);
	loop_hook_start(&book->turn, env->loop, on_turn, book);
	*ret_book = book;
	return 0;
}

void orderbook_free(struct orderbook *book)
{
	if (!book)
		return;
	drop_all(book);
	loop_io_stop(&book->readable);
	loop_timer_stop(&book->hello);
	loop_timer_stop(&book->beat);
	loop_hook_stop(&book->turn);
	free(book);
}
