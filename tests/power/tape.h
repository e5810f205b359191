/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reached a disk, in order: a file of entries, each a header (struct tape_head in native byte order) and `len`
 * bytes. The first entry has the size of the disk.
 */
#ifndef SLUICE_TESTS_POWER_TAPE_H
#define SLUICE_TESTS_POWER_TAPE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/power/image.h"

enum tape_kind {
	TAPE_SIZE = 'S',  /* `offset` is the size of the disk */
	TAPE_WRITE = 'W', /* `len` bytes at `offset` */
	TAPE_FLUSH = 'F', /* all earlier writes are durable */
	TAPE_MARK = 'M',  /* text printed at this point */
};

struct tape_head {
	uint32_t kind;
	uint32_t len;
	uint64_t offset;
};

/* Append an entry to the file. 0 or -errno. */
int tape_append(int fd, enum tape_kind kind, uint64_t offset, const void *data, size_t len);

struct tape_entry {
	struct tape_head head;
	const uint8_t *data;
};

struct tape {
	struct tape_entry *entries;
	size_t len;
	uint64_t disk_size;
};

/* Read a whole file. 0 or -errno, -EINVAL if it is not a tape. There is no end but the process's. */
int tape_load(const char *path, struct tape *ret_tape);

/* Which of the writes since the last flush a cut leaves on the disk. */
enum survivors {
	SURVIVE_NONE,   /* the worst case */
	SURVIVE_ALL,    /* the prefix */
	SURVIVE_RANDOM, /* any of their blocks */
};

/* The disk at a point of the tape. */
struct state {
	struct image image;
	const struct tape *tape;
	size_t settled;                                 /* earlier entries are durable, and kept by image_keep() */
	void (*changed)(uint64_t offset, uint64_t len); /* called for all changes by state_cut() */
};

int state_init(struct state *s, const struct tape *tape, void (*changed)(uint64_t offset, uint64_t len));

/*
 * Cut the power after entry number `last`, which must not be less than in the last call. `choice` is the seed of
 * SURVIVE_RANDOM. Returns a number that is equal for equal survivors of equal writes.
 */
uint64_t state_cut(struct state *s, size_t last, enum survivors survivors, uint64_t choice);

#endif
