/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/image.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static int reserve(size_t size, void **ret_memory)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret_memory = memory;
	return 0;
}

int image_init(struct image *img, uint64_t size)
{
	size_t blocks = (size_t)(size / IMAGE_BLOCK);
	void *bytes = NULL, *saved = NULL, *is_dirty = NULL, *dirty = NULL;

	if (size % IMAGE_BLOCK != 0 || blocks == 0 || blocks > UINT32_MAX)
		return -EINVAL;
	int r = reserve((size_t)size, &bytes);
	if (r == 0)
		r = reserve((size_t)size, &saved);
	if (r == 0)
		r = reserve(blocks, &is_dirty);
	if (r == 0)
		r = reserve(blocks * sizeof(uint32_t), &dirty);
	if (r == 0)
		*img =
		    (struct image){.size = size, .bytes = bytes, .saved = saved, .is_dirty = is_dirty, .dirty = dirty};
	return r;
}

int image_has(const struct image *img, uint64_t offset, size_t len)
{
	return len <= img->size && offset <= img->size - len;
}

static void save(struct image *img, uint32_t block)
{
	size_t at = (size_t)block * IMAGE_BLOCK;

	if (img->is_dirty[block])
		return;
	img->is_dirty[block] = 1;
	img->dirty[img->dirty_len++] = block;
	memcpy(img->saved + at, img->bytes + at, IMAGE_BLOCK);
}

void image_write(struct image *img, uint64_t offset, const void *data, size_t len)
{
	assert(image_has(img, offset, len));
	if (len == 0)
		return;
	for (uint64_t block = offset / IMAGE_BLOCK; block <= (offset + len - 1) / IMAGE_BLOCK; block++)
		save(img, (uint32_t)block);
	memcpy(img->bytes + offset, data, len);
}

void image_keep(struct image *img)
{
	for (size_t i = 0; i < img->dirty_len; i++)
		img->is_dirty[img->dirty[i]] = 0;
	img->dirty_len = 0;
}

void image_roll_back(struct image *img)
{
	for (size_t i = 0; i < img->dirty_len; i++) {
		size_t at = (size_t)img->dirty[i] * IMAGE_BLOCK;
		memcpy(img->bytes + at, img->saved + at, IMAGE_BLOCK);
	}
	image_keep(img);
}
