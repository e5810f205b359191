/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: what is read, and that nothing is cut or skipped silently. */

/* Own */
#include "tests/unit/unit_dir.h"

/* The code under test */
#include "common/base/buf.h"
#include "common/base/config.h"

/* Record each key; one called "bad" is refused. */
static int visit(void *self, const char *section, const char *key, const char *value, struct reason *why)
{
	if (strcmp(key, "bad") == 0) {
		reason_set(why, "no such key '%s'", key);
		return -ENOENT;
	}
	return buf_appendf(self, "[%s] %s=%s;", section, key, value);
}

#define LONG_HOST "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
#define X10       "xxxxxxxxxx"
#define X90       X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X190      X90 X90 X10

static const struct row {
	const char *name, *text;
	int want;
	const char *seen, *why; /* the reason behind "'PATH' " */
} rows[] = {
    {"empty", "", 0, "", NULL},
    {"plain", "[fetchd]\nmax_retries = 8\na=b\n", 0, "[fetchd] max_retries=8;[fetchd] a=b;", NULL},
    {"no newline at the end", "[s]\na=b", 0, "[s] a=b;", NULL},
    {"carriage returns", "[s]\r\na=b\r\n", 0, "[s] a=b;", NULL},
    {"comments", "; one\n# two\n\n[s] ; x\na = b ; c\n", 0, "[s] a=b;", NULL},
    {"before a section", "a=b\n", 0, "[] a=b;", NULL},
    {"port", "[registry localhost:5000]\nplain_http = yes\n", 0, "[registry localhost:5000] plain_http=yes;", NULL},
    {"address", "[registry [::1]:5000]\na=b\n", 0, "[registry [::1]:5000] a=b;", NULL},
    {"long section", "[registry " LONG_HOST ":443]\na=b\n", 0, "[registry " LONG_HOST ":443] a=b;", NULL},
    {"longest line", "a=" X190 "xxxxx\n", 0, "[] a=" X190 "xxxxx;", NULL},
    {"longer line", "a=b\na=" X190 "xxxxxxx\n", -EINVAL, "[] a=b;", "line 2: the line is too long"},
    {"no equals", "[s]\nword\na=b\n", -EINVAL, "[s] a=b;", "line 2: neither '[section]' nor 'key = value'"},
    {"open section", "a=b\n[s\n", -EINVAL, "[] a=b;", "line 2: a section without ']'"},
    {"indented section", "a=b\n  [s]\n", -EINVAL, "[] a=b;", "line 2: a section may not be indented"},
    {"refused by the visitor", "[s]\na=b\nbad=1\nc=d\n", -ENOENT, "[s] a=b;", "line 3: no such key 'bad'"},
};

static void test_rows(void **state)
{
	const struct row *row;
	(void)state;
	for_each_row(row, rows)
	{
		AUTO_BUF seen = BUF_INIT;
		struct reason why = {""};
		char path[FILE_PATH_SIZE], want[FILE_PATH_SIZE + 64];
		(void)buf_append_str(&seen, "");
		unit_write_text(&dir, "conf", row->text);
		int r = config_read(unit_path(&dir, "conf", path), visit, &seen, &why);
		if (r != row->want || strcmp(seen.data, row->seen) != 0)
			fail_msg("%s: %d, '%s', '%s'", row->name, r, seen.data, why.text);
		(void)snprintf(want, sizeof(want), "'%s' %s", path, row->why ? row->why : "");
		if (row->why)
			assert_string_equal(why.text, want);
	}
}

static void test_nul(void **state)
{
	(void)state;
	AUTO_BUF seen = BUF_INIT;
	struct reason why;
	char path[FILE_PATH_SIZE];
	unit_write(&dir, "conf", "a=b\nc=\0d\n", 9);
	assert_int_equal(config_read(unit_path(&dir, "conf", path), visit, &seen, &why), -EINVAL);
	assert_non_null(strstr(why.text, "line 2: a NUL byte"));
}

static void test_cannot_open(void **state)
{
	(void)state;
	struct reason why;
	char path[FILE_PATH_SIZE];
	assert_int_equal(config_read(unit_path(&dir, "absent", path), visit, NULL, &why), -ENOENT);
	assert_non_null(strstr(why.text, "absent': No such file or directory"));
	assert_int_equal(config_read(dir.path, visit, NULL, &why), -EISDIR);
}

/* The user's file, wherever it is, before the machine's. */
static void test_find(void **state)
{
	(void)state;
	char path[FILE_PATH_SIZE], found[FILE_PATH_SIZE], want[FILE_PATH_SIZE];
	const bool machine_has_one = access(CONFIG_OF_MACHINE, F_OK) == 0;
	assert_int_equal(mkdirat(dir.fd, ".config", 0700), 0);
	assert_int_equal(mkdirat(dir.fd, ".config/sluice", 0700), 0);
	assert_int_equal(setenv("HOME", dir.path, 1), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	assert_int_equal(config_find(found, sizeof(found)), machine_has_one);
	unit_write_text(&dir, ".config/sluice/sluice.conf", "");
	unit_path(&dir, ".config/sluice/sluice.conf", want);
	assert_true(config_find(found, sizeof(found)));
	assert_string_equal(found, want);

	/* A relative XDG_CONFIG_HOME does not count; another one does, and then ~/.config does not. */
	assert_int_equal(setenv("XDG_CONFIG_HOME", ".config", 1), 0);
	assert_true(config_find(found, sizeof(found)));
	assert_string_equal(found, want);
	assert_int_equal(setenv("XDG_CONFIG_HOME", dir.path, 1), 0);
	assert_int_equal(config_find(found, sizeof(found)), machine_has_one);
	assert_int_equal(setenv("XDG_CONFIG_HOME", unit_path(&dir, ".config", path), 1), 0);
	assert_true(config_find(found, sizeof(found)));
	assert_string_equal(found, want);
	assert_int_equal(config_find(found, strlen(want)), machine_has_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_rows, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_nul, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_cannot_open, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_find, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
