/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: the three kinds, their canonical form, and invalid ones. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/json.h"
#include "common/oci/source.h"

#define D     "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "sha256:f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_taken(void **state)
{
	static const struct {
		const char *text;
		enum source_kind kind;
	} rows[] = {
	    {"http://localhost:80/x?y=z@w#f", SOURCE_URL},
	    {"https://h", SOURCE_URL},
	    {"https://[::1]:443/", SOURCE_URL},
	    {"http://h/a@b", SOURCE_URL},
	    {"http://h?user@x", SOURCE_URL},
	    {"manifest://localhost:5000/a/b:t", SOURCE_MANIFEST},
	    {"manifest://docker.io/library/alpine:latest", SOURCE_MANIFEST},
	    {"manifest://h.io/a@" D, SOURCE_MANIFEST},
	    {"blob://h.io/a@" D, SOURCE_BLOB},
	    {"data:;base64,e30=", SOURCE_DATA},
	    {"registry://localhost:5000", SOURCE_REGISTRY},
	    {"registry://docker.io", SOURCE_REGISTRY},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct source s;
		struct reason why = {""};
		AUTO_BUF again = BUF_INIT;
		if (source_parse(span_str(rows[i].text), &s, &why) != 0)
			fail_msg("'%s': %s", rows[i].text, why.text);
		assert_int_equal(s.kind, rows[i].kind);
		if (s.kind == SOURCE_REGISTRY) {
			assert_string_equal(s.reference.host, rows[i].text + strlen(SOURCE_REGISTRY_SCHEME));
			continue;
		}
		if (s.kind == SOURCE_URL || s.kind == SOURCE_DATA) {
			assert_true(span_eq(s.url, span_str(rows[i].text)));
			continue;
		}
		assert_int_equal(source_format(s.kind, &s.reference, NULL, &again), 0);
		assert_string_equal(again.data, rows[i].text);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    "x",
	    "file:///etc/passwd",
	    "registry://",
	    "registry://h.io/a",
	    "registry://index.docker.io",
	    "registry://word",
	    "data:;base64,",
	    "data:;base64,e30",
	    "data:,e30=",
	    "gopher://h/x",
	    "ftp://h/x",
	    "HTTP://h/x",
	    "http:/h/x",
	    "http://",
	    "http:///x",
	    "http://?x",
	    "http://user:secret@h/x",
	    "http://user@h",
	    "http://user:sec/ret@h/x",
	    "http://h:http/x",
	    "http://[::1]:x/x",
	    "https://a@b@c/",
	    "http://h\\@evil/x",
	    "http://h/a b",
	    "http://h/a\nb",
	    "http://h/a\x7f",
	    "http://h/\xc3\xa4",
	    "manifest://",
	    "manifest://alpine",
	    "manifest://library/alpine:latest",
	    "manifest://index.docker.io/a/b:t",
	    "manifest://docker.io/alpine:latest",
	    "manifest://h.io/a",
	    "manifest://h.io/a:t@" D,
	    "manifest://h.io/A:t",
	    "manifest://user@h.io/a:t",
	    "manifest://h.io/../a:t",
	    "blob://h.io/a:t",
	    "blob://h.io/a",
	    "blob://h.io/a:t@" D,
	    "blob://h.io/a@md5:00",
	    "blob://h.io/a@" D "/..",
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct source s = {.kind = SOURCE_BLOB};
		struct reason why = {""};
		if (source_parse(span_str(rows[i]), &s, &why) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_int_equal(s.kind, SOURCE_BLOB);
		assert_true(why.text[0] != '\0');
		assert_null(strstr(why.text, "secret"));
	}
	struct source s;
	assert_int_equal(source_parse(span_of("http://h/\0x", 11), &s, NULL), -EINVAL);
}

static void test_length(void **state)
{
	(void)state;
	struct source s;
	char text[SOURCE_MAX + 1];
	memset(text, 'x', sizeof(text));
	memcpy(text, "http://h/", 9);
	assert_int_equal(source_parse(span_of(text, SOURCE_MAX), &s, NULL), 0);
	assert_int_equal(source_parse(span_of(text, SOURCE_MAX + 1), &s, NULL), -EINVAL);
}

static void test_size_max(void **state)
{
	static const struct {
		const char *source;
		uint64_t want;
	} rows[] = {
	    {"manifest://h.io/a:t", JSON_DOCUMENT_MAX},
	    {"manifest://h.io/a@" D, JSON_DOCUMENT_MAX},
	    {"blob://h.io/a@" D, INT64_MAX},
	    {"https://h.io/a", INT64_MAX},
	    {"manifest:", INT64_MAX},
	    {"", INT64_MAX},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		assert_int_equal(source_size_max(span_str(rows[i].source)), rows[i].want);
}

/* A separate digest replaces the tag or digest of the reference. */
static void test_format_with_digest(void **state)
{
	static const struct {
		const char *reference;
		enum source_kind kind;
		const char *digest, *want;
	} rows[] = {
	    {"h.io/a:t", SOURCE_MANIFEST, NULL, "manifest://h.io/a:t"},
	    {"h.io/a:t", SOURCE_MANIFEST, D, "manifest://h.io/a@" D},
	    {"h.io/a:t@" OTHER, SOURCE_MANIFEST, NULL, "manifest://h.io/a@" OTHER},
	    {"h.io/a:t@" OTHER, SOURCE_MANIFEST, D, "manifest://h.io/a@" D},
	    {"h.io/a:t", SOURCE_BLOB, D, "blob://h.io/a@" D},
	    {"h.io/a@" OTHER, SOURCE_BLOB, D, "blob://h.io/a@" D},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		struct reference r;
		struct digest d;
		struct source s;
		assert_int_equal(reference_parse(span_str(rows[i].reference), &r, NULL), 0);
		if (rows[i].digest)
			assert_int_equal(digest_parse(span_str(rows[i].digest), &d, NULL), 0);
		assert_int_equal(source_format(rows[i].kind, &r, rows[i].digest ? &d : NULL, &out), 0);
		assert_string_equal(out.data, rows[i].want);
		assert_int_equal(source_parse(buf_span(&out), &s, NULL), 0);
	}
}

static void test_typed(void **state)
{
	static const char *const rows[][2] = {
	    {"", ""},
	    {"http://h/a%20b?c=d", "http://h/a%20b?c=d"},
	    {"http://h/st\xc3\xb6r", "http://h/st%C3%B6r"},
	    {"http://h/\xff\x7f b", "http://h/%FF\x7f b"}, /* what is refused stays so */
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf url = BUF_INIT;
		assert_int_equal(source_of_typed(rows[i][0], &url), 0);
		assert_string_equal(url.data ? url.data : "", rows[i][1]);
		buf_release(&url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken), cmocka_unit_test(test_refused),  cmocka_unit_test(test_length),
	    cmocka_unit_test(test_typed), cmocka_unit_test(test_size_max), cmocka_unit_test(test_format_with_digest),
	};
	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
