/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: no control bytes and no credentials are accepted, and registry sources format to the same text. */

/* OCI */
#include "common/oci/inlined.h"
#include "common/oci/json.h"
#include "common/oci/source.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

/* As somebody typed it: what is escaped is ASCII, and not escaped again. */
static void check_typed(const uint8_t *data, size_t len)
{
	AUTO_BUF typed = BUF_INIT, once = BUF_INIT, twice = BUF_INIT;

	FUZZ_CHECK(buf_append_str(&typed, "u") == 0 && buf_append(&typed, data, len) == 0);
	FUZZ_CHECK(source_of_typed(typed.data, &once) == 0);
	for (size_t i = 0; i < once.len; i++)
		FUZZ_CHECK((uint8_t)once.data[i] < 0x80);
	FUZZ_CHECK(source_of_typed(once.data, &twice) == 0 && span_eq(buf_span(&once), buf_span(&twice)));
}

/* Neither query nor fragment, and nothing else is missing. */
static void check_plain(const struct source *s)
{
	struct span plain = source_plain(s), place = source_place(s);

	FUZZ_CHECK(plain.data == s->url.data && plain.len <= s->url.len);
	FUZZ_CHECK(!memchr(plain.data, '?', plain.len) && !memchr(plain.data, '#', plain.len));
	FUZZ_CHECK(plain.len == s->url.len || plain.data[plain.len] == '?' || plain.data[plain.len] == '#');
	FUZZ_CHECK(place.len < plain.len && place.data + place.len == plain.data + plain.len && place.data[-1] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = {data, len};
	struct source s, back;
	struct reason why = {{0}};
	AUTO_BUF once = BUF_INIT, twice = BUF_INIT;

	check_typed(data, len);
	if (source_parse(text, &s, &why) < 0) {
		FUZZ_CHECK(why.text[0] != '\0');
		return 0;
	}
	FUZZ_CHECK(len <= SOURCE_MAX);
	FUZZ_CHECK((source_size_max(text) == JSON_DOCUMENT_MAX) == (s.kind == SOURCE_MANIFEST));
	for (size_t i = 0; i < len; i++)
		FUZZ_CHECK(data[i] > ' ' && data[i] != 0x7F);
	if (s.kind == SOURCE_URL || s.kind == SOURCE_DATA)
		FUZZ_CHECK(span_eq(s.url, text));
	if (s.kind == SOURCE_URL)
		check_plain(&s);
	if (s.kind == SOURCE_DATA)
		FUZZ_CHECK(inlined_content(text, &once) == 0 && once.len > 0 && once.len <= INLINED_MAX);
	if (s.kind == SOURCE_URL || s.kind == SOURCE_DATA)
		return 0;
	if (s.kind == SOURCE_REGISTRY) {
		FUZZ_CHECK(s.reference.host[0] != '\0' && s.reference.name[0] == '\0');
		return 0;
	}
	FUZZ_CHECK(s.kind != SOURCE_BLOB || s.reference.has_digest);
	FUZZ_CHECK(source_format(s.kind, &s.reference, NULL, &once) == 0);
	FUZZ_CHECK(source_parse(buf_span(&once), &back, &why) == 0 && back.kind == s.kind);
	FUZZ_CHECK(source_format(back.kind, &back.reference, NULL, &twice) == 0);
	FUZZ_CHECK(span_eq(buf_span(&once), buf_span(&twice)));
	return 0;
}
