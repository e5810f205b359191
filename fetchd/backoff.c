#include "fetchd/backoff.h"

/* 2^n times the first delay, without overflow: past this the bound has long been reached. */
#define DOUBLINGS_MAX 20

void backoff_progress(struct backoff *b, uint64_t offset)
{
	if (offset < b->credited)
		return;
	uint64_t tries = (offset - b->credited) / BACKOFF_REFILL_BYTES;
	b->credited += tries * BACKOFF_REFILL_BYTES;
	b->failures -= tries < b->failures ? tries : b->failures;
}

static uint64_t window_ms(const struct backoff_limits *limits, uint64_t earlier_failures)
{
	uint64_t doublings = earlier_failures < DOUBLINGS_MAX ? earlier_failures : DOUBLINGS_MAX;
	uint64_t window = limits->delay_ms;
	while (doublings-- > 0 && window < limits->delay_max_ms)
		window *= 2;
	return window < limits->delay_max_ms ? window : limits->delay_max_ms;
}

bool backoff_failure(struct backoff *b, const struct backoff_limits *limits, uint64_t retry_after_ms, uint32_t random,
		     uint64_t *ret_wait_ms)
{
	if (b->failures >= limits->retries || retry_after_ms > limits->retry_after_max_ms)
		return false;
	/* Jitter comes on top of what the server asked for: else all clients come back in the same instant. */
	uint64_t window = window_ms(limits, retry_after_ms > 0 ? 0 : b->failures);
	*ret_wait_ms = retry_after_ms + ((window + 1) * (random >> 8) >> 24);
	b->failures++;
	return true;
}
