/* SPDX-License-Identifier: Apache-2.0 */
/* Times as text. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/date.h"

#define LAST_SECOND UINT64_C(253402300799)

static void test_format(void **state)
{
	static const struct {
		uint64_t s;
		const char *want;
	} rows[] = {
	    {0, "1970-01-01T00:00:00Z"},
	    {1769862896, "2026-01-31T12:34:56Z"},
	    {951782400, "2000-02-29T00:00:00Z"},
	    {LAST_SECOND, "9999-12-31T23:59:59Z"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char text[DATE_TEXT_SIZE];
		uint64_t s = 1;
		date_format(rows[i].s, text);
		assert_string_equal(text, rows[i].want);
		assert_int_equal(date_parse(text, &s), 0);
		assert_int_equal(s, rows[i].s);
	}
}

static void test_format_past_the_end(void **state)
{
	static const uint64_t rows[] = {LAST_SECOND + 1, INT64_MAX, UINT64_MAX};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char text[DATE_TEXT_SIZE];
		date_format(rows[i], text);
		assert_string_equal(text, "9999-12-31T23:59:59Z");
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const rows[] = {
	    "",
	    "2026-01-31T12:34:56",
	    "2026-01-31T12:34:56z",
	    "2026-01-31 12:34:56Z",
	    "2026-01-31T12:34:56Z ",
	    " 2026-01-31T12:34:56Z",
	    "2026-1-31T12:34:56Z",
	    "2026-02-29T12:34:56Z",
	    "2026-02-31T12:34:56Z",
	    "2026-13-01T12:34:56Z",
	    "2026-00-01T12:34:56Z",
	    "2026-01-00T12:34:56Z",
	    "2026-01-31T24:00:00Z",
	    "2026-01-31T12:60:56Z",
	    "2026-01-31T12:34:61Z",
	    "1969-12-31T23:59:59Z",
	    "-026-01-31T12:34:56Z",
	    "2026-01-31T12:34:+6Z",
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		uint64_t s = 7;
		if (date_parse(rows[i], &s) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_int_equal(s, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_format_past_the_end),
	    cmocka_unit_test(test_parse_refuses),
	};
	return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
