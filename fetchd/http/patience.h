/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides when a server is too slow: silent, or trickling. A complete header and the bytes of a wanted body are
 * progress; whatever else a server can send endlessly (header lines, interim answers, trailers, an unwanted body) is
 * not. Only time in which we would have accepted bytes counts. Pure: the caller passes the time.
 */
#ifndef SLUICE_FETCHD_HTTP_PATIENCE_H
#define SLUICE_FETCHD_HTTP_PATIENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/reason.h"

struct patience {
	uint64_t stall_ms;     /* the longest time without a byte ... */
	uint64_t answer_ms;    /* ... and before the first one: a cache may fetch everything before it answers */
	uint64_t min_speed;    /* the minimum in bytes per second ... */
	uint64_t min_speed_ms; /* ... measured over this time; a min_speed of 0: any speed */

	/* Its own. Times are monotonic. */
	uint64_t last_ms;  /* the last progress, or the start */
	uint64_t since_ms; /* `bytes` arrived since then */
	uint64_t bytes;
	bool answered;
	bool noise; /* something arrived since `last_ms` that is not progress */
};

/* The request was sent. */
void patience_ask(struct patience *p, uint64_t now_ms);

/* We accept bytes of an answer again, after we paused. */
void patience_begin(struct patience *p, uint64_t now_ms);

/* Before the start, and in a pause: after how many milliseconds to check. */
uint64_t patience_first_look(const struct patience *p);

/* Bytes arrived that are progress. */
void patience_bytes(struct patience *p, size_t len, uint64_t now_ms);

/* Bytes arrived that are not progress. */
void patience_noise(struct patience *p);

/* True: it is too slow, and why. False: check again in `ret_due_ms`. */
bool patience_is_over(struct patience *p, uint64_t now_ms, uint64_t *ret_due_ms, struct reason *ret_why);

#endif
