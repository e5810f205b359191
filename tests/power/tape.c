/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/tape.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* Base */
#include "common/base/cleanup.h"

int tape_append(int fd, enum tape_kind kind, uint64_t offset, const void *data, size_t len)
{
	struct tape_head head = {.kind = (uint32_t)kind, .len = (uint32_t)len, .offset = offset};
	union {
		const void *in;
		void *out;
	} bytes = {.in = data};
	struct iovec parts[] = {{&head, sizeof(head)}, {bytes.out, len}};
	ssize_t n = writev(fd, parts, len > 0 ? 2 : 1);

	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(head) + len ? 0 : -ENOSPC;
}

/* Walk through the entries; with `entries` NULL only count them. False: the file ends in the middle of one. */
static bool scan(const uint8_t *bytes, size_t size, struct tape_entry *entries, size_t *ret_len)
{
	size_t at = 0;

	*ret_len = 0;
	while (at < size) {
		struct tape_head head;
		if (size - at < sizeof(head))
			return false;
		memcpy(&head, bytes + at, sizeof(head));
		at += sizeof(head);
		if (size - at < head.len)
			return false;
		if (entries)
			entries[*ret_len] = (struct tape_entry){.head = head, .data = bytes + at};
		at += head.len;
		(*ret_len)++;
	}
	return true;
}

int tape_load(const char *path, struct tape *ret_tape)
{
	struct stat st;
	size_t len;
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	uint8_t *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	if (!scan(bytes, (size_t)st.st_size, NULL, &len) || len == 0)
		return -EINVAL;
	struct tape_entry *entries = calloc(len, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	(void)scan(bytes, (size_t)st.st_size, entries, &len);
	if (entries[0].head.kind != TAPE_SIZE) {
		free(entries);
		return -EINVAL;
	}
	*ret_tape = (struct tape){.entries = entries, .len = len, .disk_size = entries[0].head.offset};
	return 0;
}

int state_init(struct state *s, const struct tape *tape, void (*changed)(uint64_t offset, uint64_t len))
{
	*s = (struct state){.tape = tape, .changed = changed};
	return image_init(&s->image, tape->disk_size);
}

/* splitmix64: maps a number to a pseudo-random one. */
static uint64_t mix(uint64_t n)
{
	n += UINT64_C(0x9e3779b97f4a7c15);
	n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
	return n ^ (n >> 31);
}

/* How a random cut chooses blocks; each finds mistakes that the others rarely find. */
enum shape {
	SHAPE_FEW_BLOCKS, /* one block in eight survives */
	SHAPE_HALF_THE_BLOCKS,
	SHAPE_MOST_BLOCKS, /* seven in eight */
	SHAPE_HALF_THE_WRITES,
	SHAPE_ALL_BUT_ONE_WRITE,
	SHAPE_ONE_WRITE_ONLY,
	SHAPE_COUNT,
};

struct cut {
	enum survivors survivors;
	enum shape shape;
	uint64_t choice;
	size_t one; /* the write meant by SHAPE_..._ONE_... */
};

static bool survives(const struct cut *c, size_t entry, uint64_t block)
{
	uint64_t of_write = mix(c->choice ^ mix(entry)), of_block = mix(of_write ^ block);

	if (c->survivors != SURVIVE_RANDOM)
		return c->survivors == SURVIVE_ALL;
	switch (c->shape) {
	case SHAPE_FEW_BLOCKS:
		return of_block % 8 == 0;
	case SHAPE_HALF_THE_BLOCKS:
		return of_block % 2 == 0;
	case SHAPE_MOST_BLOCKS:
		return of_block % 8 != 0;
	case SHAPE_HALF_THE_WRITES:
		return of_write % 2 == 0;
	case SHAPE_ALL_BUT_ONE_WRITE:
		return entry != c->one;
	case SHAPE_ONE_WRITE_ONLY:
	case SHAPE_COUNT:
		break;
	}
	return entry == c->one;
}

/* Apply the surviving blocks of a write to the image. Returns a sum over their numbers. */
static uint64_t apply(struct state *s, const struct cut *c, size_t number)
{
	const struct tape_entry *e = &s->tape->entries[number];
	uint64_t sum = 0;

	for (size_t done = 0; done < e->head.len;) {
		uint64_t at = e->head.offset + done;
		size_t len = IMAGE_BLOCK - (size_t)(at % IMAGE_BLOCK);
		if (len > e->head.len - done)
			len = e->head.len - done;
		if (survives(c, number, at / IMAGE_BLOCK)) {
			image_write(&s->image, at, e->data + done, len);
			sum += mix(mix(number) ^ at);
		}
		done += len;
	}
	return sum;
}

/* Report all writes since image_keep(), merging adjacent ones. */
static void tell_changed(const struct state *s)
{
	const struct image *img = &s->image;

	for (size_t i = 0, end; i < img->dirty_len; i = end) {
		for (end = i + 1; end < img->dirty_len && img->dirty[end] == img->dirty[end - 1] + 1;)
			end++;
		s->changed((uint64_t)img->dirty[i] * IMAGE_BLOCK, (uint64_t)(end - i) * IMAGE_BLOCK);
	}
}

/* Make everything that the last flush before `last` covers permanent. */
static void settle(struct state *s, size_t last)
{
	static const struct cut whole = {.survivors = SURVIVE_ALL};
	size_t flush = last + 1;

	tell_changed(s);
	image_roll_back(&s->image);
	while (flush > s->settled && s->tape->entries[flush - 1].head.kind != TAPE_FLUSH)
		flush--;
	for (; s->settled < flush; s->settled++)
		if (s->tape->entries[s->settled].head.kind == TAPE_WRITE)
			(void)apply(s, &whole, s->settled);
	tell_changed(s);
	image_keep(&s->image);
}

/* A random unflushed write; `last` itself if there is none. */
static size_t one_write(const struct state *s, size_t last, uint64_t choice)
{
	size_t count = 0, skip;

	for (size_t i = s->settled; i <= last; i++)
		count += s->tape->entries[i].head.kind == TAPE_WRITE;
	skip = count > 0 ? (size_t)(mix(~choice) % count) : 0;
	for (size_t i = s->settled; i <= last; i++)
		if (s->tape->entries[i].head.kind == TAPE_WRITE && skip-- == 0)
			return i;
	return last;
}

uint64_t state_cut(struct state *s, size_t last, enum survivors survivors, uint64_t choice)
{
	uint64_t sum = 0;

	settle(s, last);
	struct cut c = {
	    .survivors = survivors,
	    .shape = (enum shape)(mix(choice) % SHAPE_COUNT),
	    .choice = choice,
	    .one = one_write(s, last, choice),
	};
	for (size_t i = s->settled; i <= last; i++)
		if (s->tape->entries[i].head.kind == TAPE_WRITE)
			sum += apply(s, &c, i);
	tell_changed(s);
	return sum;
}
