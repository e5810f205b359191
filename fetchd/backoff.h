/*
 * When to try again: exponential back-off with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog)
 * and a budget of tries. What arrived for the first time gives tries back, so much of it one: a link that moves at all
 * finishes, and a server that sends the same bytes again, or single ones, is given up. Pure: the caller brings the
 * random numbers.
 */
#ifndef SLUICE_FETCHD_BACKOFF_H
#define SLUICE_FETCHD_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_REFILL_BYTES (64u << 10) /* that give one try back */

/* All zero, but for `credited`: where the content is begun or resumed. */
struct backoff {
	uint64_t failures; /* not given back by progress */
	uint64_t credited; /* the offset up to which bytes have given tries back, or would have */
};

struct backoff_limits {
	uint64_t retries;            /* failures that are followed by another try */
	uint64_t delay_ms;           /* the first wait is up to this long, the next up to twice that, ... */
	uint64_t delay_max_ms;       /* ... up to this */
	uint64_t retry_after_max_ms; /* a server that asks for a longer wait is not waited for */
};

/* All bytes before `offset` have arrived. Each BACKOFF_REFILL_BYTES beyond the furthest so far give one try back. */
void backoff_progress(struct backoff *b, uint64_t offset);

/*
 * One more failure. True: try again after `ret_wait_ms`. False: the budget is used up, or the server asked for a wait
 * that is too long. `retry_after_ms` is what it asked for, 0 if nothing; the wait is never shorter than that. `random`
 * is uniform over all its values.
 */
bool backoff_failure(struct backoff *b, const struct backoff_limits *limits, uint64_t retry_after_ms, uint32_t random,
		     uint64_t *ret_wait_ms);

#endif
