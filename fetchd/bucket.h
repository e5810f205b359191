/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: bytes may pass while it is not empty, and it fills at its rate. A taker may overdraw it and then
 * waits until the debt is filled, so no piece is too big for a low rate. Pure: the caller passes the time.
 */
#ifndef SLUICE_FETCHD_BUCKET_H
#define SLUICE_FETCHD_BUCKET_H

#include <stdint.h>

#define BUCKET_BURST_MS 100u         /* its capacity, as time at its rate ... */
#define BUCKET_WAIT_MS  20u          /* ... and the shortest wait, so that it is worth a timer */
#define BUCKET_RATE_MAX (1ull << 40) /* bytes per second */
#define BUCKET_REST_MAX (1ull << 20) /* milliseconds: a longer time between two calls counts as this */

/* All zero: full, and without a limit. */
struct bucket {
	uint64_t rate; /* bytes per second; 0: no limit */
	int64_t level; /* thousandths of bytes; below 0: a debt */
	uint64_t filled_ms;
};

/* Set the rate, up to BUCKET_RATE_MAX. If it changes, the bucket becomes full. */
void bucket_rate(struct bucket *b, uint64_t rate, uint64_t now_ms);

/* 0: bytes may pass now. Otherwise the number of milliseconds after which to ask again. */
uint64_t bucket_wait(struct bucket *b, uint64_t now_ms);

/* `len` bytes passed. */
void bucket_take(struct bucket *b, uint64_t len);

#endif
