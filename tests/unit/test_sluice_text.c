/* Numbers, labels and tables as people read them. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/show/text.h"

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
		char text[HUMAN_SIZE_ROOM];
		human_size(row->bytes, text);
		assert_string_equal(text, row->want);
	}
}

static const struct size_row durations[] = {
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
	const struct size_row *row;
	(void)state;
	for_each_row(row, durations)
	{
		char text[HUMAN_DURATION_ROOM];
		human_duration(row->bytes, text);
		assert_string_equal(text, row->want);
	}
}

static void test_eta(void **state)
{
	(void)state;
	assert_int_equal(human_eta_s(0, 100, 10), 10);
	assert_int_equal(human_eta_s(0, 101, 10), 11);
	assert_int_equal(human_eta_s(100, 100, 10), 0);
	assert_int_equal(human_eta_s(0, UINT64_MAX - 1, 1), UINT64_MAX - 1);
	assert_true(human_eta_s(0, 100, 0) == HUMAN_ETA_UNKNOWN);
	assert_true(human_eta_s(0, UINT64_MAX, 10) == HUMAN_ETA_UNKNOWN);
	assert_true(human_eta_s(101, 100, 10) == HUMAN_ETA_UNKNOWN);
}

static void test_label(void **state)
{
	char label[HUMAN_LABEL_ROOM];
	(void)state;
	human_label("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", label);
	assert_string_equal(label, "0123456789ab");
	human_label("manifest://localhost:5000/a:1", label);
	assert_string_equal(label, "manifest");
	human_label("https://host/a/file.iso?b/c", label);
	assert_string_equal(label, "file.iso");
	human_label("https://host/a/a-long-name.iso", label);
	assert_string_equal(label, "a-long-name.");
	human_label("https://host/", label);
	assert_string_equal(label, "file");
	human_label("sha256:no", label);
	assert_string_equal(label, "manifest");
}

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

/* The columns that fit, the same ones in all rows. */
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
	    {"aaa bbb", 8, 1, "  aaa..\n"},                 /* and more */
	    {"aaa bbb ccc", 8, 2, "  aaa\n  bbb..\n"},
	    {"aaa bbb", 9, 1, "  aaa bbb\n"},
	    {"\u00e9\u00e9\u00e9\u00e9", 8, 9, "  \u00e9\u00e9\u00e9\n  \u00e9\n"}, /* may be wide */
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		assert_int_equal(human_wrap(rows[i].text, rows[i].width, rows[i].lines, &out), 0);
		if (strcmp(out.data ? out.data : "", rows[i].want) != 0)
			fail_msg("'%s' at %u: '%s'", rows[i].text, rows[i].width, out.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_size),  cmocka_unit_test(test_duration), cmocka_unit_test(test_eta),
	    cmocka_unit_test(test_label), cmocka_unit_test(test_table),    cmocka_unit_test(test_table_row),
	    cmocka_unit_test(test_wrap),
	};
	return cmocka_run_group_tests_name("sluice human", tests, NULL, NULL);
}
