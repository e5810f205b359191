/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running digests that can be saved and restored. hasher.c uses OpenSSL's low-level SHA contexts, which OpenSSL 3
 * deprecates but keeps, because EVP contexts cannot be saved before OpenSSL 4 (EVP_MD_CTX_serialize).
 */
#ifndef SLUICE_BASE_HASHER_H
#define SLUICE_BASE_HASHER_H

#include "common/base/hash.h"

#define HASH_BLOCK_MAX   128
#define HASH_STATE_WORDS 8

/* The whole state of a digest after `total_bytes`. SHA-256 uses the low 32 bits of each word. */
struct hash_state {
	enum hash_alg alg;
	uint64_t words[HASH_STATE_WORDS];
	uint64_t total_bytes;
	uint8_t partial[HASH_BLOCK_MAX]; /* the bytes past the last whole block; the rest is zero */
};

struct hasher;

/* -ENOMEM or 0. The caller frees it; NULL is fine. */
int hasher_new(enum hash_alg alg, struct hasher **ret_hasher);
void hasher_free(struct hasher *h);

/* Start over. */
void hasher_reset(struct hasher *h);

void hasher_update(struct hasher *h, const void *data, size_t len);

/* The digest of everything so far (hash_size() bytes); the running digest is not disturbed. */
void hasher_digest(const struct hasher *h, uint8_t ret_digest[static HASH_MAX_BYTES]);

void hasher_save(const struct hasher *h, struct hash_state *ret_state);

/* -EINVAL: not the hasher's algorithm. The caller vouches for the state (a CRC, and a read-back at the end).
 */
int hasher_restore(struct hasher *h, const struct hash_state *state);

/* The digest of `data`. */
void hash_bytes(enum hash_alg alg, const void *data, size_t len, uint8_t ret_digest[static HASH_MAX_BYTES]);

#endif
