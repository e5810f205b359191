/* SPDX-License-Identifier: Apache-2.0 */
/* The part of digest.h that hashes, in a separate file: see common/base/hash.h. */
#include "common/oci/digest.h"

void digest_of(enum hash_alg alg, const void *data, size_t len, struct digest *ret_digest)
{
	*ret_digest = (struct digest){.alg = alg};
	hash_bytes(alg, data, len, ret_digest->bytes);
}

void digest_of_hasher(const struct hasher *h, enum hash_alg alg, struct digest *ret_digest)
{
	*ret_digest = (struct digest){.alg = alg};
	hasher_digest(h, ret_digest->bytes);
}
