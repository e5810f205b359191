/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, labels and wrapped text for users. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/show/text.h"

struct duration_row {
	uint64_t seconds;
	const char *want;
};

static const struct duration_row durations[] = {
    {0, "0s"},
    {59, "59s"},
    {60, "1m00s"},
    {3599, "59m59s"},
    {3600, "1h00m"},
    {86399, "23h59m"},
    {86400, "1d00h"},
    {UINT64_C(100) * 86400 - 1, "99d23h"},
    {UINT64_C(100) * 86400, ">99d"},
    {UINT64_MAX, ">99d"},
};

static void test_duration(void **state)
{
	const struct duration_row *row;
	(void)state;
	for_each_row(row, durations)
	{
		char text[TEXT_DURATION_ROOM];
		text_duration(row->seconds, text);
		assert_string_equal(text, row->want);
	}
}

static const struct duration_row ages[] = {
    {0, "0s"},           {59, "59s"},
    {60, "1m"},          {3599, "59m"},
    {3600, "1h"},        {48 * 3600 - 1, "47h"},
    {48 * 3600, "2d"},   {730 * 86400 - 1, "729d"},
    {730 * 86400, "2y"}, {UINT64_MAX, "9999y"},
};

static void test_age(void **state)
{
	const struct duration_row *row;
	(void)state;
	for_each_row(row, ages)
	{
		char text[TEXT_AGE_ROOM];
		text_age(row->seconds, text);
		assert_string_equal(text, row->want);
	}
}

static void test_middle(void **state)
{
	static const struct {
		const char *line;
		size_t columns;
		const char *want;
	} rows[] = {
	    {"abcdef", 6, "abcdef"},
	    {"abcdef", 5, "ab..f"},
	    {"abcdef", 4, "a..f"},
	    {"", 4, ""},
	    {"docker.io/library/alpine:latest", 20, "docker.io..ne:latest"},
	    {"\u00e9\u00e9\u00e9\u00e9", 8, "\u00e9\u00e9\u00e9\u00e9"},
	    {"\u00e9\u00e9\u00e9\u00e9", 7, "\u00e9..\u00e9"},
	    {"\u00e9\u00e9\u00e9\u00e9", 4, "..\u00e9"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		assert_int_equal(text_middle(rows[i].line, rows[i].columns, &out), 0);
		assert_string_equal(out.data ? out.data : "", rows[i].want);
		assert_true(text_columns(buf_span(&out)) <= rows[i].columns);
	}
}

static void test_eta(void **state)
{
	(void)state;
	assert_int_equal(text_eta_s(0, 100, 10), 10);
	assert_int_equal(text_eta_s(0, 101, 10), 11);
	assert_int_equal(text_eta_s(100, 100, 10), 0);
	assert_int_equal(text_eta_s(0, UINT64_MAX - 1, 1), UINT64_MAX - 1);
	assert_true(text_eta_s(0, 100, 0) == TEXT_ETA_UNKNOWN);
	assert_true(text_eta_s(0, UINT64_MAX, 10) == TEXT_ETA_UNKNOWN);
	assert_true(text_eta_s(101, 100, 10) == TEXT_ETA_UNKNOWN);
}

static void test_label(void **state)
{
	char label[TEXT_LABEL_ROOM];
	(void)state;
	text_label("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", label);
	assert_string_equal(label, "0123456789ab");
	text_label("manifest://localhost:5000/a:1", label);
	assert_string_equal(label, "manifest");
	text_label("https://host/a/file.iso?b/c", label);
	assert_string_equal(label, "file.iso");
	text_label("https://host/a/a-long-name.iso", label);
	assert_string_equal(label, "a-long-name.");
	text_label("https://host/", label);
	assert_string_equal(label, "file");
	text_label("sha256:no", label);
	assert_string_equal(label, "manifest");
}

static void test_wrap(void **state)
{
	static const struct {
		const char *text;
		unsigned width, lines;
		const char *want;
	} rows[] = {
	    {"", 10, 9, ""},
	    {"aaa bbb", 10, 9, "  aaa bbb\n"},
	    {"aaa bbb", 9, 9, "  aaa bbb\n"},
	    {"aaa bbb", 8, 9, "  aaa\n  bbb\n"},
	    {"aaa  bbb", 8, 9, "  aaa\n  bbb\n"},
	    {"abcdefghij k", 8, 9, "  abcdef\n  ghij k\n"}, /* too long for any line */
	    {"aaa bbb", 8, 1, "  aaa..\n"},                 /* cut */
	    {"aaa bbb ccc", 8, 2, "  aaa\n  bbb..\n"},
	    {"aaa bbb", 9, 1, "  aaa bbb\n"},
	    {"\u00e9\u00e9\u00e9\u00e9", 8, 9, "  \u00e9\u00e9\u00e9\n  \u00e9\n"}, /* may be double width */
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		assert_int_equal(text_wrap(rows[i].text, rows[i].width, rows[i].lines, &out), 0);
		if (strcmp(out.data ? out.data : "", rows[i].want) != 0)
			fail_msg("'%s' at %u: '%s'", rows[i].text, rows[i].width, out.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_duration), cmocka_unit_test(test_age),   cmocka_unit_test(test_middle),
	    cmocka_unit_test(test_eta),      cmocka_unit_test(test_label), cmocka_unit_test(test_wrap),
	};
	return cmocka_run_group_tests_name("sluice text", tests, NULL, NULL);
}
