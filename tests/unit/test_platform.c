/* Platforms: one form for each, and which serves which. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/platform.h"

#define X31 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void test_taken(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"linux/amd64", "linux/amd64"},
	    {"linux/x86_64", "linux/amd64"},
	    {"Linux/AMD64", "linux/amd64"},
	    {"linux/amd64/v1", "linux/amd64"},
	    {"linux/amd64/v3", "linux/amd64/v3"},
	    {"linux/aarch64", "linux/arm64"},
	    {"linux/arm64/v8", "linux/arm64"},
	    {"linux/arm64/8", "linux/arm64"},
	    {"linux/arm64/v9", "linux/arm64/v9"},
	    {"linux/arm", "linux/arm/v7"},
	    {"linux/arm/7", "linux/arm/v7"},
	    {"linux/arm/v6", "linux/arm/v6"},
	    {"linux/armhf", "linux/arm/v7"},
	    {"linux/armel", "linux/arm/v6"},
	    {"linux/i686", "linux/386"},
	    {"linux/riscv64", "linux/riscv64"},
	    {"macos/arm64", "darwin/arm64"},
	    {"unknown/unknown", "unknown/unknown"},
	    {X31 "/" X31 "/" X31, X31 "/" X31 "/" X31},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct platform p;
		char text[PLATFORM_TEXT_SIZE];
		assert_int_equal(platform_parse(span_str(rows[i].text), &p, NULL), 0);
		platform_format(&p, text);
		assert_string_equal(text, rows[i].want);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    "linux",
	    "linux/",
	    "/amd64",
	    "linux//v1",
	    "linux/arm/",
	    "a/b/c/d",
	    "linux/am d64",
	    "linux/amd64\n",
	    "linux/\xc3\xa4",
	    X31 "x/amd64",
	    "linux/" X31 "x",
	    "linux/arm/" X31 "x",
	    "linux/am:64",
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct platform p = {.os = "untouched"};
		struct reason why = {""};
		if (platform_parse(span_str(rows[i]), &p, &why) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_string_equal(p.os, "untouched");
		assert_non_null(strstr(why.text, "is not a platform"));
	}
}

static unsigned rank(const char *want, const char *have)
{
	struct platform w, h;
	assert_int_equal(platform_parse(span_str(want), &w, NULL), 0);
	assert_int_equal(platform_parse(span_str(have), &h, NULL), 0);
	return platform_rank(&w, &h);
}

static void test_rank(void **state)
{
	static const struct {
		const char *want;
		const char *better[5]; /* each serves, and better than the next */
		const char *none[4];
	} rows[] = {
	    {"linux/amd64", {"linux/amd64"}, {"linux/arm64", "windows/amd64", "linux/amd64/v2", "linux/386"}},
	    {"linux/amd64/v3", {"linux/amd64/v3", "linux/amd64/v2", "linux/amd64"}, {"linux/amd64/v4"}},
	    {"linux/arm/v7", {"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}, {"linux/arm/v8", "linux/arm64"}},
	    {"linux/arm", {"linux/arm/v7", "linux/arm/v6"}, {"linux/arm/v8"}},
	    {"linux/arm/v6", {"linux/arm/v6", "linux/arm/v5"}, {"linux/arm/v7", "linux/arm"}},
	    {"linux/arm64", {"linux/arm64/v8"}, {"linux/arm64/v9", "linux/arm"}},
	    {"linux/arm64/v9", {"linux/arm64/v9", "linux/arm64"}, {"linux/arm/v7"}},
	    {"linux/ppc64le/power9", {"linux/ppc64le/power9", "linux/ppc64le"}, {"linux/ppc64le/power10"}},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		unsigned before = UINT32_MAX;
		for (size_t j = 0; j < 5 && rows[i].better[j]; j++) {
			unsigned now = rank(rows[i].want, rows[i].better[j]);
			if (now == 0 || now >= before)
				fail_msg("'%s' by '%s': %u", rows[i].want, rows[i].better[j], now);
			before = now;
		}
		for (size_t j = 0; j < 4 && rows[i].none[j]; j++)
			assert_int_equal(rank(rows[i].want, rows[i].none[j]), 0);
	}
}

static void test_host(void **state)
{
	(void)state;
	struct platform p, again;
	char text[PLATFORM_TEXT_SIZE];
	platform_of_host(&p);
	platform_format(&p, text);
	assert_int_equal(platform_parse(span_str(text), &again, NULL), 0);
	assert_true(platform_rank(&p, &again) > 0);
	assert_string_equal(p.os, "linux");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_rank),
	    cmocka_unit_test(test_host),
	};
	return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
