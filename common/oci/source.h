/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the bytes of a transfer come from, as the text that orders and transfer files carry:
 *
 *   http://… https://…            a plain URL
 *   manifest://HOST/NAME:TAG      a manifest by tag, or manifest://HOST/NAME@DIGEST by digest
 *   blob://HOST/NAME@DIGEST       a blob of a repository
 *
 * The last two leave it to fetchd how the registry is reached (scheme, mirrors, credentials): distribution spec,
 * "Pulling manifests" and "Pulling blobs".
 */
#ifndef SLUICE_OCI_SOURCE_H
#define SLUICE_OCI_SOURCE_H

#include "common/base/buf.h"
#include "common/oci/reference.h"

#define SOURCE_MAX 8192 /* bytes without a terminator; signed URLs run to thousands */

enum source_kind {
	SOURCE_URL,
	SOURCE_MANIFEST,
	SOURCE_BLOB,
};

struct source {
	enum source_kind kind;
	struct span url;            /* SOURCE_URL: the text itself, borrowed */
	struct reference reference; /* the others */
};

/*
 * -EINVAL with a reason that quotes the text: another scheme, credentials in a URL (they would end up in the store and
 * in logs), control bytes or spaces, a blob without a digest, longer than SOURCE_MAX.
 */
int source_parse(struct span text, struct source *ret_source, struct reason *why);

/*
 * Append a URL as somebody typed it in the form in which it can be a source: bytes beyond ASCII are escaped (RFC 3986, 2.5).
 * 0 or -ENOMEM.
 */
int source_of_typed(const char *url, struct buf *out);

/*
 * The most bytes that content from a source may have: JSON_DOCUMENT_MAX for a manifest, which has to be parsed; INT64_MAX
 * for anything else. Any text will do.
 */
uint64_t source_size_max(struct span text);

/* Append the text of a manifest or blob source. `d` overrides the reference's tag and digest; NULL: as the reference
 * says. */
int source_format(enum source_kind kind, const struct reference *r, const struct digest *d, struct buf *out);

#endif
