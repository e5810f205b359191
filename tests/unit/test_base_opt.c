/* SPDX-License-Identifier: Apache-2.0 */
/* Options: where values come from, their bounds, and command lines of every shape. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/opt.h"

#define ARGS_MAX 8

static const char *const colours[] = {"red", "green", "blue", NULL};

static struct settings {
	bool flag;
	const char *text;
	uint64_t count, size, wait_ms, free_count;
	unsigned colour;
} s;

#define AT(member) .at = offsetof(struct settings, member)

static const struct opt table[] = {
    {.name = "verbose", .letter = 'v', .kind = OPT_FLAG, AT(flag), .def = "no", .env = "T_VERBOSE", .help = "Talk"},
    {.name = "store-dir",
     .letter = 's',
     .kind = OPT_TEXT,
     AT(text),
     .def = "/x",
     .min = 1,
     .max = 10,
     .env = "T_STORE",
     .arg = "DIR",
     .help = "The store"},
    {.name = "max-retries",
     .letter = 'n',
     .kind = OPT_COUNT,
     AT(count),
     .def = "8",
     .min = 1,
     .max = 100,
     .env = "T_RETRIES",
     .arg = "N",
     .help = "Tries"},
    {.name = "size",
     .kind = OPT_BYTES,
     AT(size),
     .def = "64K",
     .min = 1024,
     .max = UINT64_C(1) << 40,
     .arg = "BYTES",
     .help = "Size"},
    {.name = "wait",
     .kind = OPT_TIME_MS,
     AT(wait_ms),
     .def = "30s",
     .min = 100,
     .max = 3600000,
     .arg = "TIME",
     .help = "Time"},
    {.name = "free", .kind = OPT_COUNT, AT(free_count), .help = "Unbounded", .arg = "N"},
    {.name = NULL},
};

static int setup(void **state)
{
	struct reason why;
	(void)state;
	s.free_count = 77;
	assert_int_equal(opt_defaults(table, &s, &why), 0);
	return 0;
}

static void test_defaults(void **state)
{
	(void)state;
	assert_false(s.flag);
	assert_string_equal(s.text, "/x");
	assert_int_equal(s.count, 8);
	assert_int_equal(s.size, 65536);
	assert_int_equal(s.wait_ms, 30000);
	assert_int_equal(s.free_count, 77);
}

static void test_numbers(void **state)
{
	static const struct {
		enum opt_kind kind;
		const char *text;
		int want;
		uint64_t value;
	} rows[] = {
	    {OPT_COUNT, "0", 0, 0},
	    {OPT_COUNT, "007", 0, 7},
	    {OPT_COUNT, "18446744073709551615", 0, UINT64_MAX},
	    {OPT_COUNT, "18446744073709551616", -EINVAL, 0},
	    {OPT_COUNT, "99999999999999999999999", -EINVAL, 0},
	    {OPT_COUNT, "", -EINVAL, 0},
	    {OPT_COUNT, "-1", -EINVAL, 0},
	    {OPT_COUNT, "+1", -EINVAL, 0},
	    {OPT_COUNT, " 1", -EINVAL, 0},
	    {OPT_COUNT, "1 ", -EINVAL, 0},
	    {OPT_COUNT, "1K", -EINVAL, 0},
	    {OPT_COUNT, "0x10", -EINVAL, 0},
	    {OPT_COUNT, "1.5", -EINVAL, 0},
	    {OPT_BYTES, "1", 0, 1},
	    {OPT_BYTES, "3K", 0, 3072},
	    {OPT_BYTES, "1M", 0, 1 << 20},
	    {OPT_BYTES, "2G", 0, UINT64_C(2) << 30},
	    {OPT_BYTES, "16777215T", 0, UINT64_C(16777215) << 40},
	    {OPT_BYTES, "16777216T", -EINVAL, 0},
	    {OPT_BYTES, "K", -EINVAL, 0},
	    {OPT_BYTES, "1k", -EINVAL, 0},
	    {OPT_BYTES, "1KB", -EINVAL, 0},
	    {OPT_RATE, "500k", 0, 512000},
	    {OPT_RATE, "2M", 0, 2 << 20},
	    {OPT_RATE, "1g", 0, 1 << 30},
	    {OPT_RATE, "1kB", -EINVAL, 0},
	    {OPT_TIME_MS, "2", 0, 2000},
	    {OPT_TIME_MS, "250ms", 0, 250},
	    {OPT_TIME_MS, "2s", 0, 2000},
	    {OPT_TIME_MS, "2m", 0, 120000},
	    {OPT_TIME_MS, "2h", 0, 7200000},
	    {OPT_TIME_MS, "2d", 0, 172800000},
	    {OPT_TIME_MS, "2w", -EINVAL, 0},
	    {OPT_TIME_MS, "18446744073709551615", -EINVAL, 0},
	    {OPT_TIME_MS, "18446744073709551615ms", 0, UINT64_MAX},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		uint64_t value = 12345;
		if (opt_parse_number(rows[i].kind, rows[i].text, &value) != rows[i].want)
			fail_msg("'%s'", rows[i].text);
		assert_int_equal(value, rows[i].want == 0 ? rows[i].value : 12345);
	}
}

static void test_set(void **state)
{
	static const struct {
		const char *name, *value;
		int want;
		const char *why; /* NULL: not looked at */
	} rows[] = {
	    {"max-retries", "1", 0, NULL},
	    {"max_retries", "100", 0, NULL},
	    {"max-retries", "0", -EINVAL, "bad value '0' for 'max-retries': a number, from 1 to 100, is allowed"},
	    {"max_retries", "101", -EINVAL, "bad value '101' for 'max_retries': a number, from 1 to 100, is allowed"},
	    {"max-retries", "many", -EINVAL, "bad value 'many' for 'max-retries': a number, from 1 to 100, is allowed"},
	    {"size", "1K", 0, NULL},
	    {"size", "1T", 0, NULL},
	    {"size", "1023", -EINVAL,
	     "bad value '1023' for 'size': a size with an optional K, M, G or T, from 1K to 1T, is allowed"},
	    {"size", "1025G", -EINVAL, NULL},
	    {"wait", "100ms", 0, NULL},
	    {"wait", "1h", 0, NULL},
	    {"wait", "99ms", -EINVAL,
	     "bad value '99ms' for 'wait': a time in ms, s, m, h or d, from 100ms to 1h, is allowed"},
	    {"wait", "3601", -EINVAL, NULL},
	    {"store-dir", "0123456789", 0, NULL},
	    {"store-dir", "0123456789a", -EINVAL,
	     "bad value '0123456789a' for 'store-dir': a text of 1 to 10 bytes is allowed"},
	    {"store-dir", "", -EINVAL, NULL},
	    {"verbose", "yes", 0, NULL},
	    {"verbose", "true", 0, NULL},
	    {"verbose", "on", 0, NULL},
	    {"verbose", "1", 0, NULL},
	    {"verbose", "off", 0, NULL},
	    {"verbose", "YES", -EINVAL, "bad value 'YES' for 'verbose': yes or no is allowed"},
	    {"verbose", "", -EINVAL, NULL},
	    {"free", "18446744073709551615", 0, NULL},
	    {"unknown", "1", -ENOENT, "there is no option 'unknown'"},
	    {"max-retrie", "1", -ENOENT, NULL},
	    {"", "1", -ENOENT, NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why = {""};
		if (opt_set(table, &s, rows[i].name, rows[i].value, &why) != rows[i].want)
			fail_msg("'%s' '%s': %s", rows[i].name, rows[i].value, why.text);
		if (rows[i].why)
			assert_string_equal(why.text, rows[i].why);
	}
	assert_int_equal(s.count, 100);
	assert_int_equal(s.free_count, UINT64_MAX);
	assert_false(s.flag);
}

static void test_choice(void **state)
{
	static const struct opt choice[] = {
	    {.name = "colour", .kind = OPT_CHOICE, AT(colour), .def = "green", .choices = colours, .help = ""},
	    {.name = NULL},
	};
	struct reason why = {""};
	(void)state;
	assert_int_equal(opt_defaults(choice, &s, &why), 0);
	assert_int_equal(s.colour, 1);
	assert_int_equal(opt_set(choice, &s, "colour", "blue", &why), 0);
	assert_int_equal(s.colour, 2);
	assert_int_equal(opt_set(choice, &s, "colour", "Blue", &why), -EINVAL);
	assert_string_equal(why.text, "bad value 'Blue' for 'colour': one of red, green, blue is allowed");
	assert_int_equal(opt_set(choice, &s, "colour", "", &why), -EINVAL);
	assert_int_equal(s.colour, 2);
}

/* Values from a file are copied, because the line is not kept. */
static void test_set_copies(void **state)
{
	(void)state;
	struct reason why;
	char line[] = "/from";
	assert_int_equal(opt_set(table, &s, "store_dir", line, &why), 0);
	const char *first = s.text;
	line[1] = 'X';
	assert_string_equal(s.text, "/from");
	assert_int_equal(opt_set(table, &s, "store_dir", "/from", &why), 0);
	assert_ptr_equal(s.text, first);
}

static void test_environment(void **state)
{
	(void)state;
	struct reason why;
	assert_int_equal(setenv("T_STORE", "/env", 1), 0);
	assert_int_equal(setenv("T_VERBOSE", "", 1), 0);
	assert_int_equal(opt_environment(table, &s, &why), 0);
	assert_string_equal(s.text, "/env");
	assert_int_equal(setenv("T_RETRIES", "1000", 1), 0);
	assert_int_equal(opt_environment(table, &s, &why), -EINVAL);
	assert_string_equal(why.text, "bad value '1000' for 'T_RETRIES': a number, from 1 to 100, is allowed");
	(void)unsetenv("T_RETRIES");
	(void)unsetenv("T_STORE");
	(void)unsetenv("T_VERBOSE");
}

static const struct line {
	const char *args[ARGS_MAX];
	int want;
	const char *rest[ARGS_MAX]; /* or the reason, where it is refused */
	const char *text;
	uint64_t count;
	bool flag;
} lines[] = {
    {{NULL}, 0, {NULL}, "/x", 8, false},
    {{"pull", "-v", "img"}, 0, {"pull", "img"}, "/x", 8, true},
    {{"-v", "pull", "--max-retries", "3", "img"}, 0, {"pull", "img"}, "/x", 3, true},
    {{"--max-retries=4", "--store-dir=/a=b"}, 0, {NULL}, "/a=b", 4, false},
    {{"-n5", "-s", "/s"}, 0, {NULL}, "/s", 5, false},
    {{"-vn", "6", "x"}, 0, {"x"}, "/x", 6, true},
    {{"-vn7"}, 0, {NULL}, "/x", 7, true},
    {{"a", "--", "-v", "--", "b"}, 0, {"a", "-v", "--", "b"}, "/x", 8, false},
    {{"-", "-v"}, 0, {"-"}, "/x", 8, true},
    {{"--verbose=no"}, 0, {NULL}, "/x", 8, false},
    {{"--verbose=yes"}, 0, {NULL}, "/x", 8, true},
    {{"--store-dir", "--", "x"}, 0, {"x"}, "--", 8, false},
    {{"-n1", "-n2"}, 0, {NULL}, "/x", 2, false},
    {{"--max-retries"}, -EINVAL, {"'--max-retries' needs a value"}, NULL, 0, false},
    {{"-n"}, -EINVAL, {"'-n' needs a value"}, NULL, 0, false},
    {{"--max_retries", "3"}, -EINVAL, {"there is no option '--max_retries'"}, NULL, 0, false},
    {{"--no-verbose"}, -EINVAL, {"there is no option '--no-verbose'"}, NULL, 0, false},
    {{"--unknown=3"}, -EINVAL, {"there is no option '--unknown'"}, NULL, 0, false},
    {{"-vx"}, -EINVAL, {"there is no option '-x'"}, NULL, 0, false},
    {{"--=3"}, -EINVAL, {"there is no option '--'"}, NULL, 0, false},
    {{"--max-retries=101"},
     -EINVAL,
     {"bad value '101' for '--max-retries': a number, from 1 to 100, is allowed"},
     NULL,
     0,
     false},
    {{"-n0"}, -EINVAL, {"bad value '0' for '-n': a number, from 1 to 100, is allowed"}, NULL, 0, false},
};

static void test_command_line(void **state)
{
	const struct line *row;
	(void)state;
	for_each_row(row, lines)
	{
		char args[ARGS_MAX][64] = {{0}};
		char *argv[ARGS_MAX + 1] = {NULL};
		struct reason why = {""};
		int argc = 0, rest = -1;
		(void)setup(NULL);
		for (; argc < ARGS_MAX && row->args[argc]; argc++) {
			(void)snprintf(args[argc], sizeof(args[argc]), "%s", row->args[argc]);
			argv[argc] = args[argc];
		}
		if (opt_command_line(table, &s, argc, argv, &rest, &why) != row->want)
			fail_msg("row %zu: %s", i_, why.text);
		if (row->want < 0) {
			assert_string_equal(why.text, row->rest[0]);
			continue;
		}
		for (int i = 0; i < rest; i++)
			assert_string_equal(argv[i], row->rest[i]);
		assert_null(row->rest[rest]);
		assert_string_equal(s.text, row->text);
		assert_int_equal(s.count, row->count);
		assert_int_equal(s.flag, row->flag);
	}
}

static void test_help(void **state)
{
	static const char want[] = "  -v, --verbose        Talk\n"
				   "  -s, --store-dir DIR  The store (/x)\n"
				   "  -n, --max-retries N  Tries (8)\n"
				   "      --size BYTES     Size (64K)\n"
				   "      --wait TIME      Time (30s)\n"
				   "      --free N         Unbounded\n";
	(void)state;
	char have[1024] = "";
	FILE *out = fmemopen(have, sizeof(have), "w");
	assert_non_null(out);
	opt_print_help(table, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(have, want);
}

static void test_help_without_a_row(void **state)
{
	static const struct opt rows[] = {
	    {.name = "seen", .kind = OPT_FLAG, .help = "Seen"}, {.name = "unseen", .kind = OPT_FLAG}, {.name = NULL}};
	char have[64] = "";
	(void)state;
	FILE *out = fmemopen(have, sizeof(have), "w");
	assert_non_null(out);
	opt_print_help(rows, out);
	assert_int_equal(fclose(out), 0);
	assert_null(strstr(have, "unseen"));
	assert_non_null(strstr(have, "--seen"));
}

/* Each one more, up to the limit. */
static void test_texts(void **state)
{
	static const struct opt rows[] = {
	    {.name = "title", .kind = OPT_TEXTS, .at = 0, .min = 1, .max = 4, .arg = "T"},
	    {.name = NULL},
	};
	struct opt_texts texts = {.len = 0};
	struct reason why;
	char option[] = "--title", one[] = "one", with[] = "--title=two", last[] = "last", long_one[] = "--title=12345";
	char *argv[] = {option, one, with, last}, *bad[] = {long_one};
	int operands;

	(void)state;
	assert_int_equal(opt_command_line(rows, &texts, 4, argv, &operands, &why), 0);
	assert_int_equal(operands, 1);
	assert_int_equal(texts.len, 2);
	assert_string_equal(texts.list[0], "one");
	assert_string_equal(texts.list[1], "two");
	assert_int_equal(opt_command_line(rows, &texts, 1, bad, &operands, &why), -EINVAL);
	while (texts.len < OPT_TEXTS_MAX)
		assert_int_equal(opt_set(rows, &texts, "title", "more", &why), 0);
	assert_int_equal(opt_set(rows, &texts, "title", "more", &why), -EINVAL);
	assert_non_null(strstr(why.text, "64 times"));
	assert_int_equal(texts.len, OPT_TEXTS_MAX);
}

static void test_usage(void **state)
{
	static const struct {
		const char *head, *tail, *want;
	} rows[] = {
	    {"usage: x", "FILE",
	     "usage: x [-v] [-s | --store-dir DIR] [-n | --max-retries N] [--size BYTES]\n"
	     "         [--wait TIME] [--free N] FILE\n"},
	    {"usage: x", "AN-OPERAND-OF-FORTY-SIX-BYTES!!!!!!!!!!!!!!!!!",
	     "usage: x [-v] [-s | --store-dir DIR] [-n | --max-retries N] [--size BYTES]\n"
	     "         [--wait TIME] [--free N] AN-OPERAND-OF-FORTY-SIX-BYTES!!!!!!!!!!!!!!!!!\n"},
	    {"usage: x", "AN-OPERAND-OF-FORTY-SEVEN-BYTES!!!!!!!!!!!!!!!!",
	     "usage: x [-v] [-s | --store-dir DIR] [-n | --max-retries N] [--size BYTES]\n"
	     "         [--wait TIME] [--free N]\n"
	     "         AN-OPERAND-OF-FORTY-SEVEN-BYTES!!!!!!!!!!!!!!!!\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char have[1024] = "";
		FILE *out = fmemopen(have, sizeof(have), "w");
		assert_non_null(out);
		opt_print_usage(table, rows[i].head, rows[i].tail, out);
		assert_int_equal(fclose(out), 0);
		assert_string_equal(have, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_defaults, setup),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_choice),
	    cmocka_unit_test_setup(test_set, setup),
	    cmocka_unit_test_setup(test_set_copies, setup),
	    cmocka_unit_test_setup(test_environment, setup),
	    cmocka_unit_test(test_command_line),
	    cmocka_unit_test_setup(test_help, setup),
	    cmocka_unit_test(test_help_without_a_row),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test_setup(test_usage, setup),
	};
	return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
