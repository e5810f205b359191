/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image manifests and indexes (OCI image spec, manifest.md and image-index.md; Docker schema 2 and manifest lists). A
 * document that is both, or whose mediaType differs from the one that it was served with, is refused
 * (GHSA-5j5w-g665-5m35).
 */
#ifndef SLUICE_OCI_MANIFEST_H
#define SLUICE_OCI_MANIFEST_H

#include "common/oci/descriptor.h"

#define MANIFEST_ENTRIES_MAX 4096 /* layers of a manifest, manifests of an index */
#define MANIFEST_NESTING_MAX 4    /* nested indexes above a manifest */

enum manifest_kind {
	MANIFEST_IMAGE, /* entries: the config, then the layers in their order */
	MANIFEST_INDEX, /* entries: manifests, or further indexes */
};

struct manifest {
	enum manifest_kind kind;
	char media_type[MEDIA_TYPE_MAX + 1]; /* its own mediaType, else the one that it was served with, else OCI's */
	char artifact_type[MEDIA_TYPE_MAX + 1]; /* its artifactType; empty if it has none, or one that is too long */
	struct descriptor *entries;             /* owned */
	size_t entries_len;
	char **inlined; /* owned: the `data` of each entry (inlined.h), or NULL; NULL where no entry has one */
};

/*
 * Parse a document. `came_as` is the media type that it was served or described with, NULL or empty if none; its
 * parameters are ignored, and so are application/json, application/octet-stream, binary/octet-stream and text/plain. A
 * list that is null counts as empty, and so do missing layers.
 * -EINVAL with a reason, -EFBIG over JSON_DOCUMENT_MAX, -ENOMEM. Only after 0 is there something to release.
 */
int manifest_parse(struct span text, const char *came_as, struct manifest *ret_manifest, struct reason *why);
void manifest_release(struct manifest *m);

/*
 * The entry of an index that serves `want` best, the first of equals; NULL if none does. An entry without a platform is
 * chosen only if there is no other; entries for the platform "unknown" (attestations) never are. Borrowed.
 */
const struct descriptor *manifest_pick(const struct manifest *index, const struct platform *want);

#endif
