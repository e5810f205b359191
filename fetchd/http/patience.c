/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/patience.h"

/* System */
#include <inttypes.h>

void patience_ask(struct patience *p, uint64_t now_ms)
{
	patience_begin(p, now_ms);
	p->answered = false;
}

void patience_begin(struct patience *p, uint64_t now_ms)
{
	p->answered = true;
	p->last_ms = p->since_ms = now_ms;
	p->bytes = 0;
	p->noise = false;
}

uint64_t patience_first_look(const struct patience *p)
{
	uint64_t look_ms = p->answer_ms > 0 && p->answer_ms < p->stall_ms ? p->answer_ms : p->stall_ms;
	return p->min_speed > 0 && p->min_speed_ms < look_ms ? p->min_speed_ms : look_ms;
}

void patience_bytes(struct patience *p, size_t len, uint64_t now_ms)
{
	if (!p->answered)
		patience_begin(p, now_ms);
	p->last_ms = now_ms;
	p->bytes += len;
	p->noise = false;
}

void patience_noise(struct patience *p)
{
	p->noise = true;
}

/* A late check covers more time than intended, but requires no more bytes. */
static bool is_too_slow(struct patience *p, uint64_t watched_ms, struct reason *ret_why)
{
	if (p->bytes * 1000 >= p->min_speed * p->min_speed_ms)
		return false;
	reason_set(ret_why, "too slow: %" PRIu64 " bytes arrived in %.1f seconds", p->bytes,
		   (double)watched_ms / 1000.0);
	return true;
}

bool patience_is_over(struct patience *p, uint64_t now_ms, uint64_t *ret_due_ms, struct reason *ret_why)
{
	uint64_t silent_ms = now_ms - p->last_ms, watched_ms = now_ms - p->since_ms;
	uint64_t limit_ms = p->answered ? p->stall_ms : p->answer_ms;
	if (silent_ms >= limit_ms) {
		reason_set(ret_why, "no bytes arrived for %.1f seconds%s", (double)silent_ms / 1000.0,
			   p->noise ? ", except overhead" : "");
		return true;
	}
	*ret_due_ms = limit_ms - silent_ms;
	if (p->min_speed == 0 || !p->answered)
		return false;
	if (watched_ms >= p->min_speed_ms) {
		if (is_too_slow(p, watched_ms, ret_why))
			return true;
		p->since_ms = now_ms;
		p->bytes = watched_ms = 0;
	}
	if (p->min_speed_ms - watched_ms < *ret_due_ms)
		*ret_due_ms = p->min_speed_ms - watched_ms;
	return false;
}
