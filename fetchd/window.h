/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window of a transfer whose content comes in several parts at once: parts that follow each other, filled in any
 * order and passed on in theirs. What arrives is put into chunks at once, so that passing it on copies nothing; there
 * is never more of it than the parts are long, whatever the content's size. No network, no clock.
 *
 *   start ≤ at ≤ end: what lies before `start` was passed on, what lies before `at` has arrived.
 *
 *   PART_FREE     in no use
 *   PART_MISSING  nobody fetches it from `at` on
 *   PART_ASKED    asked for; the answer is not there yet
 *   PART_COMING   the answer is good, and bytes come
 *   PART_WHOLE    at == end
 */
#ifndef SLUICE_FETCHD_WINDOW_H
#define SLUICE_FETCHD_WINDOW_H

#include "fetchd/sink.h"

#define PART_CHUNK_SIZE (128u << 10) /* bytes: what a part grows by, in memory that it may not need */

enum part_state {
	PART_FREE,
	PART_MISSING,
	PART_ASKED,
	PART_COMING,
	PART_WHOLE,
};

struct part {
	enum part_state state;
	uint64_t start, at, end;
	struct chunk *chunks; /* of [start, at) */
	size_t chunks_len;
	bool closed; /* the first chunk was offered to the outlet, and takes no more bytes */
};

/* How much all windows of a process may hold. */
struct window_room {
	uint64_t used; /* bytes */
};

struct window {
	struct window_room *room; /* borrowed */
	struct outlet *outlet;    /* borrowed */
	uint64_t part_size;       /* bytes, a multiple of PART_CHUNK_SIZE */
	uint64_t next;            /* where the next part begins */
	size_t max;               /* parts */
	struct part parts[];
};

/* Room for `max` parts of about `part_size` bytes, 1 and PART_CHUNK_SIZE at least. 0 or -ENOMEM. */
int window_new(struct window_room *room, struct outlet *outlet, size_t max, uint64_t part_size,
	       struct window **ret_window);

/* Drops what is in it. NULL is fine. */
void window_free(struct window *w);

/* While it is empty: the first part will begin at `offset`. */
void window_begin(struct window *w, uint64_t offset);
bool window_is_empty(const struct window *w);

/*
 * The next part, missing as a whole. NULL: as many as `parts_max` are there, all windows together would hold more than
 * that many of this one's, the content of `size` bytes has no more, or there is no memory.
 */
struct part *window_add(struct window *w, size_t parts_max, uint64_t size);

/* The part that the byte at `offset` belongs to and was not passed on. NULL: none. */
struct part *window_at(struct window *w, uint64_t offset);

/* Whether what comes for this part, or is there of it, was found to be right. */
bool part_is_good(const struct part *p);

/* Where the first good part at or behind `offset` begins. SIZE_UNKNOWN: there is none. */
uint64_t window_next_good(const struct window *w, uint64_t offset);

/* What becomes of the request for it: made; answered rightly; over, or answered wrongly, before the part was whole. */
void part_asked(struct part *p);
void part_coming(struct part *p);
void part_missing(struct part *p);

/* Take bytes for `at`, which fit before `end`. 0 or -ENOMEM; `at` tells how many were taken. */
int part_put(struct window *w, struct part *p, const void *data, size_t len);

/*
 * Give the outlet, which has come to `start`, the chunks that are full or the last; with `flush` any bytes. 0, or what
 * outlet_chunk_put() said.
 */
int part_pass_on(struct window *w, struct part *p, bool flush);

/* Out of the window, with all it has. */
void part_drop(struct window *w, struct part *p);

#endif
