#include "fetchd/fetch.h"

/* System */
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "fetchd/auth/credentials.h"
#include "fetchd/config/settings.h"
#include "fetchd/steps.h"

#define UNWANTED_MAX (64u << 10) /* bytes of the body of a redirect or an error, to keep the connection */

void fetch_run(struct fetch *f, const struct fetch_step *next)
{
	while (next) {
		f->step = next;
		log_debug("%s: %s", f->ref, next->name);
		next = next->go(f);
	}
}

/* Events: each names the step that follows. */

static void on_turn(void *self)
{
	fetch_run(self, &step_present);
}

static void on_wait_over(void *self)
{
	fetch_run(self, &step_line_up);
}

static void stream_resume(struct fetch *f)
{
	ranges_stream_resumed(f);
	http_resume(f->exchange);
}

static void on_drained(void *self)
{
	struct fetch *f = self;
	if (f->step == &step_last) {
		fetch_run(f, &step_last);
		return;
	}
	ranges_poke(f);
	if (f->exchange && !loop_timer_is_set(&f->pause))
		stream_resume(f);
}

/* ── limits ── */

static void on_pause_over(void *self)
{
	struct fetch *f = self;
	if (f->exchange)
		stream_resume(f);
	ranges_resume(f);
}

bool fetch_held_back(struct fetch *f)
{
	struct bucket *host = f->turn.host ? &f->turn.host->bucket : NULL;
	const struct settings *s = f->env->settings;
	struct speed_settings speed = settings_speed(s, f->host);
	uint64_t now_ms = clock_mono_ms(), wait_ms = 0;
	struct {
		struct bucket *bucket;
		uint64_t rate;
	} all[] = {{f->env->bucket, s->bandwidth}, {host, speed.per_host}, {&f->bucket, speed.per_transfer}};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!all[i].bucket)
			continue;
		bucket_rate(all[i].bucket, all[i].rate, now_ms);
		uint64_t due_ms = bucket_wait(all[i].bucket, now_ms);
		wait_ms = due_ms > wait_ms ? due_ms : wait_ms;
	}
	if (wait_ms > 0 && !loop_timer_is_set(&f->pause))
		loop_timer_set(&f->pause, wait_ms);
	return wait_ms > 0;
}

void fetch_took(struct fetch *f, size_t len)
{
	bucket_take(f->env->bucket, len);
	if (f->turn.host)
		bucket_take(&f->turn.host->bucket, len);
	bucket_take(&f->bucket, len);
}

/* ── what the exchange tells ── */

static bool on_head(void *self, const struct response *r)
{
	struct fetch *f = self;
	f->turn.host->answered = true;
	f->has_head = true;
	f->http_status = (uint16_t)r->status;
	f->challenge = r->challenge;
	f->retry_after_ms = r->retry_after_ms;
	if (f->resolve)
		response_judge_head(r, &f->judgement);
	else
		response_judge(r, &f->want, &f->judgement);
	buf_clear(&f->location);
	if (f->judgement.verdict == VERDICT_REDIRECT && buf_append_str(&f->location, r->location) < 0)
		return false;
	if ((f->judgement.verdict == VERDICT_TAKE && (!f->opened || f->want.offset == 0)) ||
	    f->judgement.verdict == VERDICT_RESOLVED) {
		memcpy(f->media_type, r->media_type, sizeof(f->media_type));
		memcpy(f->learned, r->digest, sizeof(f->learned));
		(void)snprintf(f->validator, sizeof(f->validator), "%s", response_validator(r));
	}
	fetch_run(f, f->judgement.verdict == VERDICT_TAKE ? &step_open : &step_drain);
	if (f->judgement.verdict == VERDICT_TAKE)
		ranges_consider(f, r);
	/* Who cannot be believed about this body may be wrong about where it ends, and the next answer begins. */
	bool is_nonsense = f->judgement.verdict == VERDICT_REFUSE && f->judgement.fail == FAIL_BAD_DATA;
	return f->sink_error == 0 && !is_nonsense;
}

/* The end of what this body may bring. */
static uint64_t limit_of(const struct fetch *f)
{
	return f->judgement.end != SIZE_UNKNOWN ? f->judgement.end : f->want.size_max;
}

static enum body_answer take(struct fetch *f, const uint8_t *data, size_t len)
{
	size_t skip = f->judgement.skip < len ? (size_t)f->judgement.skip : len;
	size_t fresh = len - skip;
	if (fresh > limit_of(f) - f->want.offset) {
		f->judgement.verdict = VERDICT_REFUSE;
		f->judgement.fail = FAIL_BAD_DATA;
		reason_set(&f->judgement.why, "the server sent more than the %llu bytes that there can be",
			   (unsigned long long)limit_of(f));
		return BODY_STOP;
	}
	uint64_t wall = ranges_wall(f);
	if (fresh > wall - f->want.offset)
		fresh = (size_t)(wall - f->want.offset);
	bool held = fetch_held_back(f);
	int r = held ? -EAGAIN : fresh > 0 ? outlet_put(&f->outlet, data + skip, fresh) : 0;
	if (r == -EAGAIN) {
		count_add(held ? COUNT_PAUSES_BANDWIDTH : COUNT_PAUSES_PIPE, 1);
		ranges_stream_paused(f);
		return BODY_PAUSE;
	}
	if (r < 0) {
		f->sink_error = r;
		return BODY_STOP;
	}
	count_add(COUNT_FETCHED_BYTES, fresh);
	count_add(COUNT_WASTED_BYTES, skip);
	fetch_took(f, skip + fresh);
	f->judgement.skip -= skip;
	f->want.offset += fresh;
	if (fresh > 0) {
		backoff_progress(&f->backoff, f->want.offset);
		f->served |= UINT32_C(1) << f->sites[f->site];
		f->pass_is_fresh = false;
	}
	return f->want.offset == wall ? BODY_STOP : BODY_TAKEN;
}

static enum body_answer on_body(void *self, const void *data, size_t len)
{
	struct fetch *f = self;
	if (f->judgement.verdict == VERDICT_TAKE)
		return take(f, data, len);
	f->unwanted_bytes += len;
	count_add(COUNT_WASTED_BYTES, len);
	return f->unwanted_bytes > UNWANTED_MAX ? BODY_STOP : BODY_TAKEN;
}

static void on_end(void *self, enum http_end end, int error, const struct reason *why)
{
	struct fetch *f = self;
	f->exchange = NULL;
	f->end = end;
	f->error = error;
	f->end_why = *why;
	fetch_run(f, &step_settle);
}

const struct http_hooks fetch_http_hooks = {on_head, on_body, on_end};

static char *copy(struct span s)
{
	return strndup(s.len > 0 ? (const char *)s.data : "", s.len);
}

int fetch_new(const struct fetcher *env, const struct fetch_order *order, const struct fetch_hooks *hooks, void *self,
	      struct fetch **ret_fetch)
{
	struct fetch *f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->env = env;
	f->hooks = hooks;
	f->self = self;
	f->ref = copy(order->ref);
	f->source = copy(order->source);
	if (!f->ref || !f->source) {
		fetch_free(f);
		return -ENOMEM;
	}
	f->attempt = order->attempt;
	f->resolve = order->resolve;
	f->suspects = order->suspects;
	url_show(order->source, f->shown);
	f->want.offset = f->backoff.credited = order->offset;
	f->want.size = order->size;
	f->want.size_max = INT64_MAX;
	f->want.checked = order->checked || order->expected.len > 0;
	(void)snprintf(f->want.expected, sizeof(f->want.expected), "%.*s", SPAN_ARG(order->expected));
	(void)snprintf(f->want.validator, sizeof(f->want.validator), "%.*s", SPAN_ARG(order->validator));
	f->turn.go = on_turn;
	f->turn.self = f;
	f->pass_wait.go = fetch_on_pass;
	f->pass_wait.self = f;
	loop_timer_init(&f->wait, env->loop, on_wait_over, f);
	loop_timer_init(&f->pause, env->loop, on_pause_over, f);
	f->outlet.drained = on_drained;
	f->outlet.self = f;
	f->outlet.ref = span_str(f->ref);
	f->outlet.attempt = f->attempt;
	f->outlet.offset = f->want.offset;
	outlet_init(&f->outlet, env->sink);
	*ret_fetch = f;
	return 0;
}

void fetch_start(struct fetch *f)
{
	fetch_run(f, &step_plan);
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	if (f->exchange)
		http_cancel(f->exchange);
	ranges_free(f);
	loop_timer_stop(&f->wait);
	loop_timer_stop(&f->pause);
	outlet_release(&f->outlet);
	turn_end(&f->turn);
	pass_leave(&f->pass_wait);
	secret_wipe(&f->pass);
	buf_release(&f->start_url);
	buf_release(&f->url);
	buf_release(&f->location);
	free(f->ref);
	free(f->source);
	free(f);
}

void fetch_describe_wait(struct fetch *f, const char *at)
{
	char until[CLOCK_TEXT_SIZE];
	clock_format(f->until_s, until);
	reason_set(&f->beat, "waiting until %s to try '%s' again: %s", until, at, f->why.text);
}

static void say_what_it_waits_for(struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	origin_format(&f->at, at);
	if (loop_timer_is_set(&f->wait))
		fetch_describe_wait(f, at);
	else if (f->pass_wait.pass)
		pass_describe(&f->pass_wait, &f->beat);
	else if (!f->exchange && f->step == &step_spread)
		reason_set(&f->beat, "waiting for ranges from '%s'", at);
	else if (!f->exchange)
		reason_set(&f->beat, "waiting for a connection to '%s'", at);
	else if (!http_is_connected(f->exchange))
		reason_set(&f->beat, "connecting to '%s'", at);
	else if (!f->has_head)
		reason_set(&f->beat, "waiting for an answer of '%s'", at);
	else
		reason_set(&f->beat, "waiting for bytes from '%s'", at);
}

void fetch_beat(struct fetch *f)
{
	if (clock_mono_ms() - f->outlet.last_sent_ms < BEAT_EVERY_MS || f->step == &step_last)
		return;
	say_what_it_waits_for(f);
	struct message m = {
	    .type = MSG_BEAT,
	    .until_s = loop_timer_is_set(&f->wait) ? f->until_s : 0,
	    .text = span_str(f->beat.text),
	};
	f->sink_error = outlet_say(&f->outlet, &m);
}

void fetch_count(const struct fetch *f)
{
	bool in_line = f->turn.host && !f->turn.holding;
	count_add(loop_timer_is_set(&f->wait) ? COUNT_FETCHES_WAITING
		  : in_line                   ? COUNT_FETCHES_IN_LINE
					      : COUNT_FETCHES_BUSY,
		  1);
	if (f->outlet.waiting)
		count_add(COUNT_BACKLOG_CHUNKS, 1);
}

enum fail_class fetch_outcome(const struct fetch *f)
{
	return f->fail;
}

uint32_t fetch_served(const struct fetch *f)
{
	return f->served;
}

int fetch_sink_error(const struct fetch *f)
{
	return f->sink_error;
}
