/*
 * Whether all that an image needs is stored.
 */
#ifndef SLUICE_COMMITD_IMAGE_H
#define SLUICE_COMMITD_IMAGE_H

#include "common/oci/manifest.h"
#include "common/oci/transfer.h"
#include "common/store/layout.h"

#define IMAGE_DEPTH_MAX     (MANIFEST_NESTING_MAX + 1) /* the manifest counted */
#define IMAGE_DOCUMENTS_MAX 4096 /* manifests and indexes that are read, each one counted as often as it is named */
#define IMAGE_BLOBS_MAX     65536

/*
 * Follow a manifest or an index down to every config and layer, each of which must be stored with the size that its
 * descriptor says. The media type of `d` becomes what the document is, a SIZE_UNKNOWN what is stored. FAIL_NONE, or
 * what is wrong with a reason: FAIL_NOT_FOUND names what is missing. Blocks on disk.
 */
enum fail_class image_check(struct layout *l, struct descriptor *d, struct reason *why);

#endif
