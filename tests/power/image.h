/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a disk, in memory. Writes since image_keep() can be undone, block by block.
 */
#ifndef SLUICE_TESTS_POWER_IMAGE_H
#define SLUICE_TESTS_POWER_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define IMAGE_BLOCK 4096

struct image {
	uint64_t size;
	uint8_t *bytes;
	uint8_t *saved;    /* original content of written blocks */
	uint8_t *is_dirty; /* a byte per block */
	uint32_t *dirty;   /* numbers of the written blocks */
	size_t dirty_len;
};

/* `size`: a multiple of IMAGE_BLOCK. Only what is touched costs memory. 0 or -errno; there is no end but the process's.
 */
int image_init(struct image *img, uint64_t size);

/* Whether `len` bytes at that offset are on the disk. */
int image_has(const struct image *img, uint64_t offset, size_t len);

/* Write; the range must be on the disk. */
void image_write(struct image *img, uint64_t offset, const void *data, size_t len);

/* Make all writes so far permanent. */
void image_keep(struct image *img);

/* Undo all writes since image_keep(). */
void image_roll_back(struct image *img);

#endif
