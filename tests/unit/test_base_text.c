/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes for users, and texts that are safe in a header line. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/text.h"

static const struct size_row {
	uint64_t bytes;
	const char *want;
} sizes[] = {
    {0, "0B"},
    {1023, "1023B"},
    {1024, "1.0KiB"},
    {12902, "12.6KiB"},
    {102348, "99.9KiB"},
    {102399, "100KiB"},
    {UINT64_C(1023) << 10, "1023KiB"},
    {(UINT64_C(1) << 20) - 1, "1.0MiB"},
    {UINT64_C(64) << 20, "64.0MiB"},
    {UINT64_C(100) << 30, "100GiB"},
    {INT64_MAX, "8.0EiB"},
    {UINT64_MAX, "16.0EiB"},
};

static void test_size(void **state)
{
	const struct size_row *row;
	(void)state;
	for_each_row(row, sizes)
	{
		char text[TEXT_SIZE_ROOM];
		text_size(row->bytes, text);
		assert_string_equal(text, row->want);
	}
}

/* The same with a blank before the unit. */
static void test_prose(void **state)
{
	const struct size_row *row;
	(void)state;
	for_each_row(row, sizes)
	{
		char text[TEXT_PROSE_ROOM], want[TEXT_PROSE_ROOM];
		size_t digits = strspn(row->want, "0123456789.");
		(void)snprintf(want, sizeof(want), "%.*s %s", (int)digits, row->want, row->want + digits);
		text_size_prose(row->bytes, text);
		assert_string_equal(text, want);
	}
}

static void test_visible(void **state)
{
	(void)state;
	assert_true(text_is_visible("!~", 2));
	assert_false(text_is_visible("", 2));
	assert_false(text_is_visible("abc", 2));
	assert_false(text_is_visible("a b", 9));
	assert_false(text_is_visible("a\n", 9));
	assert_false(text_is_visible("a\x7f", 9));
	assert_false(text_is_visible("\xc3\xa4", 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_prose),
	    cmocka_unit_test(test_visible),
	};
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
