/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/readback.h"

/* System */
#include <fcntl.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define READBACK_BUFFER ((size_t)256 << 10) /* bytes; stays in the second-level cache between read and hash */
#define READBACK_ALIGN  4096

static void hasher_cleanup(struct hasher **h)
{
	hasher_free(*h);
}

static int hash_blocks(int fd, uint64_t size, uint8_t *block, struct hasher *h, const atomic_bool *stop)
{
	for (uint64_t at = 0; at < size;) {
		if (stop && atomic_load_explicit(stop, memory_order_relaxed))
			return -ECANCELED;
		size_t want = size - at < READBACK_BUFFER ? (size_t)(size - at) : READBACK_BUFFER;
		size_t got = 0;
		int r = file_pread_full(fd, block, want, at, &got);
		if (r < 0)
			return r;
		if (got < want)
			return -ENODATA;
		hasher_update(h, block, got);
		at += got;
	}
	return 0;
}

int readback_digest(int fd, uint64_t size, enum hash_alg alg, const atomic_bool *stop, struct digest *ret_digest)
{
	CLEANUP(hasher_cleanup) struct hasher *h = NULL;
	AUTO_FREE uint8_t *block = aligned_alloc(READBACK_ALIGN, READBACK_BUFFER);
	if (!block)
		return -ENOMEM;
	int r = hasher_new(alg, &h);
	if (r < 0)
		return r;
	/*
	 * The pages in the cache are what was written, not what is on the disk: drop them first. They are clean,
	 * because the writer synced them. A file system that keeps its files in memory rightly ignores the advice.
	 */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	r = hash_blocks(fd, size, block, h, stop);
	if (r < 0)
		return r;
	digest_of_hasher(h, alg, ret_digest);
	return 0;
}
