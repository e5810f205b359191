/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the fuzz targets. A target is one file with one LLVMFuzzerTestOneInput(): it passes the bytes to a decoder
 * and aborts if the result breaks a promise of the decoder's header. libFuzzer drives it (make fuzz), or replay.c,
 * which feeds it the committed corpus (make fuzz-replay).
 */
#ifndef SLUICE_TESTS_FUZZ_H
#define SLUICE_TESTS_FUZZ_H

/* System */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Base */
#include "common/base/be.h"
#include "common/base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Unlike assert(), it cannot be compiled out. */
#define FUZZ_CHECK(condition)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			(void)fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);          \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#define FUZZ_PLACE_SIZE 64

/* Make a temporary directory, in memory where there is room for it. The caller removes it. */
static inline void fuzz_place(char ret_path[static FUZZ_PLACE_SIZE])
{
	(void)snprintf(ret_path, FUZZ_PLACE_SIZE, "%s/sluice-fuzz-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	FUZZ_CHECK(mkdtemp(ret_path) != NULL);
}

/* Take up to `len` bytes from the front. */
static inline struct span fuzz_take(struct span *rest, size_t len)
{
	struct span taken = {rest->data, len < rest->len ? len : rest->len};
	*rest = (struct span){rest->data ? rest->data + taken.len : NULL, rest->len - taken.len};
	return taken;
}

/* Take a big-endian number from the front; 0 if the input is too short. */
static inline uint64_t fuzz_number(struct span *rest, unsigned width_bytes)
{
	struct span taken = fuzz_take(rest, width_bytes);
	return taken.len == width_bytes ? be_get(taken.data, width_bytes) : 0;
}

/* Take the first line, without its end. */
static inline struct span fuzz_line(struct span *rest)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
	return fuzz_take(rest, end ? (size_t)(end - rest->data) + 1 : rest->len);
}

#endif
