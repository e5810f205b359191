/* SPDX-License-Identifier: Apache-2.0 */
/* From URLs to origins, and where redirects may lead. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/url.h"

static void test_origin(void **state)
{
	static const struct {
		const char *url;
		const char *want; /* NULL: refused */
		bool tls;
	} rows[] = {
	    {"http://example.com/x", "example.com", false},
	    {"https://Example.COM:443/x", "example.com", true},
	    {"https://example.com:80/", "example.com:80", true},
	    {"http://example.com:8080", "example.com:8080", false},
	    {"http://[::1]:5000/", "[::1]:5000", false},
	    {"ftp://example.com/", NULL, false},
	    {"file:///etc/passwd", NULL, false},
	    {"http://user:secret@example.com/", NULL, false},
	    {"http://user@example.com/", NULL, false},
	    {"http://example.com:99999/", NULL, false},
	    {"http://", NULL, false},
	    {"example.com/x", NULL, false},
	    {"", NULL, false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct origin o;
		struct reason why = {""};
		int r = origin_of(rows[i].url, &o, &why);
		assert_int_equal(r, rows[i].want ? 0 : -EINVAL);
		if (!rows[i].want) {
			assert_string_not_equal(why.text, "");
			continue;
		}
		char text[ORIGIN_TEXT_SIZE];
		origin_format(&o, text);
		assert_string_equal(text, rows[i].want);
		assert_int_equal(o.tls, rows[i].tls);
	}
}

/* Credentials go to the same origin only: host, port and scheme all count. */
static void test_origin_eq(void **state)
{
	static const struct {
		const char *a, *b;
		bool want;
	} rows[] = {
	    {"https://a.example/x", "https://A.example:443/y", true},
	    {"https://a.example/", "http://a.example/", false},
	    {"https://a.example/", "https://a.example:444/", false},
	    {"https://a.example/", "https://b.example/", false},
	    {"https://a.example/", "https://a.example.b/", false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct origin a, b;
		assert_int_equal(origin_of(rows[i].a, &a, NULL), 0);
		assert_int_equal(origin_of(rows[i].b, &b, NULL), 0);
		assert_int_equal(origin_eq(&a, &b), rows[i].want);
	}
}

static void test_redirect(void **state)
{
	static const struct {
		const char *base, *location;
		const char *want; /* NULL: refused */
	} rows[] = {
	    {"http://a.example/x/y", "/z", "http://a.example/z"},
	    {"http://a.example/x/y", "z?q=1#f", "http://a.example/x/z?q=1"},
	    {"http://a.example/x", "https://b.example:8443/y", "https://b.example:8443/y"},
	    {"https://a.example/x", "//b.example/y", "https://b.example/y"},
	    {"https://a.example/x", "http://a.example/y", "http://a.example/y"},
	    {"https://a.example/x", "https://u:p@b.example/y", NULL},
	    {"http://a.example/x", "file:///etc/passwd", NULL},
	    {"http://a.example/x", "gopher://b.example/", NULL},
	    {"http://a.example/x", "http://", NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf url = BUF_INIT;
		struct reason why = {""};
		int r = url_redirect(rows[i].base, rows[i].location, &url, &why);
		assert_int_equal(r, rows[i].want ? 0 : -EINVAL);
		if (rows[i].want)
			assert_string_equal(url.data, rows[i].want);
		else
			assert_string_not_equal(why.text, "");
		buf_release(&url);
	}
}

/* A redirect to a URL longer than the limit is refused. */
static void test_redirect_limit(void **state)
{
	struct buf location = BUF_INIT, url = BUF_INIT;
	(void)state;
	assert_int_equal(buf_append_str(&location, "http://a.example/"), 0);
	while (location.len < URL_MAX)
		assert_int_equal(buf_append_str(&location, "x"), 0);
	assert_int_equal(url_redirect("http://b.example/", location.data, &url, NULL), 0);
	assert_int_equal(url.len, URL_MAX);
	assert_int_equal(buf_append_str(&location, "x"), 0);
	assert_int_equal(url_redirect("http://b.example/", location.data, &url, NULL), -EINVAL);
	buf_release(&location);
	buf_release(&url);
}

static void test_names_compressed(void **state)
{
	static const struct {
		const char *url;
		bool want;
	} rows[] = {
	    {"http://a.io/f.tar.gz", true}, {"http://a.io/f.tgz?x=y.z#z", true},
	    {"http://a.io/f.Z", true},      {"http://a.io/f.tar?name=f.gz", false},
	    {"http://a.io/f.gz/", false},   {"http://a.io/gz", false},
	    {"http://a.io/f.GZIP", false},  {"", false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (url_names_compressed(rows[i].url) != rows[i].want)
			fail_msg("%s", rows[i].url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_origin),         cmocka_unit_test(test_origin_eq),
	    cmocka_unit_test(test_redirect),       cmocka_unit_test(test_names_compressed),
	    cmocka_unit_test(test_redirect_limit),
	};
	return cmocka_run_group_tests_name("fetchd http url", tests, NULL, NULL);
}
