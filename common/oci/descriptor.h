/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content descriptors and media types: OCI image spec, descriptor.md and media-types.md; Docker's are those of the
 * image manifest v2, schema 2.
 */
#ifndef SLUICE_OCI_DESCRIPTOR_H
#define SLUICE_OCI_DESCRIPTOR_H

#include "common/oci/digest.h"
#include "common/oci/json.h"
#include "common/oci/platform.h"

#define MEDIA_TYPE_MAX             255
#define SIZE_UNKNOWN               UINT64_MAX

#define MEDIA_TYPE_OCI_INDEX       "application/vnd.oci.image.index.v1+json"
#define MEDIA_TYPE_OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define ARTIFACT_TYPE_FILE         "application/vnd.sluice.file.v1" /* one layer: a file with a name */
#define MEDIA_TYPE_DOCKER_INDEX    "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_TYPE_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

struct descriptor {
	char media_type[MEDIA_TYPE_MAX + 1];
	struct digest digest;
	uint64_t size;   /* bytes; at most INT64_MAX, or SIZE_UNKNOWN */
	bool is_foreign; /* a layer of a non-distributable type with `urls`: the registry may not have it */
	bool has_platform;
	struct platform platform; /* normalised */
};

bool media_type_is_index(const char *media_type);
bool media_type_is_manifest(const char *media_type);

/* -EINVAL with a reason: no digest, no size, a size that is negative or not an integer, a media type that is too long. An
 * invalid platform becomes unknown/unknown. */
int descriptor_parse(const struct json_t *value, struct descriptor *ret_descriptor, struct reason *why);

/* The caller owns the value; NULL: out of memory. */
struct json_t *descriptor_to_json(const struct descriptor *d);

#endif
