/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash a file again, from the disk instead of the cache.
 */
#ifndef SLUICE_COMMITD_READBACK_H
#define SLUICE_COMMITD_READBACK_H

#include <stdatomic.h>

#include "common/oci/digest.h"

/*
 * The digest of the first `size` bytes of `fd`, which is borrowed. -ECANCELED: `stop` (may be NULL) became true;
 * -ENODATA: the file is shorter; -ENOMEM; or the -errno of the read. Blocks for as long as the disk takes; any thread.
 */
int readback_digest(int fd, uint64_t size, enum hash_alg alg, const atomic_bool *stop, struct digest *ret_digest);

#endif
