/* SPDX-License-Identifier: Apache-2.0 */
/* A separate file, so that programs that link transfer.c do not need OpenSSL. */
#include "common/oci/transfer.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Base */
#include "common/base/hasher.h"

#define URL_HASH_BYTES 8
#define URL_REF_MAX    (REF_MAX - 1 - 2 * URL_HASH_BYTES)

static void ref_of_url(struct span url, char ret_ref[static REF_MAX + 1])
{
	size_t len = 0;
	uint8_t hash[HASH_MAX_BYTES];
	char hex[2 * URL_HASH_BYTES + 1];

	while (len < url.len && url.data[len] != '?' && url.data[len] != '#')
		len++;
	if (len == url.len && len <= REF_MAX) {
		(void)snprintf(ret_ref, REF_MAX + 1, "%.*s", SPAN_ARG(url));
		return;
	}
	hash_bytes(HASH_SHA256, url.data, url.len, hash);
	hex_encode(hash, URL_HASH_BYTES, hex);
	(void)snprintf(ret_ref, REF_MAX + 1, "%.*s?%s", (int)(len < URL_REF_MAX ? len : URL_REF_MAX),
		       (const char *)url.data, hex);
}

int ref_of_source(struct span source, const struct digest *expected, char ret_ref[static REF_MAX + 1],
		  struct reason *why)
{
	struct source s;

	if (source_parse(source, &s, why) < 0)
		return -EINVAL;
	if (s.kind == SOURCE_REGISTRY) {
		reason_set(why, "'%.*s' has no content", SPAN_ARG(source));
		return -EINVAL;
	}
	bool has_digest = s.reference.has_digest;
	if (has_digest && expected && !digest_eq(&s.reference.digest, expected)) {
		reason_set(why, "the source and the expected digest disagree");
		return -EINVAL;
	}
	if (has_digest || expected)
		digest_format(has_digest ? &s.reference.digest : expected, ret_ref);
	else if (s.kind == SOURCE_URL || s.kind == SOURCE_DATA)
		ref_of_url(source, ret_ref);
	else
		(void)snprintf(ret_ref, REF_MAX + 1, "%.*s", SPAN_ARG(source));
	return 0;
}
