#include "fetchd/range.h"

/* System */
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* Own */
#include "fetchd/config/settings.h"

#define LOOK_EVERY_MS    50 /* bytes at the head of the window that do not fill a chunk wait no longer */
#define OVERTAKES_MAX    3  /* a stream that is past each range before it is answered needs none */
#define HAND_OVERS_MAX   3  /* in a row with little in between, then the transfer stays one stream */
#define SLOW_FACTOR      4  /* times what the others take for a part, then a range is opened again ... */
#define SLOW_MIN_MS      1000u
#define SLOW_REOPENS_MAX 3 /* ... so often for a part */

bool ranges_spread(const struct fetch *f)
{
	return f->step == &step_spread;
}

size_t ranges_running(const struct ranges *rs)
{
	size_t count = 0;
	for (size_t i = 0; i < rs->all_len; i++)
		count += rs->all[i].exchange != NULL;
	return count;
}

void ranges_poke(struct fetch *f)
{
	if (f->ranges)
		loop_timer_set(&f->ranges->poke, 0);
}

/* The bytes may never get that far: a digest decides in the end, or a validator in each answer. */
static bool may_mix(const struct fetch *f)
{
	return f->want.checked || f->ranges->validator[0] != '\0';
}

static struct range *range_of(struct ranges *rs, const struct part *p)
{
	return &rs->all[p - rs->window->parts];
}

static void range_drop(struct range *r)
{
	range_cancel(r);
	part_drop(r->fetch->ranges->window, r->part);
	r->not_before_ms = 0;
	r->reopened = 0;
}

void ranges_drop(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	if (!rs)
		return;
	for (size_t i = 0; i < rs->all_len; i++)
		range_drop(&rs->all[i]);
	rs->draining = false;
}

/* The stream passed by parts that nobody had begun to send. */
static void drop_overtaken(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	bool any = false;
	for (size_t i = 0; i < rs->all_len; i++) {
		struct part *p = rs->all[i].part;
		if (p->state == PART_FREE || part_is_good(p) || p->start >= f->want.offset)
			continue;
		range_drop(&rs->all[i]);
		any = true;
	}
	if (!any)
		return;
	if (++rs->overtakes == OVERTAKES_MAX)
		rs->spent = true;
	if (rs->lead < rs->window->part_size * rs->all_len)
		rs->lead *= 2;
}

static void pass_on(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	struct part *p;
	while ((p = window_at(rs->window, f->want.offset)) && f->sink_error == 0) {
		int r = part_pass_on(rs->window, p, rs->flush);
		if (p->start > f->want.offset) {
			f->want.offset = p->start;
			backoff_progress(&f->backoff, f->want.offset);
			f->pass_is_fresh = false;
		}
		f->sink_error = r == -EAGAIN ? 0 : r;
		if (p->start < p->end)
			break;
		rs->passed++;
	}
	rs->flush = false;
	for (size_t i = 0; i < rs->all_len; i++)
		if (rs->all[i].part->state == PART_WHOLE && rs->all[i].part->start == rs->all[i].part->end &&
		    !rs->all[i].exchange)
			range_drop(&rs->all[i]);
}

/* Whether parts behind this one, asked for no sooner, are there already; or all others are, and this is the last. */
static bool is_late(const struct ranges *rs, const struct range *r, uint64_t now_ms)
{
	uint64_t limit_ms = SLOW_FACTOR * rs->part_ms;
	if (!r->exchange || r->part->state == PART_WHOLE || rs->part_ms == PART_MS_UNKNOWN ||
	    r->reopened == SLOW_REOPENS_MAX)
		return false;
	if (now_ms - r->asked_ms < (limit_ms > SLOW_MIN_MS ? limit_ms : SLOW_MIN_MS))
		return false;
	for (size_t i = 0; i < rs->all_len; i++)
		if (rs->all[i].part->state == PART_WHOLE && rs->all[i].part->start > r->part->start)
			return true;
	return ranges_running(rs) == 1;
}

static void reopen_slow(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	uint64_t now_ms = clock_mono_ms();
	char at[ORIGIN_TEXT_SIZE];
	origin_format(&f->at, at);
	for (size_t i = 0; i < rs->all_len; i++) {
		struct range *r = &rs->all[i];
		if (!is_late(rs, r, now_ms))
			continue;
		log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = f->ref, .host = at},
			 "a range of '%s' is far slower than the others; asking '%s' again", f->shown, at);
		range_cancel(r);
		r->part->state = PART_MISSING;
		r->reopened++;
	}
}

static struct range *next_to_open(struct fetch *f, size_t parts_max)
{
	struct ranges *rs = f->ranges;
	uint64_t now_ms = clock_mono_ms();
	struct range *first = NULL;
	for (size_t i = 0; i < rs->all_len; i++) {
		struct range *r = &rs->all[i];
		if (r->part->state == PART_MISSING && !r->exchange && r->not_before_ms <= now_ms &&
		    (!first || r->part->start < first->part->start))
			first = r;
	}
	if (first)
		return first;
	struct part *p = window_add(rs->window, parts_max, f->want.size);
	if (!p)
		return NULL;
	first = range_of(rs, p);
	first->backoff = (struct backoff){.credited = p->start};
	return first;
}

/* As many as there may be. Where the URL leads is known from the stream's last good answer. */
static void open_more(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	size_t parts_max = (size_t)settings_ranges(f->env->settings, f->host).count;
	size_t at_a_time = parts_max < rs->at_a_time ? parts_max : rs->at_a_time;
	size_t others = f->exchange ? 1 : 0;
	if (rs->draining || !f->has_head || f->judgement.verdict != VERDICT_TAKE)
		return;
	while (ranges_running(rs) + others < at_a_time && (rs->proven || ranges_running(rs) == 0)) {
		struct range *r = next_to_open(f, parts_max);
		if (!r || !range_open(r))
			return;
	}
}

/* One stream has run for long enough without us in its way, and enough is left to share. */
static bool is_time(const struct fetch *f)
{
	const struct ranges *rs = f->ranges;
	struct range_settings set = settings_ranges(f->env->settings, f->host);
	uint64_t now_ms = clock_mono_ms();
	return !rs->spent && f->exchange && f->turn.holding && f->has_head && f->judgement.verdict == VERDICT_TAKE &&
	       f->judgement.skip == 0 && rs->lone_since_ms <= now_ms && now_ms - rs->lone_since_ms >= RANGES_LONE_MS &&
	       set.count > 1 && f->want.size - f->want.offset >= set.min &&
	       host_ranges_allowed(f->env->hosts, &f->home, now_ms);
}

/* While the stream runs, or waits to be tried again. */
static void accompany(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	drop_overtaken(f);
	if (rs->draining && ranges_wall(f) != SIZE_UNKNOWN) {
		/* No more before the stream comes to what is there; with itself nothing is wrong. */
		rs->after = &step_line_up;
	} else if (rs->draining && ranges_running(rs) == 0) {
		rs->draining = false;
		rs->spent = ++rs->hand_overs >= HAND_OVERS_MAX;
	}
	if (!window_is_empty(rs->window)) {
		open_more(f);
	} else if (is_time(f)) {
		window_begin(rs->window, f->want.offset + rs->lead);
		open_more(f);
	}
}

/* Back to one stream, which begins where the source says. */
static const struct fetch_step *hand_over(struct fetch *f, const struct fetch_step *next)
{
	struct ranges *rs = f->ranges;
	uint64_t wall = ranges_wall(f);
	for (size_t i = 0; i < rs->all_len; i++)
		if (!part_is_good(rs->all[i].part) && rs->all[i].part->start < wall)
			range_drop(&rs->all[i]);
	if (rs->passed > 2 * rs->all_len)
		rs->hand_overs = 0;
	if (++rs->hand_overs >= HAND_OVERS_MAX)
		rs->spent = true;
	rs->passed = 0;
	rs->draining = false;
	if (next == &step_line_up)
		turn_end(&f->turn);
	return next;
}

const struct fetch_step *ranges_advance(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	for (size_t i = 0; i < rs->all_len; i++)
		if (rs->all[i].ended)
			range_settle(&rs->all[i]);
	if (rs->spent)
		ranges_drop(f);
	if (rs->spent && !ranges_spread(f))
		loop_timer_stop(&rs->look);
	if (!ranges_spread(f)) {
		accompany(f);
		return NULL;
	}
	if (rs->draining && ranges_running(rs) == 0)
		rs->flush = true; /* what is there goes first, and the stream begins behind it */
	pass_on(f);
	if (f->sink_error < 0)
		return &step_done;
	if (f->want.offset == f->want.size)
		return &step_end;
	reopen_slow(f);
	open_more(f);
	const struct part *head = window_at(rs->window, f->want.offset);
	if (ranges_running(rs) > 0 || (head && (!rs->draining || head->chunks_len > 0)))
		return NULL;
	return hand_over(f, rs->draining ? rs->after : &step_line_up);
}

static void on_poke(void *self)
{
	struct fetch *f = self;
	const struct fetch_step *next = ranges_advance(f);
	if (next)
		fetch_run(f, next);
}

static void on_look(void *self)
{
	struct fetch *f = self;
	f->ranges->flush = true;
	on_poke(f);
}

/* ── with the stream ── */

static int make(struct fetch *f)
{
	struct range_settings set = settings_ranges(f->env->settings, f->host);
	size_t count = (size_t)set.count;
	struct ranges *rs = calloc(1, sizeof(*rs) + count * sizeof(rs->all[0]));
	if (!rs)
		return -ENOMEM;
	if (window_new(f->env->room, &f->outlet, count, set.size, &rs->window) < 0) {
		free(rs);
		return -ENOMEM;
	}
	rs->all_len = rs->at_a_time = count;
	rs->part_ms = PART_MS_UNKNOWN;
	rs->lead = 2 * rs->window->part_size;
	for (size_t i = 0; i < rs->all_len; i++) {
		rs->all[i].fetch = f;
		rs->all[i].part = &rs->window->parts[i];
	}
	loop_timer_init(&rs->look, f->env->loop, on_look, f);
	loop_timer_init(&rs->poke, f->env->loop, on_poke, f);
	f->ranges = rs;
	return 0;
}

void ranges_consider(struct fetch *f, const struct response *r)
{
	struct range_settings set = settings_ranges(f->env->settings, f->host);
	bool worthwhile = f->kind != SOURCE_MANIFEST && set.count > 1 && f->want.size != SIZE_UNKNOWN &&
			  f->want.size - f->want.offset >= set.min;
	if (!f->ranges && (!worthwhile || make(f) < 0))
		return;
	(void)snprintf(f->ranges->validator, sizeof(f->ranges->validator), "%s", response_validator(r));
	if (!may_mix(f))
		f->ranges->spent = true;
	f->ranges->lone_since_ms = clock_mono_ms();
	loop_timer_every(&f->ranges->look, LOOK_EVERY_MS, LOOK_EVERY_MS);
}

void ranges_stream_paused(struct fetch *f)
{
	if (f->ranges)
		f->ranges->lone_since_ms = UINT64_MAX;
}

void ranges_stream_resumed(struct fetch *f)
{
	if (f->ranges)
		f->ranges->lone_since_ms = clock_mono_ms();
}

void ranges_resume(struct fetch *f)
{
	for (size_t i = 0; f->ranges && i < f->ranges->all_len; i++)
		if (f->ranges->all[i].exchange)
			http_resume(f->ranges->all[i].exchange);
}

uint64_t ranges_wall(const struct fetch *f)
{
	return f->ranges ? window_next_good(f->ranges->window, f->want.offset) : SIZE_UNKNOWN;
}

bool ranges_run(const struct fetch *f)
{
	return f->ranges && ranges_running(f->ranges) > 0;
}

void ranges_free(struct fetch *f)
{
	struct ranges *rs = f->ranges;
	if (!rs)
		return;
	ranges_drop(f);
	loop_timer_stop(&rs->look);
	loop_timer_stop(&rs->poke);
	window_free(rs->window);
	free(rs);
	f->ranges = NULL;
}
