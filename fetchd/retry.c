/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/retry.h"

/* System */
#include <inttypes.h>

/* 2^n times the first delay, without overflow: past this the bound has long been reached. */
#define DOUBLINGS_MAX 20

void retry_begin(struct retry *r, uint64_t offset)
{
	*r = (struct retry){.credited = offset};
}

void retry_progress(struct retry *r, uint64_t offset)
{
	if (offset < r->credited)
		return;
	uint64_t tries = (offset - r->credited) / RETRY_REFILL_BYTES;
	r->credited += tries * RETRY_REFILL_BYTES;
	r->failures -= tries < r->failures ? tries : r->failures;
}

static uint64_t window_ms(const struct retry_settings *limits, uint64_t earlier_failures)
{
	uint64_t doublings = earlier_failures < DOUBLINGS_MAX ? earlier_failures : DOUBLINGS_MAX;
	uint64_t window = limits->delay_ms;
	while (doublings-- > 0 && window < limits->delay_max_ms)
		window *= 2;
	return window < limits->delay_max_ms ? window : limits->delay_max_ms;
}

bool retry_failure(struct retry *r, const struct retry_settings *limits, uint64_t retry_after_ms, uint32_t random,
		   uint64_t *ret_wait_ms)
{
	if (r->failures >= limits->max || retry_after_ms > limits->after_max_ms)
		return false;
	/*
	 * Jitter is added to the wait that the server requested: otherwise all clients would return at the same
	 * instant.
	 */
	uint64_t window = window_ms(limits, retry_after_ms > 0 ? 0 : r->failures);
	*ret_wait_ms = retry_after_ms + ((window + 1) * (random >> 8) >> 24);
	r->failures++;
	return true;
}

enum counter retry_counter(const struct failure *f)
{
	static const enum counter of_end[] = {
	    [HTTP_WHOLE] = COUNT_RETRIES_SHORT,
	    [HTTP_STOPPED] = COUNT_RETRIES_OTHER,
	    [HTTP_REFUSED] = COUNT_RETRIES_OTHER,
	    [HTTP_NO_ADDRESS] = COUNT_RETRIES_ADDRESS,
	    [HTTP_NO_CONNECTION] = COUNT_RETRIES_CONNECTION,
	    [HTTP_NO_TLS] = COUNT_RETRIES_TLS,
	    [HTTP_BROKEN_OFF] = COUNT_RETRIES_BROKEN,
	    [HTTP_STALLED] = COUNT_RETRIES_STALLED,
	    [HTTP_DENIED] = COUNT_RETRIES_OTHER,
	    [HTTP_FAILED] = COUNT_RETRIES_OTHER,
	};
	if (f->http_status == 429 || f->http_status == 503)
		return COUNT_RETRIES_BUSY;
	return f->http_status >= 300 ? COUNT_RETRIES_STATUS : of_end[f->end];
}

void retry_explain(struct failure *f, uint64_t after_max_ms)
{
	if (f->retry_after_ms > after_max_ms)
		reason_set(&f->why,
			   "%s; the server requests a wait of %s%" PRIu64 " s, and retry_after_max is %" PRIu64 " s",
			   f->why.text, f->retry_after_ms == RETRY_AFTER_CLAMP_MS ? "at least " : "",
			   f->retry_after_ms / 1000, after_max_ms / 1000);
}
