/* SPDX-License-Identifier: Apache-2.0 */
/* Untrusted text becomes one harmless line; and reasons, which contain such text. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/escape.h"
#include "common/base/reason.h"

static const struct row {
	const char *name;
	const char *input;
	size_t len;
	const char *want;
} rows[] = {
    {"empty", "", 0, ""},
    {"plain", "a b~", 4, "a b~"},
    {"newline", "a\nb", 3, "a\\x0ab"},
    {"carriage return and tab", "\r\t", 2, "\\x0d\\x09"},
    {"escape sequence", "\x1b[31m", 5, "\\x1b[31m"},
    {"NUL", "a\0b", 3, "a\\x00b"},
    {"DEL", "\x7f", 1, "\\x7f"},
    {"backslash stays", "\\x0a", 4, "\\x0a"},
    {"two bytes", "\xc3\xa4", 2, "\xc3\xa4"},
    {"three bytes", "\xe2\x82\xac", 3, "\xe2\x82\xac"},
    {"four bytes", "\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80"},
    {"the last code point", "\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf"},
    {"past the last code point", "\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"},
    {"C1 control", "\xc2\x9b", 2, "\\xc2\\x9b"},
    {"line separator", "\xe2\x80\xa8", 3, "\\xe2\\x80\\xa8"},
    {"right to left", "a\xe2\x80\xaetxt", 7, "a\\xe2\\x80\\xaetxt"},
    {"isolate", "\xe2\x81\xa6", 3, "\\xe2\\x81\\xa6"},
    {"mark", "\xd8\x9c", 2, "\\xd8\\x9c"},
    {"no width", "\xef\xbb\xbf", 3, "\\xef\\xbb\\xbf"},
    {"tag", "\xf3\xa0\x81\x81", 4, "\\xf3\\xa0\\x81\\x81"},
    {"no-break space stays", "\xc2\xa0", 2, "\xc2\xa0"},
    {"overlong slash", "\xc0\xaf", 2, "\\xc0\\xaf"},
    {"overlong in three", "\xe0\x80\xaf", 3, "\\xe0\\x80\\xaf"},
    {"overlong in four", "\xf0\x80\x80\xaf", 4, "\\xf0\\x80\\x80\\xaf"},
    {"surrogate", "\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},
    {"continuation alone", "\x80", 1, "\\x80"},
    {"cut sequence", "\xe2\x82", 2, "\\xe2\\x82"},
    {"sequence cut by ASCII",
     "\xe2"
     "a",
     2,
     "\\xe2"
     "a"},
    {"latin 1", "\xe4\xf6", 2, "\\xe4\\xf6"},
};

static void test_rows(void **state)
{
	const struct row *row;
	(void)state;
	for_each_row(row, rows)
	{
		char line[64], again[64];
		size_t len = escape_line(row->input, row->len, line, sizeof(line));
		if (strcmp(line, row->want) != 0)
			fail_msg("%s: '%s'", row->name, line);
		assert_int_equal(len, strlen(row->want));
		(void)escape_line(line, len, again, sizeof(again));
		assert_string_equal(again, line);
	}
}

/* At every room, the result is a prefix of the whole that ends between characters. */
static void test_cut(void **state)
{
	static const char input[] = "a\n\xe2\x82\xac"
				    "b";
	static const char whole[] = "a\\x0a\xe2\x82\xac"
				    "b";
	static const size_t want[] = {0, 0, 1, 1, 1, 1, 5, 5, 5, 8, 9, 9};
	(void)state;
	for (size_t room = 1; room < LEN(want); room++) {
		char line[16];
		size_t len = escape_line(input, sizeof(input) - 1, line, room);
		assert_int_equal(len, want[room]);
		assert_memory_equal(line, whole, len);
		assert_int_equal(line[len], '\0');
	}
}

static void test_reason(void **state)
{
	(void)state;
	struct reason why;
	reason_set(&why, "bad '%s' at %d", "x\ny", 3);
	assert_string_equal(why.text, "bad 'x\\x0ay' at 3");
	reason_set(&why, "outer: %s", why.text);
	assert_string_equal(why.text, "outer: bad 'x\\x0ay' at 3");
	reason_set(NULL, "%s", "nobody cares");
}

static void test_reason_is_cut(void **state)
{
	(void)state;
	struct reason why;
	reason_set(&why, "%*s", REASON_MAX - 1, "x");
	assert_int_equal(strlen(why.text), REASON_MAX - 1);
	assert_int_equal(why.text[REASON_MAX - 2], 'x');
	reason_set(&why, "%*s", REASON_MAX, "x");
	assert_int_equal(strlen(why.text), REASON_MAX - 1);
	assert_int_equal(why.text[REASON_MAX - 2], ' ');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_reason),
	    cmocka_unit_test(test_reason_is_cut),
	};
	return cmocka_run_group_tests_name("escape", tests, NULL, NULL);
}
