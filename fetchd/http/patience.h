/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a server is too slow: it is silent, or it trickles. A whole head and the bytes of a wanted body are progress; what
 * else a server can send without end (header lines, interim answers, trailers, an unwanted body) is not. Only time in
 * which we would have taken bytes counts. Pure: the caller passes the time.
 */
#ifndef SLUICE_FETCHD_HTTP_PATIENCE_H
#define SLUICE_FETCHD_HTTP_PATIENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/reason.h"

struct patience {
	uint64_t stall_ms;     /* the longest time without a byte ... */
	uint64_t answer_ms;    /* ... and before the first one: a cache may fetch all of it before it answers */
	uint64_t min_speed;    /* fewer bytes a second ... */
	uint64_t min_speed_ms; /* ... measured over this time; a min_speed of 0: any speed */

	/* Its own. Times are monotonic. */
	uint64_t last_ms;  /* the last progress, or it began */
	uint64_t since_ms; /* `bytes` came since then */
	uint64_t bytes;
	bool answered;
	bool noise; /* something came since `last_ms` that is no progress */
};

/* The request is out. */
void patience_ask(struct patience *p, uint64_t now_ms);

/* We take bytes of an answer again, after a pause of ours. */
void patience_begin(struct patience *p, uint64_t now_ms);

/* Before it has begun, and in a pause: after how many milliseconds to look. */
uint64_t patience_first_look(const struct patience *p);

/* Bytes came that are progress. */
void patience_bytes(struct patience *p, size_t len, uint64_t now_ms);

/* Bytes came that are none. */
void patience_noise(struct patience *p);

/* True: it is over, and why. False: look again in `ret_due_ms`. */
bool patience_is_over(struct patience *p, uint64_t now_ms, uint64_t *ret_due_ms, struct reason *ret_why);

#endif
