/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: bytes may pass while it is not empty, and it fills at its rate. A taker may overdraw it, and waits
 * for the debt afterwards, so no piece is too big for a low rate. Pure: the caller passes the time.
 */
#ifndef SLUICE_FETCHD_BUCKET_H
#define SLUICE_FETCHD_BUCKET_H

#include <stdint.h>

#define BUCKET_BURST_MS 100u         /* its capacity, as time at its rate ... */
#define BUCKET_WAIT_MS  20u          /* ... and no wait is shorter than this, so that a wait is worth its timer */
#define BUCKET_RATE_MAX (1ull << 40) /* bytes a second */
#define BUCKET_REST_MAX (1ull << 20) /* milliseconds without a look that count */

/* All zero: full, and without a limit. */
struct bucket {
	uint64_t rate; /* bytes a second; 0: no limit */
	int64_t level; /* thousandths of bytes; below 0: a debt */
	uint64_t filled_ms;
};

/* Give it a rate, up to BUCKET_RATE_MAX; with another one than before it is full. */
void bucket_rate(struct bucket *b, uint64_t rate, uint64_t now_ms);

/* 0: bytes may pass now. Else after how many milliseconds to ask again. */
uint64_t bucket_wait(struct bucket *b, uint64_t now_ms);

/* `len` bytes passed. */
void bucket_take(struct bucket *b, uint64_t len);

#endif
