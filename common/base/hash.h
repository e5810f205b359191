/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digest algorithms without the hashing, so that a program that only reads and compares digests does not link
 * libcrypto.
 */
#ifndef SLUICE_BASE_HASH_H
#define SLUICE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum hash_alg { /* the numbers are on disk, in checkpoints */
		HASH_SHA256 = 1,
		HASH_SHA512 = 2,
};

#define HASH_MAX_BYTES 64

/* 32 or 64 bytes of digest. */
size_t hash_size(enum hash_alg alg);

/* Lower-case hex with a terminator; `ret_hex` has room for 2 * len + 1. */
void hex_encode(const uint8_t *data, size_t len, char *ret_hex);

#endif
