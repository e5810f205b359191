/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/window.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int window_new(struct window_room *room, struct outlet *outlet, size_t max, uint64_t share, uint64_t long_share,
	       struct window **ret_window)
{
	struct window *w = calloc(1, sizeof(*w) + max * sizeof(w->parts[0]));
	if (!w)
		return -ENOMEM;
	w->room = room;
	w->outlet = outlet;
	w->max = max;
	w->share = share - share % PART_CHUNK_SIZE;
	w->long_share = long_share;
	*ret_window = w;
	return 0;
}

void window_free(struct window *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->max; i++)
		part_drop(w, &w->parts[i]);
	free(w);
}

void window_begin(struct window *w, uint64_t offset)
{
	assert(window_is_empty(w));
	w->next = offset;
}

static size_t used_parts(const struct window *w)
{
	size_t used = 0;
	for (size_t i = 0; i < w->max; i++)
		used += w->parts[i].state != PART_FREE;
	return used;
}

bool window_is_empty(const struct window *w)
{
	return used_parts(w) == 0;
}

/* A long part keeps a chunk, or as many as it has. */
static void keep_room(struct window *w, struct part *p)
{
	uint64_t kept = (p->chunks_len > 1 ? p->chunks_len : 1) * PART_CHUNK_SIZE;
	if (p->roomy)
		kept = w->share;
	w->room->used += kept - p->kept;
	p->kept = kept;
}

static bool is_room_for(const struct window *w, bool roomy, size_t parts_max)
{
	uint64_t used = w->room->used;
	return roomy ? used + w->share <= parts_max * w->share : used + PART_CHUNK_SIZE <= parts_max * w->long_share;
}

struct part *window_add(struct window *w, size_t parts_max, uint64_t size, uint64_t len)
{
	struct part *p = w->parts;
	bool roomy = len <= w->share;
	if (parts_max > w->max)
		parts_max = w->max;
	w->limit = parts_max * w->long_share;
	if (w->next >= size || used_parts(w) >= parts_max || !is_room_for(w, roomy, parts_max))
		return NULL;
	while (p->state != PART_FREE)
		p++;
	/* One more than fit, because the first may be closed before it is full. */
	struct chunk *chunks = calloc((size_t)(len / PART_CHUNK_SIZE) + 2, sizeof(*chunks));
	if (!chunks)
		return NULL;
	*p = (struct part){.state = PART_MISSING, .start = w->next, .at = w->next, .chunks = chunks, .roomy = roomy};
	p->end = size - w->next < len ? size : w->next + len;
	w->next = p->end;
	keep_room(w, p);
	return p;
}

struct part *window_at(struct window *w, uint64_t offset)
{
	for (size_t i = 0; i < w->max; i++) {
		struct part *p = &w->parts[i];
		if (p->state != PART_FREE && p->start <= offset && offset < p->end)
			return p;
	}
	return NULL;
}

bool part_is_good(const struct part *p)
{
	return p->state == PART_COMING || p->state == PART_WHOLE || (p->state != PART_FREE && p->at > p->start);
}

uint64_t window_next_good(const struct window *w, uint64_t offset)
{
	uint64_t first = SIZE_UNKNOWN;
	for (size_t i = 0; i < w->max; i++) {
		const struct part *p = &w->parts[i];
		if (part_is_good(p) && p->start >= offset && p->start < p->end && p->start < first)
			first = p->start;
	}
	return first;
}

void part_asked(struct part *p)
{
	assert(p->state == PART_MISSING);
	p->state = PART_ASKED;
}

void part_coming(struct part *p)
{
	assert(p->state == PART_ASKED);
	p->state = PART_COMING;
}

void part_missing(struct part *p)
{
	assert(p->state == PART_ASKED || p->state == PART_COMING);
	p->state = PART_MISSING;
}

static bool is_open(const struct part *p, const struct chunk *last)
{
	return last->payload_len < last->room && !(p->closed && p->chunks_len == 1);
}

bool part_has_room(struct window *w, struct part *p, size_t len)
{
	const struct chunk *last = p->chunks_len > 0 ? &p->chunks[p->chunks_len - 1] : NULL;
	uint64_t spare = p->start == w->outlet->offset ? 0 : WINDOW_SPARE;
	bool fits = !last || p->roomy || (is_open(p, last) && last->room - last->payload_len >= len);
	p->held = !fits && w->room->used + PART_CHUNK_SIZE + spare > w->limit;
	return !p->held;
}

/* The chunk for the byte at `at`. NULL: no memory. */
static struct chunk *chunk_for_more(struct window *w, struct part *p)
{
	struct chunk *last = p->chunks_len > 0 ? &p->chunks[p->chunks_len - 1] : NULL;
	if (last && is_open(p, last))
		return last;
	if (outlet_chunk_new(w->outlet, p->at, PART_CHUNK_SIZE, &p->chunks[p->chunks_len]) < 0)
		return NULL;
	p->chunks_len++;
	keep_room(w, p);
	return &p->chunks[p->chunks_len - 1];
}

int part_put(struct window *w, struct part *p, const void *data, size_t len)
{
	const uint8_t *from = data;
	assert(len <= p->end - p->at);
	while (len > 0) {
		struct chunk *c = chunk_for_more(w, p);
		if (!c)
			return -ENOMEM;
		size_t room = c->room - c->payload_len;
		size_t some = len < room ? len : room;
		memcpy(c->payload + c->payload_len, from, some);
		c->payload_len += some;
		p->at += some;
		from += some;
		len -= some;
	}
	if (p->at == p->end)
		p->state = PART_WHOLE;
	return 0;
}

static bool is_ready(const struct part *p)
{
	return p->chunks[0].payload_len == p->chunks[0].room || p->chunks_len > 1 || p->closed || p->held ||
	       p->at == p->end;
}

int part_pass_on(struct window *w, struct part *p, bool flush)
{
	while (p->chunks_len > 0 && (flush || is_ready(p))) {
		size_t len = p->chunks[0].payload_len;
		assert(w->outlet->offset == p->start);
		int r = outlet_chunk_put(w->outlet, &p->chunks[0]);
		p->closed = r < 0;
		if (r < 0)
			return r;
		p->start += len;
		p->chunks_len--;
		memmove(&p->chunks[0], &p->chunks[1], p->chunks_len * sizeof(p->chunks[0]));
		keep_room(w, p);
	}
	return 0;
}

void part_drop(struct window *w, struct part *p)
{
	if (p->state == PART_FREE)
		return;
	for (size_t i = 0; i < p->chunks_len; i++)
		outlet_chunk_free(w->outlet, &p->chunks[i]);
	free(p->chunks);
	w->room->used -= p->kept;
	*p = (struct part){.state = PART_FREE};
}
