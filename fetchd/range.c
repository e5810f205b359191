/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/range.h"

/* System */
#include <assert.h>

/* Base */
#include "common/base/clock.h"

/* Wire */
#include "common/wire/counters.h"

static void enter(struct range *r, enum range_state state)
{
	r->state = state;
	assert((state == RANGE_RUNNING) == (r->exchange != NULL));
}

static void give_turn_back(struct range *r)
{
	r->on_stream_turn = false;
	turn_end(&r->turn);
}

void range_cancel(struct range *r)
{
	if (r->exchange)
		http_cancel(r->exchange);
	r->exchange = NULL;
	enter(r, RANGE_IDLE);
	give_turn_back(r);
}

void range_drop(struct range *r)
{
	range_cancel(r);
	part_drop(r->group->window, r->part);
}

void range_begin(struct range *r)
{
	retry_begin(&r->retry, r->part->start);
	r->not_before_ms = 0;
	r->reopened = 0;
}

void range_reopen(struct range *r)
{
	range_cancel(r);
	part_missing(r->part);
	r->reopened++;
}

/* ── the exchange ── */

static enum range_answer weigh(const struct range *r, const struct response *a, const struct judgement *j)
{
	const char *ours = r->group->validator, *theirs = response_validator(a);
	if (j->verdict == VERDICT_RETRY)
		return RANGE_BUSY;
	if (j->verdict == VERDICT_REFUSE && j->fail == FAIL_CHANGED)
		return RANGE_CHANGED;
	if (j->verdict == VERDICT_LOGIN || j->verdict == VERDICT_REDIRECT ||
	    (j->verdict == VERDICT_REFUSE && (j->fail == FAIL_DENIED || j->fail == FAIL_NOT_FOUND)))
		return RANGE_ELSEWHERE;
	if (j->verdict != VERDICT_TAKE || a->status != 206 || j->end != r->part->end)
		return RANGE_MISHANDLED;
	if (ours[0] != '\0' && theirs[0] != '\0' && strcmp(theirs, ours) != 0)
		return RANGE_CHANGED;
	return RANGE_GOOD;
}

/* Whether the stream has passed this point, so that the range would fetch the same bytes again. */
static bool is_overtaken(const struct range *r, uint64_t at)
{
	return !r->group->alone && at < r->group->outlet->offset;
}

static bool on_head(void *self, const struct response *a)
{
	struct range *r = self;
	struct range_group *g = r->group;
	struct judgement j;
	response_judge(a, &r->want, &j);
	r->answer = weigh(r, a, &j);
	r->failure.http_status = (uint16_t)a->status;
	r->failure.retry_after_ms = a->retry_after_ms;
	if (r->answer != RANGE_GOOD) {
		r->failure.class = j.fail;
		if (j.why.text[0] != '\0')
			r->failure.why = j.why;
		else
			reason_set(&r->failure.why, "status %u for a range", a->status);
		return false;
	}
	if (is_overtaken(r, r->part->at))
		return false;
	part_coming(r->part);
	r->answer_ms = http_answer_ms(r->exchange);
	g->changed(g->self);
	return true;
}

static enum body_answer on_body(void *self, const void *data, size_t len)
{
	struct range *r = self;
	struct range_group *g = r->group;
	struct part *p = r->part;
	if (len > p->end - p->at) {
		r->answer = RANGE_MISHANDLED;
		reason_set(&r->failure.why, "the server sent more than the requested range");
		return BODY_STOP;
	}
	if (!part_has_room(g->window, p, len)) {
		r->was_held = true;
		g->changed(g->self);
		return BODY_PAUSE;
	}
	if (throttle_holds(g->throttle, g->policy)) {
		count_add(COUNT_PAUSES_BANDWIDTH, 1);
		return BODY_PAUSE;
	}
	if (part_put(g->window, p, data, len) < 0)
		return BODY_STOP;
	count_add(COUNT_FETCHED_BYTES, len);
	throttle_took(g->throttle, len);
	retry_progress(&r->retry, p->at);
	if (p->state == PART_WHOLE || (p->chunks_len > 1 && p->start == g->outlet->offset))
		g->changed(g->self);
	return BODY_TAKEN;
}

static void on_end(void *self, enum http_end end, int error, const struct reason *why)
{
	struct range *r = self;
	r->exchange = NULL;
	enter(r, RANGE_ENDED);
	r->failure.end = end;
	r->failure.error = error;
	if (end == HTTP_WHOLE && r->answer == RANGE_GOOD)
		reason_set(&r->failure.why, "the body ended early");
	else if (end != HTTP_STOPPED)
		r->failure.why = *why;
	if (end == HTTP_NO_ADDRESS || end == HTTP_NO_CONNECTION || end == HTTP_NO_TLS)
		r->failure.class = FAIL_UNAVAILABLE;
	r->group->changed(r->group->self);
}

static const struct http_hooks hooks = {on_head, on_body, on_end};

bool range_ask(struct range *r, struct http_ask *ask, const struct want *want)
{
	assert(r->state == RANGE_IDLE && r->part->state == PART_MISSING);
	r->want = *want;
	r->want.offset = r->part->at;
	r->want.whole = false;
	ask->first = r->part->at;
	ask->last = r->part->end - 1;
	ask->one_of_many = true;
	ask->patience.answer_ms = ask->patience.stall_ms;      /* the stream's answer has come, so it has the content */
	ask->fresh = r->retry.failures > 0 || r->reopened > 0; /* not the connection that failed */
	r->answer = RANGE_UNANSWERED;
	r->failure = (struct failure){.class = FAIL_AGAIN};
	r->asked_ms = r->since_ms = clock_mono_ms();
	r->asked_at = r->part->at;
	r->was_held = false;
	r->part->held = false;
	count_add(COUNT_REQUESTS, 1);
	if (http_start(r->group->http, ask, &hooks, r, &r->exchange) < 0) {
		give_turn_back(r);
		return false;
	}
	enter(r, RANGE_RUNNING);
	part_asked(r->part);
	return true;
}

void range_go_on(struct range *r)
{
	if (r->state != RANGE_RUNNING || !r->part->held || !part_has_room(r->group->window, r->part, PART_CHUNK_SIZE))
		return;
	r->since_ms = clock_mono_ms();
	http_resume(r->exchange);
}

/* ── what follows ── */

/* It broke off, or the server is busy: continue from where it stopped, a little later. */
static enum range_verdict again(struct range *r, uint32_t random)
{
	struct retry_settings limits = r->group->policy->host.retry;
	uint64_t wait_ms;
	limits.max = RANGE_RETRIES;
	part_missing(r->part);
	if (!retry_failure(&r->retry, &limits, r->failure.retry_after_ms, random, &wait_ms))
		return RANGE_FAILED;
	r->not_before_ms = clock_mono_ms() + wait_ms;
	return RANGE_AGAIN;
}

enum range_verdict range_settle(struct range *r, uint32_t random)
{
	assert(r->state == RANGE_ENDED);
	enter(r, RANGE_IDLE);
	give_turn_back(r);
	if (!part_is_good(r->part) && is_overtaken(r, r->part->start))
		return RANGE_PASSED;
	switch (r->answer) {
	case RANGE_MISHANDLED:
	case RANGE_CHANGED:
		return RANGE_OFF;
	case RANGE_ELSEWHERE:
		part_missing(r->part);
		return RANGE_TO_STREAM;
	case RANGE_GOOD:
		if (r->part->state == PART_WHOLE)
			return RANGE_DONE;
		break;
	case RANGE_BUSY:
	case RANGE_UNANSWERED:
		break;
	}
	return again(r, random);
}
