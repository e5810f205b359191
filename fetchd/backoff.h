/*
 * When to try again: exponential back-off with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog)
 * and a budget of failures in a row that any progress refills. Pure: the caller brings the random numbers.
 */
#ifndef SLUICE_FETCHD_BACKOFF_H
#define SLUICE_FETCHD_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct backoff {
	uint64_t failures; /* in a row, since the last progress */
};

struct backoff_limits {
	uint64_t retries;            /* failures in a row that are followed by another try */
	uint64_t delay_ms;           /* the first wait is up to this long, the next up to twice that, ... */
	uint64_t delay_max_ms;       /* ... up to this */
	uint64_t retry_after_max_ms; /* a server that asks for a longer wait is not waited for */
};

/* Something arrived: the next failure is the first one again. */
void backoff_progress(struct backoff *b);

/*
 * One more failure. True: try again after `ret_wait_ms`. False: the budget is used up, or the server asked for a wait
 * that is too long. `retry_after_ms` is what it asked for, 0 if nothing; the wait is never shorter than that. `random`
 * is uniform over all its values.
 */
bool backoff_failure(struct backoff *b, const struct backoff_limits *limits, uint64_t retry_after_ms, uint32_t random,
		     uint64_t *ret_wait_ms);

#endif
