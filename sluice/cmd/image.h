/* SPDX-License-Identifier: Apache-2.0 */
/* Images in the store: their manifests, sizes and names. */
#ifndef SLUICE_SLUICE_CMD_IMAGE_H
#define SLUICE_SLUICE_CMD_IMAGE_H

/* OCI */
#include "common/oci/manifest.h"
#include "common/oci/reference.h"
#include "common/store/layout.h"
#include "common/store/names.h"

/* The platform in the config of an image manifest. False: the config is not stored, or has none. */
bool image_config_platform(struct layout *l, const struct manifest *m, struct platform *ret_platform);

/* The size of all stored content of an image, including its manifests, each blob once. 0, -E2BIG or -ENOMEM. */
int image_size(struct layout *l, const struct descriptor *d, uint64_t *ret_bytes);

/*
 * The image that `text` names: a name exactly as in index.json, or the full form of a reference, or, with `digests`,
 * the digest of a stored manifest. `ret_name` is `text` or `full`; NULL for a digest. 0, -ENOENT, or another -errno,
 * with a reason.
 */
int image_find(struct layout *l, const struct names *n, const char *text, bool digests,
	       char full[static REFERENCE_TEXT_SIZE], const char **ret_name, struct descriptor *ret_descriptor,
	       struct reason *why);

#endif
