/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/stream.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "fetchd/http/refusal.h"

static void enter(struct stream *s, enum stream_state state)
{
	s->state = state;
	assert(stream_runs(s) == (s->exchange != NULL));
}

static void forget_answer(struct stream *s)
{
	s->judgement = (struct judgement){0};
	s->failure = (struct failure){0};
	s->challenge = (struct challenge){0};
	s->unwanted_bytes = 0;
	buf_release(&s->refusal);
	buf_wipe(&s->sent);
	buf_clear(&s->location);
	s->media_type[0] = s->digest[0] = s->validator[0] = '\0';
}

void stream_reset(struct stream *s)
{
	if (s->exchange)
		http_cancel(s->exchange);
	s->exchange = NULL;
	forget_answer(s);
	enter(s, STREAM_IDLE);
}

void stream_release(struct stream *s)
{
	stream_reset(s);
	buf_release(&s->location);
}

static int note_sent(struct stream *s, const struct http_ask *ask)
{
	const char *query = strchr(ask->url, '?');
	int r = query ? refusal_add_values(&s->sent, query + 1, NULL) : 0;
	if (r == 0 && ask->authorization)
		r = refusal_add_authorization(&s->sent, ask->authorization);
	for (size_t i = 0; i < ask->headers_len && r == 0; i++)
		r = refusal_add_authorization(&s->sent, ask->headers[i]);
	return r;
}

int stream_ask(struct stream *s, struct http *http, const struct http_ask *ask, const struct want *want,
	       const struct http_hooks *hooks, void *self)
{
	assert(!s->exchange);
	forget_answer(s);
	s->want = *want;
	s->head_only = ask->head;
	count_add(COUNT_REQUESTS, 1);
	int r = note_sent(s, ask);
	if (r == 0)
		r = http_start(http, ask, hooks, self, &s->exchange);
	enter(s, r < 0 ? STREAM_IDLE : STREAM_ASKED);
	return r;
}

bool stream_runs(const struct stream *s)
{
	return s->state == STREAM_ASKED || s->state == STREAM_TAKING || s->state == STREAM_DRAINING;
}

bool stream_is_good(const struct stream *s)
{
	return s->state == STREAM_TAKING || (s->state == STREAM_OVER && s->judgement.verdict == VERDICT_TAKE);
}

bool stream_is_flowing(const struct stream *s)
{
	return s->state == STREAM_TAKING && s->judgement.skip == 0;
}

bool stream_head(struct stream *s, const struct response *r)
{
	struct judgement *j = &s->judgement;
	assert(s->state == STREAM_ASKED);
	s->failure.http_status = (uint16_t)r->status;
	s->failure.retry_after_ms = r->retry_after_ms;
	s->challenge = r->challenge;
	if (s->head_only)
		response_judge_head(r, j);
	else
		response_judge(r, &s->want, j);
	enter(s, j->verdict == VERDICT_TAKE ? STREAM_TAKING : STREAM_DRAINING);
	if (j->verdict == VERDICT_TAKE || j->verdict == VERDICT_RESOLVED) {
		memcpy(s->media_type, r->media_type, sizeof(s->media_type));
		memcpy(s->digest, r->digest, sizeof(s->digest));
		(void)snprintf(s->validator, sizeof(s->validator), "%s", response_validator(r));
	}
	if (j->verdict == VERDICT_REDIRECT && buf_append_str(&s->location, r->location) < 0) {
		j->verdict = VERDICT_RETRY;
		j->fail = FAIL_AGAIN;
		reason_set(&j->why, "out of memory");
		return false;
	}
	/*
	 * A server that is wrong about this body may also be wrong about where it ends and the next answer starts; one
	 * that refuses may say why.
	 */
	return j->verdict != VERDICT_REFUSE || j->fail != FAIL_BAD_DATA || (r->status >= 400 && !r->broken);
}

static bool is_range(const struct stream *s)
{
	return s->want.offset > 0 && !s->want.whole;
}

/* The limit of this body. */
static uint64_t limit_of(const struct stream *s)
{
	return s->judgement.end != SIZE_UNKNOWN ? s->judgement.end : s->want.size_max;
}

static enum body_answer stop_too_long(struct stream *s)
{
	struct judgement *j = &s->judgement;
	j->verdict = VERDICT_REFUSE;
	j->fail = FAIL_BAD_DATA;
	j->wrong = is_range(s);
	reason_set(&j->why, "the server sent more than the allowed %llu bytes", (unsigned long long)limit_of(s));
	return BODY_STOP;
}

static struct stream_piece drain(struct stream *s, const void *data, size_t len)
{
	size_t room = REFUSAL_BODY_MAX + 1 - s->refusal.len;
	if (s->failure.http_status >= 400)
		(void)buf_append(&s->refusal, data, len < room ? len : room);
	s->unwanted_bytes += len;
	count_add(COUNT_WASTED_BYTES, len);
	return (struct stream_piece){.answer = s->unwanted_bytes > UNWANTED_MAX ? BODY_STOP : BODY_DROPPED};
}

struct stream_piece stream_body(struct stream *s, struct outlet *o, struct throttle *t, const struct policy *p,
				uint64_t wall, const void *data, size_t len)
{
	if (s->state == STREAM_DRAINING)
		return drain(s, data, len);
	size_t skip = s->judgement.skip < len ? (size_t)s->judgement.skip : len;
	size_t fresh = len - skip;
	if (fresh > limit_of(s) - o->offset)
		return (struct stream_piece){.answer = stop_too_long(s)};
	if (fresh > wall - o->offset)
		fresh = (size_t)(wall - o->offset);
	bool held = throttle_holds(t, p);
	int r = held ? -EAGAIN : fresh > 0 ? outlet_put(o, (const uint8_t *)data + skip, fresh) : 0;
	if (r == -EAGAIN) {
		count_add(held ? COUNT_PAUSES_BANDWIDTH : COUNT_PAUSES_PIPE, 1);
		return (struct stream_piece){.answer = BODY_PAUSE};
	}
	if (r < 0)
		return (struct stream_piece){.answer = BODY_STOP, .error = r};
	count_add(COUNT_FETCHED_BYTES, fresh);
	count_add(COUNT_WASTED_BYTES, skip);
	throttle_took(t, skip + fresh);
	s->judgement.skip -= skip;
	return (struct stream_piece){.answer = o->offset == wall ? BODY_STOP : BODY_TAKEN, .fresh = fresh};
}

void stream_end(struct stream *s, enum http_end end, int error, const struct reason *why)
{
	bool answered = s->state != STREAM_ASKED;
	s->exchange = NULL;
	s->failure.end = end;
	s->failure.error = error;
	s->failure.why = *why;
	if (s->failure.http_status >= 400)
		refusal_explain(buf_span(&s->refusal), &s->sent, &s->judgement.why);
	enter(s, answered ? STREAM_OVER : STREAM_BROKEN);
}

/* ── what follows ── */

static enum stream_verdict fail(struct failure *f, enum fail_class class, enum stream_verdict verdict, const char *why)
{
	f->class = class;
	reason_set(&f->why, "%s", why);
	return verdict;
}

/* The exchange ended too early. */
static enum stream_verdict settle_end(const struct stream *s, struct failure *f)
{
	switch (s->failure.end) {
	case HTTP_NO_ADDRESS:
	case HTTP_NO_CONNECTION:
	case HTTP_NO_TLS:
		return fail(f, FAIL_UNAVAILABLE, STREAM_RETRY, s->failure.why.text);
	case HTTP_DENIED:
		return fail(f, FAIL_DENIED, STREAM_GIVE_UP, s->failure.why.text);
	case HTTP_REFUSED:
		return fail(f, FAIL_BAD_DATA, s->state == STREAM_OVER && is_range(s) ? STREAM_WRONG : STREAM_GIVE_UP,
			    s->failure.why.text);
	default:
		return fail(f, FAIL_AGAIN, STREAM_RETRY, s->failure.why.text);
	}
}

/* The body is complete. If its length was not announced, the content ends where the server ended it. */
static enum stream_verdict settle_body(const struct stream *s, uint64_t offset, uint64_t size, uint64_t wall,
				       struct failure *f)
{
	if (wall == offset && offset < size)
		return STREAM_AT_WALL;
	if (offset == size)
		return STREAM_ALL; /* however it ended: nothing is left to request */
	if (s->failure.end != HTTP_WHOLE)
		return settle_end(s, f);
	if (size == SIZE_UNKNOWN && s->judgement.skip == 0)
		return STREAM_ALL;
	if (offset - s->want.offset >= SHORT_RANGE_MIN)
		return STREAM_NEXT;
	return fail(f, FAIL_AGAIN, STREAM_RETRY, "the body ended early");
}

enum stream_verdict stream_settle(const struct stream *s, uint64_t offset, uint64_t size, uint64_t wall,
				  struct failure *ret_failure)
{
	const struct judgement *j = &s->judgement;
	*ret_failure = s->failure;
	if (s->state != STREAM_OVER)
		return settle_end(s, ret_failure);
	switch (j->verdict) {
	case VERDICT_TAKE:
		return settle_body(s, offset, size, wall, ret_failure);
	case VERDICT_REDIRECT:
		return STREAM_REDIRECT;
	case VERDICT_LOGIN:
		return fail(ret_failure, j->fail, STREAM_CHALLENGE, j->why.text);
	case VERDICT_RETRY:
		return fail(ret_failure, j->fail, STREAM_RETRY, j->why.text);
	case VERDICT_NARROW:
		return STREAM_NARROW;
	case VERDICT_WHOLE:
		return fail(ret_failure, j->fail, STREAM_NO_RANGE, j->why.text);
	case VERDICT_COMPLETE:
		return STREAM_COMPLETE;
	case VERDICT_RESOLVED:
		return STREAM_RESOLVED;
	case VERDICT_GET:
		return STREAM_GET;
	case VERDICT_REFUSE:
		break;
	}
	return fail(ret_failure, j->fail,
		    j->wrong                 ? STREAM_WRONG
		    : j->fail == FAIL_DENIED ? STREAM_FORBIDDEN
					     : STREAM_GIVE_UP,
		    j->why.text);
}
