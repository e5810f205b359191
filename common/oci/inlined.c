/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/inlined.h"

/* System */
#include <string.h>

/* Base */
#include "common/base/base64.h"

#define PREFIX "data:;base64,"

static struct span text_of(struct span source)
{
	return span_of(source.data + strlen(PREFIX), source.len - strlen(PREFIX));
}

bool inlined_is_source(struct span text)
{
	return text.len > strlen(PREFIX) && memcmp(text.data, PREFIX, strlen(PREFIX)) == 0 &&
	       text.len - strlen(PREFIX) <= INLINED_TEXT_MAX && base64_is(text_of(text));
}

int inlined_content(struct span source, struct buf *out)
{
	return base64_decode(text_of(source), out);
}

int inlined_source(const struct descriptor *d, const char *base64, struct buf *out)
{
	AUTO_BUF source = BUF_INIT, content = BUF_INIT;
	struct digest digest;
	int r = buf_append_str(&source, PREFIX);
	if (r == 0)
		r = buf_append_str(&source, base64);
	if (r < 0 || !inlined_is_source(buf_span(&source)))
		return r;
	r = inlined_content(buf_span(&source), &content);
	if (r < 0)
		return r;
	digest_of(d->digest.alg, content.data, content.len, &digest);
	if (content.len != d->size || !digest_eq(&digest, &d->digest))
		return 0;
	r = buf_append(out, source.data, source.len);
	return r < 0 ? r : 1;
}
