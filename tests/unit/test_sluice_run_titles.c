/* SPDX-License-Identifier: Apache-2.0 */
/* Titles of files as paths: each alone, and against each other. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/run/titles.h"

/* `count` times a text, with another between them. Lives until the next call. */
static const char *times(const char *text, size_t count, const char *between)
{
	static char out[4 * TITLE_MAX];
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s", i > 0 ? between : "", text);
	return out;
}

static void test_each(void **state)
{
	static const struct {
		const char *title, *why; /* NULL: it is one */
	} rows[] = {
	    {"a", NULL},
	    {"a/b/c.txt", NULL},
	    {"...", NULL},
	    {"..a/.b", NULL},
	    {"a b", NULL},
	    {"-n", NULL},
	    {"a\\b", NULL},
	    {"\xc3\xbc/\xe6\x96\x87", NULL},
	    {"\xff\xc2", NULL},
	    {"\xc2\xa0", NULL},
	    {".sluice-par", NULL},
	    {"x.sluice-part-1", NULL},
	    {"", "empty"},
	    {"/", "absolute"},
	    {"/a", "absolute"},
	    {"a/", "empty component"},
	    {"a//b", "empty component"},
	    {".", "'.' or '..'"},
	    {"..", "'.' or '..'"},
	    {"./a", "'.' or '..'"},
	    {"a/.", "'.' or '..'"},
	    {"a/../b", "'.' or '..'"},
	    {"a/..", "'.' or '..'"},
	    {"a\nb", "control"},
	    {"\x1b", "control"},
	    {"a\x7f", "control"},
	    {"a\xc2\x80", "control"},
	    {"a\xc2\x9f", "control"},
	    {".sluice-part-", "unfinished"},
	    {"a/.SLUICE-part-0/b", "unfinished"},
	};
	struct reason why;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		int r = title_check(rows[i].title, &why);
		if (r != (rows[i].why ? -EINVAL : 0) || (r < 0 && !strstr(why.text, rows[i].why)))
			fail_msg("'%s': %d %s", rows[i].title, r, r < 0 ? why.text : "");
	}
}

static void test_limits(void **state)
{
	char long_name[257];
	struct reason why;

	(void)state;
	memset(long_name, 'x', sizeof(long_name));
	long_name[255] = '\0';
	assert_int_equal(title_check(long_name, &why), 0);
	long_name[255] = 'x';
	long_name[256] = '\0';
	assert_int_equal(title_check(long_name, &why), -EINVAL);
	assert_non_null(strstr(why.text, "255"));

	assert_int_equal(title_check(times("d", TITLE_DEPTH_MAX, "/"), &why), 0);
	assert_int_equal(title_check(times("d", TITLE_DEPTH_MAX + 1, "/"), &why), -EINVAL);
	assert_non_null(strstr(why.text, "32"));

	const char *longest = times("thirty-one bytes, without slash", 32, "/");
	assert_int_equal(strlen(longest), TITLE_MAX - 1);
	assert_int_equal(title_check(longest, &why), 0);
	char over[TITLE_MAX + 2];
	(void)snprintf(over, sizeof(over), "%sx", longest);
	assert_int_equal(title_check(over, &why), 0);
	(void)snprintf(over, sizeof(over), "%sxx", longest);
	assert_int_equal(title_check(over, &why), -EINVAL);
	assert_non_null(strstr(why.text, "1024"));
}

static void test_of_none(void **state)
{
	struct digest d;
	char title[TITLE_OF_NONE_SIZE];

	(void)state;
	digest_of(HASH_SHA256, "", 0, &d);
	title_of_none(&d, title);
	assert_string_equal(title, "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#define TITLES_MAX 6

static size_t gather(const char *const *titles, const char *contents, struct titled *list, struct digest *digests)
{
	size_t len = 0;

	for (; titles[len]; len++) {
		digest_of(HASH_SHA256, &contents[len], 1, &digests[len]);
		list[len] = (struct titled){titles[len], &digests[len], len};
	}
	return len;
}

static void test_against_each_other(void **state)
{
	static const struct {
		const char *titles[TITLES_MAX + 1], *contents, *why, *want[TITLES_MAX + 1];
	} rows[] = {
	    {{NULL}, "", NULL, {NULL}},
	    {{"b", "a"}, "12", NULL, {"a", "b"}},
	    {{"a-b", "b", "a!", "a"}, "1234", NULL, {"a", "a!", "a-b", "b"}},
	    {{"x/b", "x!", "x/a/c", "x-"}, "1234", NULL, {"x/a/c", "x/b", "x!", "x-"}},
	    {{"a", "b", "a"}, "121", NULL, {"a", "b"}},
	    {{"a", "A"}, "12", NULL, {"A", "a"}},
	    {{"a", "b", "a"}, "123", "two files have the title 'a'", {NULL}},
	    {{"a/b", "a"}, "11", "'a' is a file, and a directory of 'a/b'", {NULL}},
	    {{"a-b", "a/b/c", "a", "a!"}, "1234", "'a' is a file", {NULL}},
	    {{"x/a-b", "x/a", "x/a/b"}, "123", "'x/a' is a file", {NULL}},
	};
	struct titled list[TITLES_MAX];
	struct digest digests[TITLES_MAX];
	struct reason why;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		size_t kept = 99, len = gather(rows[i].titles, rows[i].contents, list, digests);
		int r = titles_arrange(list, len, &kept, &why);
		if (rows[i].why) {
			assert_int_equal(r, -EINVAL);
			assert_non_null(strstr(why.text, rows[i].why));
			continue;
		}
		assert_int_equal(r, 0);
		for (size_t k = 0; k < kept; k++)
			assert_string_equal(list[k].title, rows[i].want[k]);
		assert_null(rows[i].want[kept]);
	}
}

static void test_case(void **state)
{
	static const struct {
		const char *titles[TITLES_MAX + 1];
		const char *one, *other; /* NULL: none are alike */
	} rows[] = {
	    {{"a", "b"}, NULL, NULL},
	    {{"a", "a-", "a/b"}, "a", "a/b"}, /* which titles_arrange() has refused before */
	    {{"A/x", "a/y"}, NULL, NULL},
	    {{"A/x", "a/X"}, "A/x", "a/X"},
	    {{"Dir", "d-r", "dir-", "dir/x"}, "Dir", "dir/x"},
	    {{"\xc3\x9c", "\xc3\xbc"}, NULL, NULL},
	};
	struct titled list[TITLES_MAX];
	struct digest digests[TITLES_MAX];
	const char *one, *other;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		size_t len = gather(rows[i].titles, "123456", list, digests);
		bool found = titles_find_alike(list, len, &one, &other);
		if (found != (rows[i].one != NULL))
			fail_msg("row %zu", i);
		if (!found)
			continue;
		bool is_so = strcmp(one, rows[i].one) == 0 && strcmp(other, rows[i].other) == 0;
		bool is_reverse = strcmp(other, rows[i].one) == 0 && strcmp(one, rows[i].other) == 0;
		assert_true(is_so || is_reverse);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each),    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_of_none), cmocka_unit_test(test_against_each_other),
	    cmocka_unit_test(test_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
