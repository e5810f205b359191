/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and indexes, after a line with the media type of the answer. */

/* OCI */
#include "common/oci/inlined.h"
#include "common/oci/manifest.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

static void check_entry(const struct descriptor *d)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest back;

	FUZZ_CHECK(d->size <= INT64_MAX);
	digest_format(&d->digest, text);
	FUZZ_CHECK(digest_parse(span_str(text), &back, NULL) == 0 && digest_eq(&back, &d->digest));
	FUZZ_CHECK(memchr(d->media_type, '\0', sizeof(d->media_type)) != NULL);
	AUTO_JSON json = descriptor_to_json(d);
	struct descriptor again;
	FUZZ_CHECK(json != NULL && descriptor_parse(json, &again, NULL) == 0);
	FUZZ_CHECK(digest_eq(&again.digest, &d->digest) && again.size == d->size);
}

/* What stands in the manifest is a source only if it is the content. */
static void check_inlined(const struct descriptor *d, const char *text)
{
	AUTO_BUF source = BUF_INIT, content = BUF_INIT;
	struct digest digest;

	if (!text)
		return;
	FUZZ_CHECK(strlen(text) <= INLINED_TEXT_MAX);
	if (inlined_source(d, text, &source) == 0) {
		FUZZ_CHECK(source.len == 0);
		return;
	}
	FUZZ_CHECK(inlined_is_source(buf_span(&source)) && inlined_content(buf_span(&source), &content) == 0);
	FUZZ_CHECK(content.len == d->size && content.len <= INLINED_MAX);
	digest_of(d->digest.alg, content.data, content.len, &digest);
	FUZZ_CHECK(digest_eq(&digest, &d->digest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char came_as[MEDIA_TYPE_MAX + 2] = "";
	struct span rest = {data, len};
	struct span line = fuzz_line(&rest);
	struct manifest m;
	struct platform host;
	struct reason why = {{0}};

	if (line.len < sizeof(came_as) && line.len > 0)
		memcpy(came_as, line.data, line.len - 1);
	int r = manifest_parse(rest, came_as, &m, &why);
	if (r < 0) {
		FUZZ_CHECK(why.text[0] != '\0');
		return 0;
	}
	FUZZ_CHECK(m.entries_len <= MANIFEST_ENTRIES_MAX + 1);
	FUZZ_CHECK(m.kind == MANIFEST_INDEX ? media_type_is_index(m.media_type) : media_type_is_manifest(m.media_type));
	for (size_t i = 0; i < m.entries_len; i++) {
		check_entry(&m.entries[i]);
		check_inlined(&m.entries[i], m.inlined ? m.inlined[i] : NULL);
	}
	platform_of_host(&host);
	const struct descriptor *picked = m.kind == MANIFEST_INDEX ? manifest_pick(&m, &host) : NULL;
	FUZZ_CHECK(!picked || (picked >= m.entries && picked < m.entries + m.entries_len));
	manifest_release(&m);
	return 0;
}
