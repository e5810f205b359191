/* The way to a source: who is asked in which order, under which URL, and where redirects lead. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/route.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_registry_url(void **state)
{
	static const struct {
		const char *source;
		enum plain_http plain;
		const char *want;
	} rows[] = {
	    {"manifest://docker.io/library/alpine:3.19", PLAIN_HTTP_UNSET,
	     "https://registry-1.docker.io/v2/library/alpine/manifests/3.19"},
	    {"blob://ghcr.io/a/b/c@" DIGEST, PLAIN_HTTP_UNSET, "https://ghcr.io/v2/a/b/c/blobs/" DIGEST},
	    {"manifest://ghcr.io/a@" DIGEST, PLAIN_HTTP_UNSET, "https://ghcr.io/v2/a/manifests/" DIGEST},
	    {"manifest://localhost:5000/a:b", PLAIN_HTTP_UNSET, "http://localhost:5000/v2/a/manifests/b"},
	    {"manifest://127.0.0.1:5000/a:b", PLAIN_HTTP_UNSET, "http://127.0.0.1:5000/v2/a/manifests/b"},
	    {"manifest://localhost:5000/a:b", PLAIN_HTTP_NO, "https://localhost:5000/v2/a/manifests/b"},
	    {"manifest://ghcr.io/a:b", PLAIN_HTTP_YES, "http://ghcr.io/v2/a/manifests/b"},
	    {"http://example.com/x?y=z#part", PLAIN_HTTP_NO, "http://example.com/x?y=z"},
	    {"https://example.com/x", PLAIN_HTTP_YES, "https://example.com/x"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct source s;
		struct buf url = BUF_INIT;
		assert_int_equal(source_parse(span_str(rows[i].source), &s, NULL), 0);
		assert_int_equal(route_registry_url(&s, rows[i].plain, &url), 0);
		assert_string_equal(url.data, rows[i].want);
		buf_release(&url);
	}
}

static void test_accept(void **state)
{
	(void)state;
	assert_string_equal(route_accept(SOURCE_BLOB), "*/*");
	assert_string_equal(route_accept(SOURCE_URL), "*/*");
	assert_non_null(strstr(route_accept(SOURCE_MANIFEST), "application/vnd.oci.image.index.v1+json"));
	assert_non_null(strstr(route_accept(SOURCE_MANIFEST), "application/vnd.docker.distribution.manifest.v2+json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registry_url),
	    cmocka_unit_test(test_accept),
	};
	return cmocka_run_group_tests_name("fetchd route", tests, NULL, NULL);
}
