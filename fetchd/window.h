/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window of a transfer whose content arrives in several parts at once: consecutive parts, filled in any order and
 * passed on in sequence. Bytes are put into chunks as they arrive, so that passing them on copies nothing; there are
 * never more of them than there is room for, whatever the sizes of the content and its parts. No network, no clock.
 *
 * A part of up to one share of the room has room for all of its bytes. A longer one has a chunk, and what is free: what is
 * read from the network must stop if part_has_room() says so. A little is left to the first part, whose bytes are next.
 *
 *   start ≤ at ≤ end: bytes before `start` were passed on, bytes before `at` have arrived.
 *
 *   PART_FREE     unused
 *   PART_MISSING  nobody fetches it from `at` on
 *   PART_ASKED    requested; no answer yet
 *   PART_COMING   the answer is good, and bytes are arriving
 *   PART_WHOLE    at == end
 */
#ifndef SLUICE_FETCHD_WINDOW_H
#define SLUICE_FETCHD_WINDOW_H

#include "fetchd/sink.h"

#define PART_CHUNK_SIZE (128u << 10)          /* bytes: the memory of a part grows in these steps */
#define WINDOW_SPARE    (3 * PART_CHUNK_SIZE) /* of the room: for the first part, and for new ones */

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
	bool closed;   /* the first chunk was offered to the outlet: no bytes can be added to it */
	bool held;     /* it had no room for bytes that have arrived: they are to be offered again */
	bool roomy;    /* it has room for all of its bytes */
	uint64_t kept; /* bytes of the room that it has */
};

/* What all windows of a process hold together. */
struct window_room {
	uint64_t used; /* bytes */
};

struct window {
	struct window_room *room; /* borrowed */
	struct outlet *outlet;    /* borrowed */
	uint64_t share;           /* bytes of room for a part that is not long, a multiple of PART_CHUNK_SIZE */
	uint64_t long_share;      /* bytes of room for each of the long ones together */
	uint64_t next;            /* where the next part starts */
	size_t max;               /* parts */
	uint64_t limit;           /* bytes in all windows together, as last set by window_add() */
	struct part parts[];
};

/*
 * A window of `max` parts (at least 1), with about `share` bytes of room (at least PART_CHUNK_SIZE) for each of them, or
 * for long ones `long_share` times their number together. 0 or -ENOMEM.
 */
int window_new(struct window_room *room, struct outlet *outlet, size_t max, uint64_t share, uint64_t long_share,
	       struct window **ret_window);

/* Drops what is in it. NULL is fine. */
void window_free(struct window *w);

/* While it is empty: the first part will start at `offset`. */
void window_begin(struct window *w, uint64_t offset);
bool window_is_empty(const struct window *w);

/*
 * Add the next part, of `len` bytes, all of it missing. NULL: there are `parts_max` already, or no room for it, the
 * content of `size` bytes has no more, or there is no memory.
 */
struct part *window_add(struct window *w, size_t parts_max, uint64_t size, uint64_t len);

/* The part with the byte at `offset`, if it was not passed on. NULL: none. */
struct part *window_at(struct window *w, uint64_t offset);

/* Whether the bytes of this part, arriving or arrived, are known to be good. */
bool part_is_good(const struct part *p);

/* Where the first good part at or after `offset` starts. SIZE_UNKNOWN: there is none. */
uint64_t window_next_good(const struct window *w, uint64_t offset);

/* Its request was made; had a good answer; ended, or had a wrong answer, before the part was complete. */
void part_asked(struct part *p);
void part_coming(struct part *p);
void part_missing(struct part *p);

/* Whether `len` bytes, at most PART_CHUNK_SIZE, may be added. If not, it is held. */
bool part_has_room(struct window *w, struct part *p, size_t len);

/* Add bytes at `at`, which must fit before `end`. 0 or -ENOMEM; `at` shows how many were added. */
int part_put(struct window *w, struct part *p, const void *data, size_t len);

/*
 * Give the outlet, which has reached `start`, the chunks that are full or the last; with `flush`, or of a part that is
 * held, any bytes. 0, or the result of outlet_chunk_put().
 */
int part_pass_on(struct window *w, struct part *p, bool flush);

/* Remove the part and its bytes from the window. */
void part_drop(struct window *w, struct part *p);

#endif
