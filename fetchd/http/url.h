/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs and origins (RFC 3986; RFC 6454, 4: an origin is scheme, host and port), by libcurl's parser, so that what we
 * compare is what it connects to.
 */
#ifndef SLUICE_FETCHD_HTTP_URL_H
#define SLUICE_FETCHD_HTTP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/reason.h"

#define URL_MAX          8192 /* bytes */
#define URL_HOST_MAX     255
#define ORIGIN_TEXT_SIZE (URL_HOST_MAX + 7) /* "host:65535" */

struct origin {
	bool tls;
	uint16_t port;
	char host[URL_HOST_MAX + 1]; /* lower case */
};

/* -EINVAL with a reason: not http or https, no host, credentials in it, longer than URL_MAX. */
int origin_of(const char *url, struct origin *ret_origin, struct reason *why);

bool origin_eq(const struct origin *a, const struct origin *b);

/* "host", or "host:port" if the port is not the scheme's. */
void origin_format(const struct origin *o, char ret_text[static ORIGIN_TEXT_SIZE]);

/*
 * Resolve a Location against `base` to an absolute URL without a fragment, in `ret_url` (its content is replaced).
 * -EINVAL with a reason: not a URL, a scheme other than http and https, credentials in it.
 */
int url_redirect(const char *base, const char *location, struct buf *ret_url, struct reason *why);

/* Whether the path has the ending of a compressed file: ".gz", ".tgz", ".xz". */
bool url_names_compressed(const char *url);

/*
 * Append `value` to a query or a form, with everything escaped except the unreserved characters (RFC 3986, 2.3), so
 * that nothing in it can end a value or a line. 0 or -ENOMEM.
 */
int url_append_escaped(struct span value, struct buf *out);

#endif
