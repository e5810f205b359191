#include "fetchd/range.h"

/* System */
#include <inttypes.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "fetchd/config/settings.h"

#define RETRIES 3 /* of a part, before the transfer's own rules count */

static void give_turn_back(struct range *r)
{
	struct ranges *rs = r->fetch->ranges;
	if (rs->own == r)
		rs->own = NULL;
	else
		turn_end(&r->turn);
}

void range_cancel(struct range *r)
{
	if (r->exchange)
		http_cancel(r->exchange);
	r->exchange = NULL;
	r->ended = false;
	give_turn_back(r);
}

static enum outcome weigh(const struct range *r, const struct response *a, const struct judgement *j)
{
	const struct ranges *rs = r->fetch->ranges;
	const char *validator = response_validator(a);
	if (j->verdict == VERDICT_RETRY)
		return OUTCOME_BUSY;
	if (j->verdict == VERDICT_REFUSE && j->fail == FAIL_CHANGED)
		return OUTCOME_CHANGED;
	if (j->verdict == VERDICT_LOGIN || j->verdict == VERDICT_REDIRECT ||
	    (j->verdict == VERDICT_REFUSE && (j->fail == FAIL_DENIED || j->fail == FAIL_NOT_FOUND)))
		return OUTCOME_ELSEWHERE;
	if (j->verdict != VERDICT_TAKE || a->status != 206 || j->end != r->part->end)
		return OUTCOME_MISHANDLED;
	if (rs->validator[0] != '\0' && validator[0] != '\0' && strcmp(validator, rs->validator) != 0)
		return OUTCOME_CHANGED;
	return OUTCOME_GOOD;
}

static bool on_head(void *self, const struct response *a)
{
	struct range *r = self;
	struct fetch *f = r->fetch;
	struct want want = f->want;
	struct judgement j;
	want.offset = r->part->at;
	want.whole = false;
	response_judge(a, &want, &j);
	r->outcome = weigh(r, a, &j);
	r->fail = j.fail;
	r->http_status = (uint16_t)a->status;
	r->retry_after_ms = a->retry_after_ms;
	if (r->outcome != OUTCOME_GOOD) {
		if (j.why.text[0] != '\0')
			r->why = j.why;
		else
			reason_set(&r->why, "status %u for a range", a->status);
		return false;
	}
	if (!ranges_spread(f) && r->part->at < f->want.offset)
		return false; /* the stream was here first */
	r->part->state = PART_COMING;
	f->ranges->proven = true;
	ranges_poke(f);
	return true;
}

static enum body_answer on_body(void *self, const void *data, size_t len)
{
	struct range *r = self;
	struct fetch *f = r->fetch;
	struct part *p = r->part;
	if (len > p->end - p->at) {
		r->outcome = OUTCOME_MISHANDLED;
		reason_set(&r->why, "the server sent more than the range that was asked for");
		return BODY_STOP;
	}
	if (fetch_held_back(f)) {
		count_add(COUNT_PAUSES_BANDWIDTH, 1);
		return BODY_PAUSE;
	}
	if (part_put(f->ranges->window, p, data, len) < 0)
		return BODY_STOP;
	count_add(COUNT_FETCHED_BYTES, len);
	fetch_took(f, len);
	backoff_progress(&r->backoff, p->at);
	if (p->state == PART_WHOLE || (p->chunks_len > 1 && p->start == f->want.offset))
		ranges_poke(f);
	return BODY_TAKEN;
}

static void on_end(void *self, enum http_end end, int error, const struct reason *why)
{
	struct range *r = self;
	r->exchange = NULL;
	r->ended = true;
	r->end = end;
	r->error = error;
	if (end == HTTP_WHOLE && r->outcome == OUTCOME_GOOD)
		reason_set(&r->why, "the body ended early");
	else if (end != HTTP_STOPPED)
		r->why = *why;
	if (end == HTTP_NO_ADDRESS || end == HTTP_NO_CONNECTION || end == HTTP_NO_TLS)
		r->fail = FAIL_UNAVAILABLE;
	ranges_poke(r->fetch);
}

static const struct http_hooks hooks = {on_head, on_body, on_end};

bool range_open(struct range *r)
{
	struct fetch *f = r->fetch;
	struct ranges *rs = f->ranges;
	struct http_ask request;
	if (ranges_spread(f) && !rs->own)
		rs->own = r;
	else if (!turn_try(f->env->hosts, &f->home, settings_connections(f->env->settings, f->host), &r->turn))
		return false;
	fetch_request(f, r->part->at, r->part->end - 1, &request);
	request.one_of_many = true;
	request.fresh = r->backoff.failures > 0 || r->reopened > 0; /* not the one that failed */
	request.patience.min_speed /= rs->all_len;                  /* they share the way */
	r->outcome = OUTCOME_NONE;
	r->fail = FAIL_AGAIN;
	r->http_status = 0;
	r->retry_after_ms = 0;
	r->asked_ms = clock_mono_ms();
	count_add(COUNT_REQUESTS, 1);
	if (http_start(f->env->http, &request, &hooks, r, &r->exchange) < 0) {
		give_turn_back(r);
		return false;
	}
	r->part->state = PART_ASKED;
	return true;
}

/* Nothing new is asked for; when the ranges that run are done, the stream goes on with `after`. */
static void drain(struct ranges *rs, const struct fetch_step *after)
{
	if (rs->draining)
		return;
	rs->draining = true;
	rs->after = after;
}

/* It broke, or the server is busy: once more from where it stopped, a little later. */
static void range_retry(struct range *r)
{
	struct fetch *f = r->fetch;
	struct backoff_limits limits = settings_retries(f->env->settings, f->host);
	char at[ORIGIN_TEXT_SIZE];
	uint64_t wait_ms;
	limits.retries = RETRIES;
	r->part->state = PART_MISSING;
	if (!backoff_failure(&r->backoff, &limits, r->retry_after_ms, arc4random(), &wait_ms)) {
		f->end = r->end;
		f->http_status = r->http_status;
		f->retry_after_ms = r->retry_after_ms;
		drain(f->ranges, fetch_fail(f, r->fail, &step_retry, r->why.text));
		f->error = r->error;
		return;
	}
	r->not_before_ms = clock_mono_ms() + wait_ms;
	origin_format(&f->at, at);
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = f->ref, .host = at, .error = r->error},
		 "a range of '%s' at %" PRIu64 ": %s; asking '%s' again in %.1f s", f->shown, r->part->at, r->why.text,
		 at, (double)wait_ms / 1000.0);
}

/* One stream from here on; where ranges were mishandled, for other transfers too. */
static void turn_off(struct range *r)
{
	struct fetch *f = r->fetch;
	char at[ORIGIN_TEXT_SIZE];
	origin_format(&f->at, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at},
		 "'%s' cannot give '%s' in ranges: %s; going on with one stream", at, f->shown, r->why.text);
	if (r->outcome == OUTCOME_MISHANDLED)
		host_ranges_off(f->env->hosts, &f->home, clock_mono_ms() + RANGES_OFF_MS);
	f->ranges->spent = true;
}

void range_settle(struct range *r)
{
	struct ranges *rs = r->fetch->ranges;
	uint64_t took_ms = clock_mono_ms() - r->asked_ms;
	r->ended = false;
	give_turn_back(r);
	if (!ranges_spread(r->fetch) && !part_is_good(r->part) && r->part->start < r->fetch->want.offset)
		return; /* the stream was here first */
	switch (r->outcome) {
	case OUTCOME_MISHANDLED:
	case OUTCOME_CHANGED:
		turn_off(r);
		return;
	case OUTCOME_ELSEWHERE:
		r->part->state = PART_MISSING;
		drain(rs, &step_line_up);
		return;
	case OUTCOME_BUSY:
		/* One connection too many, perhaps. */
		rs->at_a_time = ranges_running(rs) > 0 ? ranges_running(rs) : 1;
		break;
	case OUTCOME_GOOD:
		if (r->part->state != PART_WHOLE)
			break;
		rs->part_ms = rs->part_ms != PART_MS_UNKNOWN ? (3 * rs->part_ms + took_ms) / 4 : took_ms;
		return;
	case OUTCOME_NONE:
		break;
	}
	range_retry(r);
}
