/* SPDX-License-Identifier: Apache-2.0 */
/* Image references: short and full forms, the limits of each part, and invalid ones. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/reference.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D     "sha256:" HEX64
#define A10   "aaaaaaaaaa"
#define A100  A10 A10 A10 A10 A10 A10 A10 A10 A10 A10
#define A128  A100 A10 A10 "aaaaaaaa"
#define A255  A100 A100 A10 A10 A10 A10 A10 "aaaaa"
#define MIB   (1u << 20)

static void test_taken(void **state)
{
	static const struct {
		const char *text, *host, *name, *tag, *full;
	} rows[] = {
	    {"alpine", "docker.io", "library/alpine", "latest", "docker.io/library/alpine:latest"},
	    {"alpine:3.20", "docker.io", "library/alpine", "3.20", "docker.io/library/alpine:3.20"},
	    {"a/b", "docker.io", "a/b", "latest", "docker.io/a/b:latest"},
	    {"docker.io/alpine", "docker.io", "library/alpine", "latest", "docker.io/library/alpine:latest"},
	    {"index.docker.io/a/b", "docker.io", "a/b", "latest", "docker.io/a/b:latest"},
	    {"localhost/a", "localhost", "a", "latest", "localhost/a:latest"},
	    {"localhost:5000/a/b:T_1.x-y", "localhost:5000", "a/b", "T_1.x-y", "localhost:5000/a/b:T_1.x-y"},
	    {"localhost:5000", "docker.io", "library/localhost", "5000", "docker.io/library/localhost:5000"},
	    {"127.0.0.1:1/a", "127.0.0.1:1", "a", "latest", "127.0.0.1:1/a:latest"},
	    {"[::1]:5000/a:t", "[::1]:5000", "a", "t", "[::1]:5000/a:t"},
	    {"[2001:db8::1]/a", "[2001:db8::1]", "a", "latest", "[2001:db8::1]/a:latest"},
	    {"ghcr.io/a.b/c_d/e__f/g---h", "ghcr.io", "a.b/c_d/e__f/g---h", "latest",
	     "ghcr.io/a.b/c_d/e__f/g---h:latest"},
	    {"Host/a", "Host", "a", "latest", "Host/a:latest"},
	    {"a.b:65535/c", "a.b:65535", "c", "latest", "a.b:65535/c:latest"},
	    {"a@" D, "docker.io", "library/a", "", "docker.io/library/a@" D},
	    {"a:t@" D, "docker.io", "library/a", "t", "docker.io/library/a:t@" D},
	    {"h.io/a:" A128, "h.io", "a", A128, "h.io/a:" A128},
	    {"h.io/" A255, "h.io", A255, "latest", "h.io/" A255 ":latest"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reference r;
		struct reason why = {""};
		char full[REFERENCE_TEXT_SIZE];
		if (reference_parse(span_str(rows[i].text), &r, &why) != 0)
			fail_msg("'%s': %s", rows[i].text, why.text);
		assert_string_equal(r.host, rows[i].host);
		assert_string_equal(r.name, rows[i].name);
		assert_string_equal(r.tag, rows[i].tag);
		assert_int_equal(r.has_digest, strchr(rows[i].text, '@') != NULL);
		reference_format(&r, full);
		assert_string_equal(full, rows[i].full);
		/* The full form is valid and does not change. */
		assert_int_equal(reference_parse(span_str(full), &r, &why), 0);
		reference_format(&r, full);
		assert_string_equal(full, rows[i].full);
	}
}

#define ROW(text)                                                                                                      \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

static const struct {
	const char *text;
	size_t len;
} refused[] = {
    ROW(""),
    ROW(" "),
    ROW("/"),
    ROW("a/"),
    ROW("/a"),
    ROW("a//b"),
    ROW("a:"),
    ROW(":t"),
    ROW("a:t:u"),
    ROW("a@"),
    ROW("@" D),
    ROW("a@md5:00"),
    ROW("a@" D "0"),
    ROW("a@" D "@" D),
    ROW("Alpine"),
    ROW("a/B"),
    ROW("a/../b"),
    ROW("../a"),
    ROW("..:a"),
    ROW("h.io/../a"),
    ROW("h.io/..%2fa"),
    ROW("a/./b"),
    ROW("-a"),
    ROW("a-"),
    ROW("a..b/"),
    ROW("h.io/a..b"),
    ROW("h.io/a___b"),
    ROW("h.io/a._b"),
    ROW("h.io/.a"),
    ROW("h.io/a."),
    ROW("a b"),
    ROW("a\nb"),
    ROW("a\0b"),
    ROW("a\0"),
    ROW("a?b"),
    ROW("h.io/a:-t"),
    ROW("h.io/a:.t"),
    ROW("h.io/a:t/u"),
    ROW("h.io/a:t u"),
    ROW("h.io/a:" A128 "a"),
    ROW("h.io/" A255 "a"),
    ROW("http://h.io/a"),
    ROW("h..io/a"),
    ROW(".io/a"),
    ROW("h.io./a"),
    ROW("-h.io/a"),
    ROW("h-.io/a"),
    ROW("h.io-/a"),
    ROW("h_x.io/a"),
    ROW("h.io:/a"),
    ROW("h.io:0/a"),
    ROW("h.io:65536/a"),
    ROW("h.io:99999999999999999999/a"),
    ROW("h.io:80x/a"),
    ROW("user@h.io/a"),
    ROW("user:p@h.io/a"),
    ROW("[::1/a"),
    ROW("[]:5000/a"),
    ROW("[::1]x/a"),
    ROW("[::1]:/a"),
    ROW("[127.0.0.1]/a"),
    ROW("[::1%25lo]/a"),
    ROW("h.io/\xc3\xa4"),
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(refused); i++) {
		struct reference r = {.tag = "untouched"};
		struct reason why = {""};
		if (reference_parse(span_of(refused[i].text, refused[i].len), &r, &why) != -EINVAL)
			fail_msg("'%s' was taken", refused[i].text);
		assert_string_equal(r.tag, "untouched");
		assert_true(why.text[0] != '\0');
	}
}

/* As skopeo and podman write it, or a browser: the message says what is wrong with it. */
static void test_scheme(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"docker://h.io/a:1", "'docker://h.io/a:1' is not an image reference: leave out the scheme"},
	    {"https://h.io/a", "leave out the scheme"},
	    {"oci-archive://a", "leave out the scheme"},
	    {"h.io/a b", "'h.io/a b' is not an image reference: leave out the white space"},
	    {" h.io/a", "leave out the white space"},
	    {"h.io/a:1\n", "leave out the white space"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reference r;
		struct reason why = {""};
		assert_int_equal(reference_parse(span_str(rows[i].text), &r, &why), -EINVAL);
		assert_non_null(strstr(why.text, rows[i].want));
	}
}

static void test_long_host(void **state)
{
	(void)state;
	struct reference r;
	char text[300];
	for (int over = 0; over < 2; over++) {
		size_t len = REFERENCE_HOST_MAX + (size_t)over;
		memset(text, 'h', len);
		text[1] = '.';
		memcpy(text + len, "/a", 3);
		assert_int_equal(reference_parse(span_str(text), &r, NULL), over ? -EINVAL : 0);
	}
}

/* library/ is added to a short name, and counts towards the limit. */
static void test_long_short_name(void **state)
{
	(void)state;
	struct reference r;
	char text[300] = "";
	memset(text, 'a', REFERENCE_NAME_MAX - 8);
	assert_int_equal(reference_parse(span_str(text), &r, NULL), 0);
	text[REFERENCE_NAME_MAX - 8] = 'a';
	assert_int_equal(reference_parse(span_str(text), &r, NULL), -EINVAL);
}

static void test_mebibytes(void **state)
{
	(void)state;
	struct reference r;
	struct reason why;
	char *text = malloc(MIB);
	assert_non_null(text);
	memset(text, 'a', MIB);
	assert_int_equal(reference_parse(span_of(text, MIB), &r, &why), -EINVAL);
	free(text);
}

static void test_loopback(void **state)
{
	static const struct {
		const char *host;
		bool want;
	} rows[] = {
	    {"localhost", true},
	    {"localhost:5000", true},
	    {"LOCALHOST", true},
	    {"127.0.0.1", true},
	    {"127.0.0.1:5000", true},
	    {"127.255.255.255", true},
	    {"[::1]", true},
	    {"[::1]:5000", true},
	    {"[0:0:0:0:0:0:0:1]", true},
	    {"", false},
	    {"localhost.example.com", false},
	    {"127.0.0.1.example.com", false},
	    {"127.example.com", false},
	    {"127.1", false},
	    {"2130706433", false},
	    {"0x7f.0.0.1", false},
	    {"128.0.0.1", false},
	    {"126.255.255.255", false},
	    {"[::2]", false},
	    {"[::]", false},
	    {"docker.io", false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (host_is_loopback(rows[i].host) != rows[i].want)
			fail_msg("'%s'", rows[i].host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken),     cmocka_unit_test(test_refused),         cmocka_unit_test(test_scheme),
	    cmocka_unit_test(test_long_host), cmocka_unit_test(test_long_short_name), cmocka_unit_test(test_mebibytes),
	    cmocka_unit_test(test_loopback),
	};
	return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
