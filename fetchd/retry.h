/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again: exponential back-off with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog)
 * and a budget of tries. New bytes give tries back, so that even the worst link finishes as long as it makes progress,
 * and a server that sends the same bytes again, or single ones, is given up. Pure: the caller supplies the random
 * numbers.
 */
#ifndef SLUICE_FETCHD_RETRY_H
#define SLUICE_FETCHD_RETRY_H

#include "common/wire/counters.h"
#include "fetchd/config/registries.h"
#include "fetchd/http/failure.h"

#define RETRY_REFILL_BYTES (64u << 10) /* bytes that give one try back */

struct retry {
	uint64_t failures; /* not given back by progress */
	uint64_t credited; /* the offset up to which bytes have given tries back, or would have */
};

/* No failures so far; the transfer starts or resumes at `offset`. */
void retry_begin(struct retry *r, uint64_t offset);

/* All bytes before `offset` have arrived. Each RETRY_REFILL_BYTES beyond the furthest so far give one try back. */
void retry_progress(struct retry *r, uint64_t offset);

/*
 * One more failure. True: try again after `ret_wait_ms`. False: the budget is used up, or the server requested too long
 * a wait. `retry_after_ms` is what it requested; the wait is never shorter than that. `random` is uniform over all
 * values.
 */
bool retry_failure(struct retry *r, const struct retry_settings *limits, uint64_t retry_after_ms, uint32_t random,
		   uint64_t *ret_wait_ms);

/* The counter for a retry after this failure. */
enum counter retry_counter(const struct failure *f);

/* If the server requested too long a wait, add that to `f->why`, so that the user can decide. */
void retry_explain(struct failure *f, uint64_t after_max_ms);

#endif
