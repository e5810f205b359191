/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the bytes of a transfer come from, as the text that orders and transfer files carry:
 *
 *   http://… https://…            a plain URL
 *   manifest://HOST/NAME:TAG      a manifest by tag, or manifest://HOST/NAME@DIGEST by digest
 *   blob://HOST/NAME@DIGEST       a blob of a repository
 *   data:;base64,…                the bytes themselves (inlined.h)
 *   registry://HOST               the root of a registry's API, to find out whether it accepts credentials; no content
 *
 * For manifests and blobs, fetchd decides how to reach the registry (scheme, mirrors, credentials): distribution spec,
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
	SOURCE_DATA,
	SOURCE_REGISTRY,
};

#define SOURCE_REGISTRY_SCHEME "registry://"

struct source {
	enum source_kind kind;
	struct span url;            /* SOURCE_URL and SOURCE_DATA: the text itself, borrowed */
	struct reference reference; /* the others; only the host for SOURCE_REGISTRY */
};

/*
 * -EINVAL with a reason that quotes the text: another scheme, credentials in a URL (they would end up in the store and in
 * logs), control characters or spaces, a blob without a digest, more than SOURCE_MAX bytes.
 */
int source_parse(struct span text, struct source *ret_source, struct reason *why);

/* Of a SOURCE_URL: without query and fragment, which may be secret; and of that, what follows the scheme: HOST[:PORT]/PATH. Views. */
struct span source_plain(const struct source *s);
struct span source_place(const struct source *s);

/*
 * Append a URL that somebody typed, in the form of a source: non-ASCII bytes are escaped (RFC 3986, 2.5). 0 or -ENOMEM.
 */
int source_of_typed(const char *url, struct buf *out);

/*
 * The size limit of content from a source: JSON_DOCUMENT_MAX for a manifest, which has to be parsed; INT64_MAX for
 * anything else. `text` need not be valid.
 */
uint64_t source_size_max(struct span text);

/* Append the text of a manifest or blob source. `d` overrides the reference's tag and digest; NULL: as the reference
 * says. */
int source_format(enum source_kind kind, const struct reference *r, const struct digest *d, struct buf *out);

#endif
