/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms: the canonical form, and which one runs which. */

/* System */
#include <inttypes.h>

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
	    {"linux/armhf/v6", "linux/arm/v7"}, /* implied by the name */
	    {"linux/armv6l", "linux/arm/v6"},
	    {"linux/i686", "linux/386"},
	    {"linux/i386/v1", "linux/386"},
	    {"linux/x86-64/v2", "linux/amd64/v2"},
	    {"linux/aarch64/v8.0", "linux/arm64"},
	    {"linux/arm64/v9.0", "linux/arm64/v9"},
	    {"linux/arm64/v9.2", "linux/arm64/v9.2"},
	    {"windows/amd64", "windows/amd64"},
	    {"Windows(10.0.17763.1)/AMD64", "windows(10.0.17763.1)/amd64"},
	    {"linux/riscv64", "linux/riscv64"},
	    {"macos/arm64", "darwin/arm64"},
	    {"unknown/unknown", "unknown/unknown"},
	    {X31 "/" X31 "/" X31, X31 "/" X31 "/" X31},
	    {X31 "(" X31 ")/" X31 "/" X31, X31 "(" X31 ")/" X31 "/" X31},
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
	    "amd65",
	    "Lin ux",
	    "unknown",
	    "beos(5)",
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
	    "windows()/amd64",
	    "windows(10.0/amd64",
	    "windows10.0)/amd64",
	    "windows(10.0 1)",
	    "windows(10.0 1)/amd64",
	    "(10.0)/amd64",
	    "windows(" X31 "x)/amd64",
	    "windows/amd64(1)",
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

static uint64_t rank(const char *want, const char *have)
{
	struct platform w, h;
	assert_int_equal(platform_parse(span_str(want), &w, NULL), 0);
	assert_int_equal(platform_parse(span_str(have), &h, NULL), 0);
	return platform_rank(&w, &h);
}

/* The rows and their order are those of containerd's platforms.Only. */
static const struct rank_row {
	const char *want;
	const char *better[14]; /* suitable platforms, best first */
	const char *none[9];
} rank_rows[] = {
    {"linux/amd64",
     {"linux/amd64/v1", "linux/386"},
     {"linux/amd64/v2", "linux/arm/v7", "linux/arm64", "windows/amd64", "windows/386", "linux/386/sse2"}},
    {"linux/amd64/v3", {"linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"}, {"linux/amd64/v4"}},
    {"linux/amd64/odd", {"linux/amd64/odd", "linux/386"}, {"linux/amd64"}},
    {"linux/386", {"linux/386"}, {"linux/amd64", "linux/arm"}},
    {"linux/arm/v8",
     {"linux/arm/v8", "linux/arm", "linux/arm/v6", "linux/arm/v5"},
     {"linux/arm/v4", "linux/arm64", "windows/arm", "linux/386"}},
    {"linux/arm/v7", {"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}, {"linux/arm/v8", "linux/arm64"}},
    {"linux/arm", {"linux/arm/v7", "linux/arm/v6"}, {"linux/arm/v8"}},
    {"linux/arm/v6", {"linux/arm/v6", "linux/arm/v5"}, {"linux/arm/v7", "linux/arm", "linux/arm/v4"}},
    {"linux/arm/v5", {"linux/arm/v5"}, {"linux/arm/v4", "linux/arm/v6"}},
    {"linux/arm/v4", {"linux/arm/v4"}, {"linux/arm/v3", "linux/arm/v5"}},
    {"linux/arm64",
     {"linux/arm64/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"},
     {"linux/arm64/v8.1", "linux/arm64/v9", "linux/arm/v4", "linux/arm/v9", "linux/amd64", "windows/arm"}},
    {"linux/arm64/v8.1",
     {"linux/arm64/v8.1", "linux/arm64", "linux/arm/v8"},
     {"linux/arm64/v8.2", "linux/arm64/v9", "linux/arm/v9"}},
    {"linux/arm64/v9",
     {"linux/arm64/v9.0", "linux/arm64/v8.5", "linux/arm64/v8.4", "linux/arm64/v8.1", "linux/arm64", "linux/arm/v8",
      "linux/arm/v5"},
     {"linux/arm64/v8.6", "linux/arm64/v9.1", "linux/arm/v4"}},
    {"linux/arm64/v9.1",
     {"linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.6", "linux/arm64/v8.5", "linux/arm64", "linux/arm"},
     {"linux/arm64/v8.7", "linux/arm64/v9.2"}},
    {"linux/ppc64le/power9", {"linux/ppc64le/power9"}, {"linux/ppc64le/power10", "linux/ppc64le"}},
    {"linux/riscv64", {"linux/riscv64"}, {"linux/riscv64/rva23u64"}},
    /* Before Server 2022 a version runs only its own images, of any revision. */
    {"windows(10.0.17763.100)/amd64",
     {"windows(10.0.17763.200)/amd64", "windows(10.0.17763.2)/amd64", "windows/amd64", "windows(10.0.17763)/386"},
     {"windows(10.0.17762)/amd64", "windows(10.0.14393)/amd64", "windows(10.0.20348)/amd64", "windows(6.0.17763)/amd64",
      "windows(10.1.17763)/amd64", "windows(odd)/amd64", "linux/amd64"}},
    {"windows(10.0.22621)/amd64",
     {"windows(10.0.22621.1)/amd64", "windows(10.0.22621)/amd64", "windows(10.0.20348.9)/amd64",
      "windows(10.0.20348)/amd64", "windows/amd64"},
     {"windows(10.0.22622)/amd64", "windows(10.0.20347)/amd64", "windows(10.0.17763)/amd64"}},
    {"linux(6.1)/amd64", {"linux(5.1)/amd64"}, {"windows(6.1)/amd64"}},
    {"unknown/unknown", {NULL}, {"unknown/unknown"}},
};

static void test_rank(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(rank_rows); i++) {
		const struct rank_row *row = &rank_rows[i];
		uint64_t before = UINT64_MAX;
		for (size_t j = 0; j < LEN(row->better) && row->better[j]; j++) {
			uint64_t now = rank(row->want, row->better[j]);
			if (now == 0 || now >= before)
				fail_msg("'%s' by '%s': %" PRIu64, row->want, row->better[j], now);
			before = now;
		}
		for (size_t j = 0; j < LEN(row->none) && row->none[j]; j++)
			if (rank(row->want, row->none[j]) != 0)
				fail_msg("'%s' by '%s'", row->want, row->none[j]);
	}
}

/* Without a Windows version to compare, all are equal, and the first of an index is chosen. */
static void test_rank_of_any_version(void **state)
{
	(void)state;
	assert_true(rank("windows/amd64", "windows(10.0.17763)/amd64") > 0);
	assert_true(rank("windows/amd64", "windows(10.0.17763)/amd64") ==
		    rank("windows/amd64", "windows(10.0.20348)/amd64"));
	assert_true(rank("windows(odd)/amd64", "windows(10.0.1)/amd64") == rank("windows(odd)/amd64", "windows/amd64"));
}

/* The parts come from a document, and none can change another. */
static void test_of_parts(void **state)
{
	static const struct {
		const char *os, *version, *architecture, *variant, *want;
	} rows[] = {
	    {"linux", NULL, "x86_64", NULL, "linux/amd64"},
	    {"linux", "", "arm", "", "linux/arm/v7"},
	    {"windows", "10.0.20348.1", "amd64", NULL, "windows(10.0.20348.1)/amd64"},
	    {"windows", "10.0 odd", "amd64", NULL, "windows/amd64"},
	    {"windows", X31 "x", "amd64", NULL, "windows/amd64"},
	    {"", NULL, "amd64", NULL, NULL},
	    {"linux", NULL, "", NULL, NULL},
	    {"linux/arm", NULL, "v7", NULL, NULL},
	    {"windows(1)", NULL, "amd64", NULL, NULL},
	    {"linux", NULL, "arm", "v7/x", NULL},
	    {X31 "x", NULL, "amd64", NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct platform p;
		char text[PLATFORM_TEXT_SIZE];
		struct reason why = {""};
		int r = platform_of_parts(rows[i].os, rows[i].version, rows[i].architecture, rows[i].variant, &p, &why);
		assert_int_equal(r, rows[i].want ? 0 : -EINVAL);
		if (r == 0)
			platform_format(&p, text);
		assert_string_equal(r == 0 ? text : why.text[0] ? "" : "no reason", rows[i].want ? rows[i].want : "");
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

static void test_one_word(void **state)
{
	static const struct {
		const char *word, *like; /* without a part that defaults to the host's */
	} rows[] = {
	    {"arm64", "linux/arm64"}, {"aarch64", "linux/arm64"},   {"armhf", "linux/arm/v7"},
	    {"arm", "linux/arm/v7"},  {"RISCV64", "linux/riscv64"}, {"linux", "linux/"},
	    {"macOS", "darwin/"},     {"Windows", "windows/"},      {"windows(10.0.20348)", "windows(10.0.20348)/"},
	};
	struct platform host;
	(void)state;
	platform_of_host(&host);
	for (size_t i = 0; i < LEN(rows); i++) {
		struct platform p;
		char text[PLATFORM_TEXT_SIZE], want[2 * PLATFORM_TEXT_SIZE];
		bool is_os = rows[i].like[strlen(rows[i].like) - 1] == '/';
		assert_int_equal(platform_parse(span_str(rows[i].word), &p, NULL), 0);
		platform_format(&p, text);
		(void)snprintf(want, sizeof want, "%s%s%s%s", rows[i].like, is_os ? host.architecture : "",
			       is_os && host.variant[0] != '\0' ? "/" : "", is_os ? host.variant : "");
		assert_string_equal(text, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_one_word),
	    cmocka_unit_test(test_rank),
	    cmocka_unit_test(test_rank_of_any_version),
	    cmocka_unit_test(test_of_parts),
	    cmocka_unit_test(test_host),
	};
	return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
