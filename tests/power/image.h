/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a disk, in memory, with a way back: what was written since image_keep() can be undone, block by block.
 */
#ifndef SLUICE_TESTS_POWER_IMAGE_H
#define SLUICE_TESTS_POWER_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define IMAGE_BLOCK 4096

struct image {
	uint64_t size;
	uint8_t *bytes;
	uint8_t *saved;    /* what blocks held before they were first written to */
	uint8_t *is_dirty; /* a byte a block */
	uint32_t *dirty;   /* the blocks that were written to */
	size_t dirty_len;
};

/* `size`: a multiple of IMAGE_BLOCK. Only what is touched costs memory. 0 or -errno; there is no end but the process's.
 */
int image_init(struct image *img, uint64_t size);

/* Whether `len` bytes at that offset are on the disk. */
int image_has(const struct image *img, uint64_t offset, size_t len);

/* Write; the range must be on the disk. */
void image_write(struct image *img, uint64_t offset, const void *data, size_t len);

/* What was written so far stays. */
void image_keep(struct image *img);

/* Undo whatever was written since image_keep(). */
void image_roll_back(struct image *img);

#endif
