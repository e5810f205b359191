/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content embedded in its descriptor (OCI image spec, descriptor.md, "data"), and then in the source of a transfer:
 * data:;base64,… (RFC 2397). It is not requested from any server.
 */
#ifndef SLUICE_OCI_INLINED_H
#define SLUICE_OCI_INLINED_H

#include "common/oci/descriptor.h"

#define INLINED_MAX      6000 /* bytes of content; what is larger is fetched */
#define INLINED_TEXT_MAX (INLINED_MAX / 3 * 4)

/*
 * If `base64` is the content that `d` describes, append its source and return 1. 0: it is not, or is too large; fetch
 * it instead. -ENOMEM.
 */
int inlined_source(const struct descriptor *d, const char *base64, struct buf *out);

/* Whether the text is such a source. */
bool inlined_is_source(struct span text);

/* Append the content of such a source. 0 or -ENOMEM. */
int inlined_content(struct span source, struct buf *out);

#endif
