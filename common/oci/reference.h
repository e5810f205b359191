/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image references: [HOST[:PORT]/]NAME[:TAG][@DIGEST], with the grammar of the distribution spec (spec.md, "Pulling
 * manifests") and Docker's short names: "alpine" is docker.io/library/alpine:latest.
 */
#ifndef SLUICE_OCI_REFERENCE_H
#define SLUICE_OCI_REFERENCE_H

#include <stdbool.h>

#include "common/oci/digest.h"

#define REFERENCE_HOST_MAX  255
#define REFERENCE_NAME_MAX  255
#define REFERENCE_TAG_MAX   128
#define REFERENCE_TEXT_SIZE (REFERENCE_HOST_MAX + 1 + REFERENCE_NAME_MAX + 1 + REFERENCE_TAG_MAX + 1 + DIGEST_TEXT_SIZE)

struct reference {
	char host[REFERENCE_HOST_MAX + 1]; /* "docker.io", "localhost:5000", "[::1]:5000" */
	char name[REFERENCE_NAME_MAX + 1]; /* "library/alpine" */
	char tag[REFERENCE_TAG_MAX + 1];   /* empty if only a digest was given */
	bool has_digest;
	struct digest digest;
};

/* -EINVAL with a reason that quotes the text. Neither tag nor digest given: the tag is "latest". */
int reference_parse(struct span text, struct reference *ret_reference, struct reason *why);

/* The full form, with the host: the image's name in index.json. */
void reference_format(const struct reference *r, char ret_text[static REFERENCE_TEXT_SIZE]);

/*
 * A registry alone, as it stands before the first slash of a reference: "docker.io", "localhost:5000". -EINVAL: it would
 * not be taken for a host there.
 */
int host_parse(struct span text, char ret_host[static REFERENCE_HOST_MAX + 1]);

/* Docker Hub's name in references; and whether a host is that or another name under which it is known. */
#define DOCKER_HUB "docker.io"
bool host_is_docker_hub(struct span host);

/* Whether "host" or "host:port" is this machine: localhost, 127.0.0.0/8 in dotted form, [::1]. */
bool host_is_loopback(const char *host);

#endif
