/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/ref.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Base */
#include "common/base/shown.h"

#define HASH_DIGITS 16

/* Its length without the hash that replaces a query. */
static size_t len_without_hash(const char *text)
{
	const char *hash = strrchr(text, '?');

	return hash && strlen(hash + 1) == HASH_DIGITS && strspn(hash + 1, "0123456789abcdef") == HASH_DIGITS
		   ? (size_t)(hash - text)
		   : strlen(text);
}

int ref_meant(const char *text, char ret_ref[static REF_MAX + 1], struct reason *why)
{
	struct source source;
	char shown[SHOWN_SIZE];
	AUTO_BUF url = BUF_INIT;
	size_t len = len_without_hash(text);

	if (source_of_typed(text, &url) < 0) {
		reason_set(why, "out of memory");
		return -EINVAL;
	}
	if (len == strlen(text) && source_parse(buf_span(&url), &source, NULL) == 0 && source.kind == SOURCE_URL)
		return ref_of_source(buf_span(&url), NULL, ret_ref, why);
	if (ref_check(span_str(text), why) < 0)
		return -EINVAL;
	shown_of(span_of(text, len), shown);
	if (len < SHOWN_SIZE && strlen(shown) != len) {
		reason_set(why, "it is neither a ref, as status shows it, nor a URL");
		return -EINVAL;
	}
	(void)snprintf(ret_ref, REF_MAX + 1, "%s", text);
	return 0;
}
