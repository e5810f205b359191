/* SPDX-License-Identifier: Apache-2.0 */
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
#include "common/wire/link.h"
#include "common/wire/stage.h"

#define BEAT_LOOK_MS      100
#define MESSAGES_PER_TURN 64 /* messages in one turn, before other events get theirs */

/*
 * A row is free (no ref), live (a fetch) or past (a ref without a fetch): the attempt of a past one is remembered until
 * the row is needed, so that a repeated order for it is recognised.
 */
struct order {
	char *ref;
	uint64_t attempt;
	struct fetch *fetch;
	uint64_t ended_ms;
	uint8_t restarts;  /* of the last order */
	uint32_t served;   /* who sent the bytes since the last restart ... */
	uint32_t suspects; /* ... and those before it, which were wrong */
};

struct orders {
	struct fetcher *fetcher;
	struct stage_self identity;
	struct link *link;
	struct loop_timer beat;
	bool counts_due;                     /* this ingestd has not got any counters yet */
	uint64_t told_ms;                    /* when ingestd last got the counters */
	uint64_t told[COUNT_RECEIVED_BYTES]; /* and their values: all of fetchd's counters come before ingestd's */
	struct order all[ORDERS_MAX];
};

/* ── counters: sent unasked, because we take no requests ── */

static void refresh_counts(const struct orders *os)
{
	for (enum counter c = COUNT_FETCHES_BUSY; c <= COUNT_BACKLOG_CHUNKS; c++)
		count_set(c, 0);
	for (size_t i = 0; i < ORDERS_MAX; i++)
		if (os->all[i].fetch)
			fetch_count(os->all[i].fetch);
	count_set(COUNT_BREAKERS_OPEN, hosts_open(os->fetcher->hosts));
	count_set(COUNT_FETCHD_SAW_INGESTD, link_restarts(os->link));
}

/* If the pipe does not accept it now, we try again when it does, or next time. */
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
	counters_tell(&os->identity, counts, &m);
	if (link_send(os->link, &m) < 0)
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
	fetcher_tidy(os->fetcher);
	tell_counts(os);
}

/* ── rows ── */

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

static void end_fetch(struct order *o)
{
	if (o->fetch)
		o->served |= fetch_served(o->fetch);
	fetch_free(o->fetch);
	o->fetch = NULL;
}

/*
 * A transfer that starts over because of wrong bytes must get them elsewhere. If this fetchd does not know where they
 * came from, it tries the registry first.
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
	    .policy = m->policy,
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
	return o->ref ? fetch_new(os->fetcher, &order, &hooks, os, &o->fetch) : -ENOMEM;
}

/* If an order cannot start, we stay silent: without a BEAT, ingestd orders it again. */
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

static bool on_message(void *self, const struct message *m)
{
	if (m->type == MSG_FETCH)
		take_fetch(self, m);
	else if (m->type == MSG_CANCEL)
		take_cancel(self, m);
	else
		return false;
	return true;
}

/* ── the link ── */

static void on_hello(void *self, bool is_new)
{
	struct orders *os = self;
	os->counts_due = true;
	if (!is_new)
		return;
	log_info("connected to ingestd %016" PRIx64, link_peer(os->link));
	drop_all(os);
}

static void on_flush(void *self)
{
	tell_counts(self);
}

/*
 * What was sent on a broken connection is lost, and the next ingestd orders everything again. So bytes that still
 * arrive would be wasted: stop at once, instead of letting servers fill the sockets meanwhile.
 */
static void on_lost(void *self)
{
	log_info("lost the connection to ingestd");
	drop_all(self);
}

static int open_link(struct orders *os, const char *runtime_dir)
{
	static const struct link_hooks link_hooks = {
	    .take = on_message, .hello = on_hello, .flush = on_flush, .lost = on_lost};
	const struct link_env env = {
	    .loop = os->fetcher->loop,
	    .runtime_dir = runtime_dir,
	    .in = PIPE_ORDERS,
	    .out = PIPE_CHUNKS,
	    .role = LINK_CALLS,
	    .incarnation = os->identity.incarnation,
	    .peer_name = stage_name(STAGE_INGESTD),
	    .refused = COUNT_REFUSED_ORDERS,
	    .turn_max = MESSAGES_PER_TURN,
	    .hooks = &link_hooks,
	    .self = os,
	};
	return link_new(&env, &os->link);
}

int orders_new(struct fetcher *fetcher, const char *runtime_dir, struct orders **ret_orders)
{
	struct orders *os = calloc(1, sizeof(*os));
	if (!os)
		return -ENOMEM;
	os->fetcher = fetcher;
	loop_timer_init(&os->beat, fetcher->loop, on_beat_time, os);
	stage_self_init(&os->identity, STAGE_FETCHD);
	int r = open_link(os, runtime_dir);
	if (r == 0)
		r = sink_new_pipe(fetcher->loop, link_out(os->link), &fetcher->sink);
	if (r < 0) {
		orders_free(os);
		return r;
	}
	loop_timer_every(&os->beat, BEAT_LOOK_MS, BEAT_LOOK_MS);
	*ret_orders = os;
	return 0;
}

void orders_free(struct orders *os)
{
	if (!os)
		return;
	drop_all(os);
	loop_timer_stop(&os->beat);
	sink_free(os->fetcher->sink);
	os->fetcher->sink = NULL;
	link_free(os->link);
	free(os);
}
