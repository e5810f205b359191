/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/bucket.h"

static int64_t full(const struct bucket *b)
{
	return (int64_t)(b->rate * BUCKET_BURST_MS);
}

void bucket_rate(struct bucket *b, uint64_t rate, uint64_t now_ms)
{
	if (b->rate == rate)
		return;
	b->rate = rate;
	b->level = full(b);
	b->filled_ms = now_ms;
}

uint64_t bucket_wait(struct bucket *b, uint64_t now_ms)
{
	if (b->rate == 0)
		return 0;
	uint64_t rested_ms = now_ms - b->filled_ms < BUCKET_REST_MAX ? now_ms - b->filled_ms : BUCKET_REST_MAX;
	b->filled_ms = now_ms;
	b->level += (int64_t)(b->rate * rested_ms);
	if (b->level > full(b))
		b->level = full(b);
	if (b->level > 0)
		return 0;
	uint64_t wait_ms = (uint64_t)-b->level / b->rate + 1;
	return wait_ms > BUCKET_WAIT_MS ? wait_ms : BUCKET_WAIT_MS;
}

void bucket_take(struct bucket *b, uint64_t len)
{
	if (b->rate > 0)
		b->level -= (int64_t)len * 1000;
}
