/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/window.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int window_new(struct window_room *room, struct outlet *outlet, size_t max, uint64_t part_size,
	       struct window **ret_window)
{
	struct window *w = calloc(1, sizeof(*w) + max * sizeof(w->parts[0]));
	if (!w)
		return -ENOMEM;
	w->room = room;
	w->outlet = outlet;
	w->max = max;
	w->part_size = part_size - part_size % PART_CHUNK_SIZE;
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

struct part *window_add(struct window *w, size_t parts_max, uint64_t size)
{
	struct part *p = w->parts;
	if (parts_max > w->max)
		parts_max = w->max;
	if (w->next >= size || used_parts(w) >= parts_max || w->room->used + w->part_size > parts_max * w->part_size)
		return NULL;
	while (p->state != PART_FREE)
		p++;
	/* One more than fit, because the first may be closed before it is full. */
	struct chunk *chunks = calloc((size_t)(w->part_size / PART_CHUNK_SIZE) + 1, sizeof(*chunks));
	if (!chunks)
		return NULL;
	*p = (struct part){.state = PART_MISSING, .start = w->next, .at = w->next, .chunks = chunks};
	p->end = size - w->next < w->part_size ? size : w->next + w->part_size;
	w->next = p->end;
	w->room->used += w->part_size;
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

/* The chunk for the byte at `at`. NULL: no memory. */
static struct chunk *chunk_for_more(struct window *w, struct part *p)
{
	struct chunk *last = p->chunks_len > 0 ? &p->chunks[p->chunks_len - 1] : NULL;
	if (last && last->payload_len < last->room && !(p->closed && p->chunks_len == 1))
		return last;
	if (outlet_chunk_new(w->outlet, p->at, PART_CHUNK_SIZE, &p->chunks[p->chunks_len]) < 0)
		return NULL;
	return &p->chunks[p->chunks_len++];
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
	return p->chunks[0].payload_len == p->chunks[0].room || p->chunks_len > 1 || p->closed || p->at == p->end;
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
	w->room->used -= w->part_size;
	*p = (struct part){.state = PART_FREE};
}
