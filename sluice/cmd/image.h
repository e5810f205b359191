/* SPDX-License-Identifier: Apache-2.0 */
/* Images and what else has a manifest: kinds, platforms, and the sizes that manifests give. */
#ifndef SLUICE_SLUICE_CMD_IMAGE_H
#define SLUICE_SLUICE_CMD_IMAGE_H

/* OCI */
#include "common/oci/manifest.h"
#include "common/store/layout.h"
#include "common/store/names.h"

enum image_kind {
	IMAGE_UNKNOWN, /* its manifest cannot be read */
	IMAGE_IMAGE,
	IMAGE_INDEX,
	IMAGE_ARTIFACT, /* a manifest whose config is not that of an image */
	IMAGE_FILE,     /* an artifact that 'sluice fetch' made of a file */
};

enum image_kind image_kind_of(const struct manifest *m);

/* "image", "index", "artifact", "file"; NULL for unknown. */
const char *image_kind_name(enum image_kind kind);

/* The platform in the config of an image manifest. False: the config is not stored, or has none. */
bool image_config_platform(struct layout *l, const struct manifest *m, struct platform *ret_platform);

/*
 * The descriptor of a stored manifest or index, made from its content. 0, or -errno as from walk_load(), with a reason.
 */
int image_describe(struct layout *l, const struct digest *d, struct descriptor *ret_descriptor, struct reason *why);

/*
 * The size that an entry of the index, or a manifest below one, gives for this digest; SIZE_UNKNOWN if none does. Reads
 * manifests until one does.
 */
uint64_t image_described_size(struct layout *l, const struct names *n, const struct digest *d);

#endif
