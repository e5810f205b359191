/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content digests, "algorithm:hex", as in the OCI image spec, descriptor.md, section Digests. Only the registered
 * algorithms, only lower case, only the exact length: the text becomes a path and a URL.
 */
#ifndef SLUICE_OCI_DIGEST_H
#define SLUICE_OCI_DIGEST_H

#include <stdbool.h>

#include "common/base/hasher.h"
#include "common/base/reason.h"
#include "common/base/span.h"

#define DIGEST_TEXT_MAX  (7 + 2 * HASH_MAX_BYTES) /* "sha512:" and 128 digits */
#define DIGEST_TEXT_SIZE (DIGEST_TEXT_MAX + 1)

struct digest {
	enum hash_alg alg;
	uint8_t bytes[HASH_MAX_BYTES]; /* hash_size(alg) of them count, the rest is zero */
};

/* -EINVAL, with a reason that quotes the text: not a digest, or an algorithm other than sha256 and sha512. */
int digest_parse(struct span text, struct digest *ret_digest, struct reason *why);

void digest_format(const struct digest *d, char ret_text[static DIGEST_TEXT_SIZE]);

/* The hex digits alone: the name of the blob's file. */
void digest_format_hex(const struct digest *d, char ret_hex[static DIGEST_TEXT_SIZE]);

/* A total order, by bytes: below 0, 0 or above 0. */
int digest_compare(const struct digest *a, const struct digest *b);
bool digest_eq(const struct digest *a, const struct digest *b);

/* "sha256" or "sha512": the name of the blob's directory. */
const char *hash_name(enum hash_alg alg);

/* The digest of some bytes in memory. */
void digest_of(enum hash_alg alg, const void *data, size_t len, struct digest *ret_digest);

/* The digest of the bytes that a hasher has seen so far. */
void digest_of_hasher(const struct hasher *h, enum hash_alg alg, struct digest *ret_digest);

#endif
