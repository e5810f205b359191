/* SPDX-License-Identifier: Apache-2.0 */
/* Column widths, and the columns that fit. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/show/table.h"

static void test_table(void **state)
{
	static const char *const rows[][3] = {{"A", "LONG", ""}, {"wide one", "x", "end\x1b[31m"}, {"b", "", ""}};
	AUTO_TABLE t = NULL;
	char text[256] = "";
	(void)state;
	assert_int_equal(table_new(3, &t), 0);
	for (size_t i = 0; i < LEN(rows); i++)
		assert_int_equal(table_add(t, rows[i]), 0);
	FILE *out = fmemopen(text, sizeof(text) - 1, "w");
	assert_non_null(out);
	table_print(t, SIZE_MAX, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "A         LONG\nwide one  x     end\\x1b[31m\nb\n");
}

/* The columns that fit are the same in all rows. */
static void test_table_row(void **state)
{
	static const char *const cells[][3] = {{"A", "BB", "C"}, {"a\u00e9", "", "c"}, {"", "b", ""}};
	static const struct {
		size_t width;
		const char *want[LEN(cells)];
	} rows[] = {
	    {SIZE_MAX, {"A    BB    C", "a\u00e9        c", "     b"}},
	    {12, {"A    BB    C", "a\u00e9        c", "     b"}},
	    {11, {"A    BB", "a\u00e9", "     b"}},
	    {9, {"A    BB", "a\u00e9", "     b"}},
	    {8, {"A", "a\u00e9", ""}},
	    {2, {"A", "a", ""}},
	};
	AUTO_TABLE t = NULL;
	(void)state;
	assert_int_equal(table_new(3, &t), 0);
	for (size_t i = 0; i < LEN(cells); i++)
		assert_int_equal(table_add(t, cells[i]), 0);
	table_widen(t, 1, 1);
	table_widen(t, 1, 4);
	for (size_t i = 0; i < LEN(rows); i++) {
		for (size_t n = 0; n < LEN(cells); n++) {
			AUTO_BUF line = BUF_INIT;
			assert_int_equal(buf_append_str(&line, ""), 0);
			assert_int_equal(table_row(t, n, rows[i].width, &line), 0);
			if (strcmp(line.data ? line.data : "", rows[i].want[n]) != 0)
				fail_msg("%zu, row %zu: '%s'", rows[i].width, n, line.data);
		}
	}
}

/* A long column is shortened; if that does not suffice, others are left out. */
static void test_table_fit(void **state)
{
	static const char *const cells[][3] = {{"NAME", "SIZE", "AGE"}, {"a-long-name:1", "1KiB", "3d"}};
	static const unsigned dispensable[] = {2, 1};
	static const struct {
		size_t width;
		const char *heads, *row;
	} rows[] = {
	    {SIZE_MAX, "NAME           SIZE  AGE", "a-long-name:1  1KiB  3d"},
	    {24, "NAME           SIZE  AGE", "a-long-name:1  1KiB  3d"},
	    {23, "NAME          SIZE  AGE", "a-lon..ame:1  1KiB  3d"},
	    {17, "NAME    SIZE  AGE", "a-..:1  1KiB  3d"},
	    {16, "NAME        SIZE", "a-lo..me:1  1KiB"},
	    {12, "NAME    SIZE", "a-..:1  1KiB"},
	    {11, "NAME", "a-lon..me:1"},
	    {5, "NAME", "a-..:"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		const struct table_fitting how = {rows[i].width, 0, 6, dispensable, LEN(dispensable)};
		AUTO_TABLE t = NULL;
		AUTO_BUF heads = BUF_INIT, row = BUF_INIT;
		assert_int_equal(table_new(3, &t), 0);
		for (size_t n = 0; n < LEN(cells); n++)
			assert_int_equal(table_add(t, cells[n]), 0);
		assert_int_equal(table_fit(t, &how), 0);
		assert_int_equal(table_row(t, 0, rows[i].width, &heads), 0);
		assert_int_equal(table_row(t, 1, rows[i].width, &row), 0);
		if (strcmp(heads.data, rows[i].heads) != 0 || strcmp(row.data, rows[i].row) != 0)
			fail_msg("%zu: '%s', '%s'", rows[i].width, heads.data, row.data);
	}
}

/* A short column is not made longer. */
static void test_table_fit_of_a_short_column(void **state)
{
	static const char *const cells[] = {"a", "b"};
	static const unsigned dispensable[] = {1};
	const struct table_fitting how = {2, 0, 6, dispensable, 1};
	AUTO_TABLE t = NULL;
	AUTO_BUF row = BUF_INIT;
	(void)state;
	assert_int_equal(table_new(2, &t), 0);
	assert_int_equal(table_add(t, cells), 0);
	assert_int_equal(table_fit(t, &how), 0);
	assert_int_equal(table_row(t, 0, how.width, &row), 0);
	assert_string_equal(row.data, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_table_row),
	    cmocka_unit_test(test_table_fit),
	    cmocka_unit_test(test_table_fit_of_a_short_column),
	};
	return cmocka_run_group_tests_name("sluice table", tests, NULL, NULL);
}
