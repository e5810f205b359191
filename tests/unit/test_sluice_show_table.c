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
	table_print(t, out);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_table_row),
	};
	return cmocka_run_group_tests_name("sluice table", tests, NULL, NULL);
}
