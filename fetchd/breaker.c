/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/breaker.h"

/* System */
#include <assert.h>

#define DOUBLINGS_MAX 5 /* of BREAKER_OPEN_MIN_MS: more exceed BREAKER_OPEN_MAX_MS */

_Static_assert((uint64_t)BREAKER_OPEN_MIN_MS << DOUBLINGS_MAX >= BREAKER_OPEN_MAX_MS, "the limit is reached");

static void enter(struct breaker *b, enum breaker_state state)
{
	b->state = state;
	b->failures = state == BREAKER_OPEN ? b->failures + 1 : 0;
	b->epoch++;
}

bool breaker_admits(const struct breaker *b, uint64_t now_ms)
{
	return b->state == BREAKER_CLOSED || (now_ms >= b->until_ms && b->probes == 0);
}

void breaker_forget(struct breaker *b)
{
	enter(b, BREAKER_CLOSED);
}

/* ── admissions ── */

static void stop_probing(struct admission *a)
{
	a->breaker->probes -= a->probes;
	a->probes = false;
}

void admission_end(struct admission *a)
{
	if (!a->breaker)
		return;
	stop_probing(a);
	a->breaker->held--;
	a->breaker = NULL;
}

bool admission_ask(struct admission *a, struct breaker *b, bool others, uint64_t now_ms)
{
	if (a->breaker == b && a->probes && a->epoch == b->epoch)
		return true;
	admission_end(a);
	if (others && !breaker_admits(b, now_ms))
		return false;
	a->breaker = b;
	a->epoch = b->epoch;
	a->probes = others && b->state == BREAKER_OPEN;
	b->held++;
	b->probes += a->probes;
	return true;
}

/* A gateway's error that comes late stands for the time-out of a server behind it. */
static bool is_late_gateway(const struct failure *f, uint64_t lost_ms)
{
	return lost_ms >= BREAKER_SLOW_MS && f->http_status >= 502 && f->http_status <= 504;
}

/*
 * Whether it is the origin that failed, whatever was requested, and time was lost: a refusal or an error that comes at
 * once costs nothing, and a broken connection says little about the next one.
 */
static bool is_of_origin(const struct failure *f, uint64_t lost_ms)
{
	switch (f->end) {
	case HTTP_NO_ADDRESS:
	case HTTP_NO_CONNECTION:
	case HTTP_NO_TLS:
	case HTTP_STALLED:
		return true;
	case HTTP_BROKEN_OFF:
		return is_late_gateway(f, lost_ms) || (lost_ms >= BREAKER_SLOW_MS && f->http_status == 0);
	case HTTP_WHOLE:
	case HTTP_STOPPED:
		return is_late_gateway(f, lost_ms);
	case HTTP_REFUSED:
	case HTTP_DENIED:
	case HTTP_FAILED:
		break;
	}
	return false;
}

static bool is_answer(const struct failure *f)
{
	return f->http_status != 0 && (f->end == HTTP_WHOLE || f->end == HTTP_STOPPED);
}

/* If the origin has answered another request since then, or for most of that time, it was this one's object. */
static bool counts(const struct admission *a, uint64_t lost_ms, uint64_t now_ms)
{
	const struct breaker *b = a->breaker;
	return b && a->epoch == b->epoch && now_ms - b->answer_ms >= lost_ms / 2;
}

static uint64_t open_ms(const struct breaker *b, uint64_t lost_ms)
{
	uint64_t ms = lost_ms < BREAKER_OPEN_MAX_MS ? BREAKER_FACTOR * lost_ms : BREAKER_OPEN_MAX_MS;
	if (ms < BREAKER_OPEN_MIN_MS)
		ms = BREAKER_OPEN_MIN_MS;
	ms <<= b->failures < DOUBLINGS_MAX ? b->failures : DOUBLINGS_MAX;
	return ms < BREAKER_OPEN_MAX_MS ? ms : BREAKER_OPEN_MAX_MS;
}

enum breaker_change admission_failed(struct admission *a, const struct failure *f, uint64_t lost_ms, uint64_t now_ms)
{
	struct breaker *b = a->breaker;
	enum breaker_change change = BREAKER_SAME;
	if (!is_of_origin(f, lost_ms)) {
		if (is_answer(f))
			change = admission_answered(a, now_ms);
	} else if (counts(a, lost_ms, now_ms)) {
		change = b->state == BREAKER_CLOSED ? BREAKER_OPENED : BREAKER_STAYS_OPEN;
		b->until_ms = now_ms + open_ms(b, lost_ms);
		enter(b, BREAKER_OPEN);
	}
	admission_end(a);
	return change;
}

enum breaker_change admission_answered(struct admission *a, uint64_t now_ms)
{
	struct breaker *b = a->breaker;
	if (!b)
		return BREAKER_SAME;
	stop_probing(a);
	b->answer_ms = now_ms;
	bool recovers = b->state == BREAKER_OPEN;
	if (recovers)
		enter(b, BREAKER_CLOSED);
	a->epoch = b->epoch;
	return recovers ? BREAKER_RECOVERED : BREAKER_SAME;
}
