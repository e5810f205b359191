/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 500 lines because the ranges beside the stream and the ranges alone share one state. */
#include "fetchd/ranges.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"

/* Own */
#include "fetchd/fit.h"

#define LOOK_EVERY_MS    50 /* the longest wait of bytes at the head of the window that do not fill a chunk */
#define OVERTAKES_MAX    3  /* a stream that overtakes each range before its answer needs none */
#define HAND_OVERS_MAX   3  /* consecutive ones with little in between; then the transfer stays one stream */
#define SLOW_FACTOR      4  /* times as long as the others for a part; then a range is opened again ... */
#define SLOW_MIN_MS      1000u
#define SLOW_REOPENS_MAX 3 /* ... this often for one part */
#define NEVER_MS         UINT64_MAX
#define FIRST_MAX        (4u << 20) /* bytes of the first range: the latency is not known well yet */
#define LEAD_ANSWERS     2u         /* the first range starts as far ahead as the stream gets in this many answers */

/* NOLINTNEXTLINE(misc-redundant-expression): two limits that agree today */
_Static_assert(RANGE_SIZE_MIN >= PART_CHUNK_SIZE, "a part has a chunk at least");
_Static_assert(FIT_SIZE_MIN % PART_CHUNK_SIZE == 0, "shares are whole chunks");

/* No more requests are made; when none is running, the stream is requested again. */
enum draining {
	DRAINING_NOT,
	DRAINING,
	DRAINING_FAILED, /* `failure` counts for the transfer then */
};

struct ranges {
	struct ranges_env env;
	struct range_group group;
	struct loop_timer look;          /* bytes at the head have waited for long enough */
	struct loop_timer poke;          /* something has changed */
	bool flush;                      /* also pass on what does not fill a chunk */
	uint64_t lone_since_ms;          /* NEVER_MS while the stream is paused */
	uint64_t sampled_ms, sampled_at; /* when the stream began or was resumed, and where */
	uint64_t fixed_size;             /* bytes of a range, as configured; 0: as they fit */
	struct fit_path path;            /* with the quickest answer so far */
	uint64_t lead;                   /* how far ahead of the stream the first range starts at least, in bytes */
	unsigned overtakes, hand_overs;
	uint64_t passed; /* parts, since the last hand-over */
	bool proven;     /* a range had a correct answer */
	bool spent;      /* one stream from now on */
	enum draining draining;
	struct failure failure;
	size_t at_a_time; /* the number of ranges that the server tolerates */
	bool has_pace;
	uint64_t ms_per_mib; /* of a part, its answer included, smoothed; with has_pace */
	size_t all_len;
	struct range all[]; /* each for the part of the same number */
};

static uint64_t offset_of(const struct ranges *rs)
{
	return rs->env.outlet->offset;
}

static size_t running(const struct ranges *rs)
{
	size_t count = 0;
	for (size_t i = 0; i < rs->all_len; i++)
		count += rs->all[i].state == RANGE_RUNNING;
	return count;
}

/* A range that is held, and whose turn has not come, waits for others. */
static bool is_active(const struct ranges *rs, const struct range *r)
{
	return r->state == RANGE_RUNNING && (!r->part->held || r->part->start == offset_of(rs));
}

static size_t active(const struct ranges *rs)
{
	size_t count = 0;
	for (size_t i = 0; i < rs->all_len; i++)
		count += is_active(rs, &rs->all[i]);
	return count;
}

void ranges_poke(struct ranges *rs)
{
	if (rs)
		loop_timer_set(&rs->poke, 0);
}

static void on_change(void *self)
{
	ranges_poke(self);
}

void ranges_drop(struct ranges *rs)
{
	if (!rs)
		return;
	for (size_t i = 0; i < rs->all_len; i++)
		range_drop(&rs->all[i]);
	rs->draining = DRAINING_NOT;
}

/* ── ranges that fit the path ── */

static void sample_latency(struct ranges *rs, uint64_t answer_ms)
{
	if (answer_ms < rs->path.latency_ms)
		rs->path.latency_ms = answer_ms;
}

/* Since it began, or was resumed: what the kernel had buffered before arrives faster than the path is. */
static void sample_stream(struct ranges *rs)
{
	uint64_t took_ms = clock_mono_ms() - rs->sampled_ms;
	if (!rs->has_pace && took_ms >= LOOK_EVERY_MS)
		rs->path.rate = (offset_of(rs) - rs->sampled_at) * 1000 / took_ms;
}

static void sample_range(struct ranges *rs, const struct range *r, uint64_t len, uint64_t took_ms)
{
	uint64_t answer_ms = r->answer_ms < took_ms ? r->answer_ms : took_ms, pace = (took_ms << 20) / len;
	uint64_t rate = len * 1000 / (took_ms > answer_ms ? took_ms - answer_ms : 1);
	sample_latency(rs, r->answer_ms);
	if (!r->was_held)
		rs->path.rate = (3 * rs->path.rate + rate) / 4;
	rs->ms_per_mib = rs->has_pace ? (3 * rs->ms_per_mib + pace) / 4 : pace;
	rs->has_pace = true;
}

static uint64_t size_of_range(const struct ranges *rs)
{
	return rs->fixed_size > 0 ? rs->fixed_size : fit_size(&rs->path, PART_CHUNK_SIZE);
}

/* In the order of the content: what comes first is needed first. */
static void go_on(struct ranges *rs)
{
	for (uint64_t from = 0;;) {
		struct range *next = NULL;
		for (size_t i = 0; i < rs->all_len; i++) {
			struct range *r = &rs->all[i];
			if (r->state == RANGE_RUNNING && r->part->held && r->part->end > from &&
			    (!next || r->part->start < next->part->start))
				next = r;
		}
		if (!next)
			return;
		from = next->part->end;
		range_go_on(next);
	}
}

/* ── alongside the stream ── */

/* Drop parts that the stream has passed and that nobody had started to send. */
static void drop_overtaken(struct ranges *rs)
{
	bool any = false;
	for (size_t i = 0; i < rs->all_len; i++) {
		const struct part *p = rs->all[i].part;
		if (p->state == PART_FREE || part_is_good(p) || p->start >= offset_of(rs))
			continue;
		range_drop(&rs->all[i]);
		any = true;
	}
	if (!any)
		return;
	if (++rs->overtakes == OVERTAKES_MAX)
		rs->spent = true;
	if (rs->lead < rs->group.window->share * rs->all_len)
		rs->lead *= 2;
}

static bool stream_turn_is_taken(const struct ranges *rs)
{
	for (size_t i = 0; i < rs->all_len; i++)
		if (rs->all[i].on_stream_turn)
			return true;
	return false;
}

/* Without the stream, the first range uses its turn. */
static bool take_turn(struct ranges *rs, struct range *r)
{
	r->on_stream_turn = rs->group.alone && !stream_turn_is_taken(rs);
	return r->on_stream_turn || turn_try(rs->env.hosts, rs->env.home, rs->env.policy->host.connections, &r->turn);
}

static bool open_one(struct ranges *rs, struct range *r, const struct want *want)
{
	struct http_ask ask;
	if (!take_turn(rs, r))
		return false;
	rs->env.request(rs->env.self, r->part->at, r->part->end - 1, &ask);
	assert(rs->all_len > 0);
	ask.patience.min_speed /= rs->all_len; /* they share the path */
	return range_ask(r, &ask, want);
}

/* The first missing part, or the next one of the content. */
static struct range *next_to_open(struct ranges *rs, size_t parts_max, uint64_t size)
{
	uint64_t now_ms = clock_mono_ms();
	struct range *first = NULL;
	for (size_t i = 0; i < rs->all_len; i++) {
		struct range *r = &rs->all[i];
		if (r->part->state == PART_MISSING && r->state == RANGE_IDLE && r->not_before_ms <= now_ms &&
		    (!first || r->part->start < first->part->start))
			first = r;
	}
	uint64_t len = size_of_range(rs);
	if (!rs->proven && rs->fixed_size == 0 && len > FIRST_MAX)
		len = FIRST_MAX;
	const struct part *p = first ? NULL : window_add(rs->group.window, parts_max, size, len);
	if (p) {
		first = &rs->all[p - rs->group.window->parts];
		range_begin(first);
	}
	return first;
}

/* Open as many as allowed. */
static void open_more(struct ranges *rs, const struct ranges_view *view)
{
	size_t parts_max = (size_t)rs->env.policy->host.ranges.count;
	size_t at_a_time = parts_max < rs->at_a_time ? parts_max : rs->at_a_time;
	size_t others = view->stream.runs ? 1 : 0;
	if (rs->draining != DRAINING_NOT || !view->stream.good)
		return;
	while (running(rs) + others < at_a_time && (rs->proven || running(rs) == 0)) {
		struct range *r = next_to_open(rs, parts_max, view->want->size);
		if (!r || !open_one(rs, r, view->want))
			return;
	}
}

/* Whether the stream has run for long enough without being held up by us, and enough is left to share. */
static bool is_time(const struct ranges *rs, const struct ranges_view *view)
{
	const struct range_settings *set = &rs->env.policy->host.ranges;
	uint64_t now_ms = clock_mono_ms();
	return !rs->spent && view->stream.flowing && rs->lone_since_ms <= now_ms &&
	       now_ms - rs->lone_since_ms >= RANGES_LONE_MS && set->count > 1 &&
	       view->want->size - offset_of(rs) >= set->min && host_ranges_allowed(rs->env.hosts, rs->env.home, now_ms);
}

/*
 * While the stream runs or waits for a retry. When all parts that it waited for have arrived, or it reaches the first
 * of them, ranges may be tried again, because nothing is wrong with the stream itself.
 */
static void accompany(struct ranges *rs, const struct ranges_view *view)
{
	drop_overtaken(rs);
	sample_stream(rs);
	go_on(rs);
	if (rs->draining != DRAINING_NOT && ranges_wall(rs) != SIZE_UNKNOWN) {
		rs->draining = DRAINING;
	} else if (rs->draining != DRAINING_NOT && running(rs) == 0) {
		rs->draining = DRAINING_NOT;
		rs->spent = ++rs->hand_overs >= HAND_OVERS_MAX;
	}
	if (!window_is_empty(rs->group.window)) {
		open_more(rs, view);
	} else if (is_time(rs, view)) {
		uint64_t gets = LEAD_ANSWERS * rs->path.latency_ms * rs->path.rate / 1000;
		window_begin(rs->group.window, offset_of(rs) + rs->lead + (rs->fixed_size == 0 ? gets : 0));
		open_more(rs, view);
	}
}

/* ── alone ── */

static void drop_passed(struct ranges *rs)
{
	for (size_t i = 0; i < rs->all_len; i++) {
		const struct part *p = rs->all[i].part;
		if (p->state == PART_WHOLE && p->start == p->end && rs->all[i].state != RANGE_RUNNING)
			range_drop(&rs->all[i]);
	}
}

/* 0, or -errno: the outlet is broken. */
static int pass_on(struct ranges *rs)
{
	struct part *p;
	int r = 0;
	while (r == 0 && (p = window_at(rs->group.window, offset_of(rs)))) {
		r = part_pass_on(rs->group.window, p, rs->flush);
		if (p->start < p->end)
			break;
		rs->passed++;
	}
	rs->flush = false;
	drop_passed(rs);
	return r == -EAGAIN ? 0 : r;
}

static uint64_t late_ms(const struct ranges *rs, const struct part *p)
{
	uint64_t usual_ms = (p->end - p->start) * rs->ms_per_mib >> 20;
	return SLOW_FACTOR * usual_ms > SLOW_MIN_MS ? SLOW_FACTOR * usual_ms : SLOW_MIN_MS;
}

/*
 * Whether later parts, requested no earlier, have arrived already; or all others have or are held, and this is the last.
 * The time in which it was held itself does not count.
 */
static bool is_late(const struct ranges *rs, const struct range *r, uint64_t now_ms)
{
	if (r->state != RANGE_RUNNING || r->part->state == PART_WHOLE || r->part->held || !rs->has_pace ||
	    r->reopened == SLOW_REOPENS_MAX || now_ms - r->since_ms < late_ms(rs, r->part))
		return false;
	for (size_t i = 0; i < rs->all_len; i++)
		if (rs->all[i].part->state == PART_WHOLE && rs->all[i].part->start > r->part->start)
			return true;
	return active(rs) == 1;
}

static void reopen_slow(struct ranges *rs)
{
	uint64_t now_ms = clock_mono_ms();
	for (size_t i = 0; i < rs->all_len; i++) {
		if (!is_late(rs, &rs->all[i], now_ms))
			continue;
		log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = rs->env.ref},
			 "a range of '%s' is far slower than the others; requesting it again", rs->env.shown);
		range_reopen(&rs->all[i]);
	}
}

/* Back to one stream, which starts from the source. */
static enum ranges_verdict hand_over(struct ranges *rs, struct failure *ret_failure)
{
	bool failed = rs->draining == DRAINING_FAILED;
	uint64_t wall = ranges_wall(rs);
	for (size_t i = 0; i < rs->all_len; i++)
		if (!part_is_good(rs->all[i].part) && rs->all[i].part->start < wall)
			range_drop(&rs->all[i]);
	if (rs->passed > 2 * rs->all_len)
		rs->hand_overs = 0;
	if (++rs->hand_overs >= HAND_OVERS_MAX)
		rs->spent = true;
	rs->passed = 0;
	rs->draining = DRAINING_NOT;
	rs->group.alone = false;
	if (failed)
		*ret_failure = rs->failure;
	return failed ? RANGES_FAILED : RANGES_TO_STREAM;
}

static enum ranges_verdict go_on_alone(struct ranges *rs, const struct ranges_view *view, struct failure *ret_failure,
				       int *ret_error)
{
	if (rs->draining != DRAINING_NOT && active(rs) == 0)
		rs->flush = true; /* what has arrived goes first, and the stream starts after it */
	int r = pass_on(rs);
	if (r < 0) {
		*ret_error = r;
		return RANGES_SINK;
	}
	if (offset_of(rs) == view->want->size)
		return RANGES_ALL;
	go_on(rs);
	reopen_slow(rs);
	open_more(rs, view);
	const struct part *head = window_at(rs->group.window, offset_of(rs));
	if (active(rs) > 0 || (head && (rs->draining == DRAINING_NOT || head->chunks_len > 0)))
		return RANGES_WAIT;
	return hand_over(rs, ret_failure);
}

/* ── what ended ── */

static void drain(struct ranges *rs, enum draining how)
{
	if (rs->draining == DRAINING_NOT)
		rs->draining = how;
}

/* Use one stream from now on; if ranges were mishandled, for other transfers too. */
static void turn_off(struct ranges *rs, const struct range *r)
{
	char at[ORIGIN_TEXT_SIZE];
	origin_format(rs->env.home, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = rs->env.ref, .host = at},
		 "'%s' cannot serve '%s' in ranges: %s; continuing with one stream", at, rs->env.shown,
		 r->failure.why.text);
	if (r->answer == RANGE_MISHANDLED)
		host_ranges_off(rs->env.hosts, rs->env.home, clock_mono_ms() + RANGES_OFF_MS);
	rs->spent = true;
}

static void log_again(const struct ranges *rs, const struct range *r)
{
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = rs->env.ref, .error = r->failure.error},
		 "a range of '%s' at %" PRIu64 ": %s; requesting it again in %.1f s", rs->env.shown, r->part->at,
		 r->failure.why.text, (double)(r->not_before_ms - clock_mono_ms()) / 1000.0);
}

static void settle(struct ranges *rs, struct range *r)
{
	uint64_t took_ms = clock_mono_ms() - r->asked_ms, len = r->part->at - r->asked_at;
	enum range_verdict verdict = range_settle(r, random_u32());
	if (r->answer == RANGE_BUSY && verdict != RANGE_PASSED)
		rs->at_a_time = running(rs) > 0 ? running(rs) : 1; /* one connection too many, perhaps */
	switch (verdict) {
	case RANGE_PASSED:
		return;
	case RANGE_DONE:
		sample_range(rs, r, len, took_ms);
		return;
	case RANGE_AGAIN:
		log_again(rs, r);
		return;
	case RANGE_FAILED:
		if (rs->draining == DRAINING_NOT)
			rs->failure = r->failure;
		drain(rs, DRAINING_FAILED);
		return;
	case RANGE_TO_STREAM:
		drain(rs, DRAINING);
		return;
	case RANGE_OFF:
		turn_off(rs, r);
		return;
	}
}

enum ranges_verdict ranges_advance(struct ranges *rs, const struct ranges_view *view, struct failure *ret_failure,
				   int *ret_error)
{
	for (size_t i = 0; i < rs->all_len; i++) {
		struct range *r = &rs->all[i];
		rs->proven = rs->proven || r->answer == RANGE_GOOD;
		if (r->state == RANGE_ENDED)
			settle(rs, r);
	}
	if (rs->spent)
		ranges_drop(rs);
	if (rs->group.alone)
		return go_on_alone(rs, view, ret_failure, ret_error);
	if (rs->spent)
		loop_timer_stop(&rs->look);
	accompany(rs, view);
	return RANGES_WAIT;
}

/* ── life ── */

static void on_poke(void *self)
{
	struct ranges *rs = self;
	rs->env.due(rs->env.self);
}

static void on_look(void *self)
{
	struct ranges *rs = self;
	rs->flush = true;
	rs->env.due(rs->env.self);
}

int ranges_new(const struct ranges_env *env, const struct range_settings *settings, struct ranges **ret_ranges)
{
	size_t count = (size_t)settings->count;
	struct ranges *rs = calloc(1, sizeof(*rs) + count * sizeof(rs->all[0]));
	if (!rs)
		return -ENOMEM;
	uint64_t share = settings->size > 0 ? settings->size : FIT_SIZE_MIN;
	uint64_t long_share = settings->size > 0 ? settings->size : FIT_LONG_SHARE;
	if (window_new(env->room, env->outlet, count, share, long_share, &rs->group.window) < 0) {
		free(rs);
		return -ENOMEM;
	}
	rs->env = *env;
	rs->group.http = env->http;
	rs->group.throttle = env->throttle;
	rs->group.policy = env->policy;
	rs->group.outlet = env->outlet;
	rs->group.changed = on_change;
	rs->group.self = rs;
	rs->all_len = rs->at_a_time = count;
	rs->fixed_size = settings->size > 0 ? rs->group.window->share : 0;
	rs->path.latency_ms = FIT_LATENCY_MAX_MS;
	rs->lead = 2 * rs->group.window->share;
	for (size_t i = 0; i < count; i++) {
		rs->all[i].group = &rs->group;
		rs->all[i].part = &rs->group.window->parts[i];
	}
	loop_timer_init(&rs->look, env->loop, on_look, rs);
	loop_timer_init(&rs->poke, env->loop, on_poke, rs);
	*ret_ranges = rs;
	return 0;
}

void ranges_free(struct ranges *rs)
{
	if (!rs)
		return;
	ranges_drop(rs);
	loop_timer_stop(&rs->look);
	loop_timer_stop(&rs->poke);
	window_free(rs->group.window);
	free(rs);
}

/* The bytes may never get that far: a digest decides in the end, or a validator in each answer. */
void ranges_stream_begins(struct ranges *rs, uint64_t answer_ms, const char *validator, bool checked)
{
	if (!rs)
		return;
	sample_latency(rs, answer_ms);
	(void)snprintf(rs->group.validator, sizeof(rs->group.validator), "%s", validator);
	if (!checked && validator[0] == '\0')
		rs->spent = true;
	rs->lone_since_ms = rs->sampled_ms = clock_mono_ms();
	rs->sampled_at = offset_of(rs);
	loop_timer_every(&rs->look, LOOK_EVERY_MS, LOOK_EVERY_MS);
}

void ranges_stream_paused(struct ranges *rs)
{
	if (rs)
		rs->lone_since_ms = NEVER_MS;
}

void ranges_stream_resumed(struct ranges *rs)
{
	if (!rs)
		return;
	rs->lone_since_ms = rs->sampled_ms = clock_mono_ms();
	rs->sampled_at = offset_of(rs);
}

void ranges_go_alone(struct ranges *rs)
{
	rs->group.alone = true;
}

void ranges_resume(struct ranges *rs)
{
	for (size_t i = 0; rs && i < rs->all_len; i++)
		if (rs->all[i].state == RANGE_RUNNING)
			http_resume(rs->all[i].exchange);
}

uint64_t ranges_wall(const struct ranges *rs)
{
	return rs ? window_next_good(rs->group.window, offset_of(rs)) : SIZE_UNKNOWN;
}
