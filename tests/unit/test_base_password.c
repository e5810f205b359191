/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords from standard input; at a terminal they are typed in tests/system/test_policy.py. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/password.h"

/* Read it from a pipe in place of standard input. */
static int read_from(const char *text, size_t len, struct buf *out)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], text, len), (int)len);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(close(ends[0]), 0);
	return password_read("not shown", out);
}

static void test_line(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: -ENODATA */
	} rows[] = {
	    {"secret\n", "secret"},
	    {"secret", "secret"},
	    {"secret\r\n", "secret"},
	    {"two words\nmore", "two words"},
	    {"\x7f\x03", "\x7f\x03"},
	    {" blank \n", " blank "},
	    {"", NULL},
	    {"\n", NULL},
	    {"\r\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		assert_int_equal(buf_append_str(&out, "user:"), 0);
		assert_int_equal(read_from(rows[i].text, strlen(rows[i].text), &out), rows[i].want ? 0 : -ENODATA);
		assert_memory_equal(out.data, "user:", 5);
		assert_string_equal(out.data + 5, rows[i].want ? rows[i].want : "");
	}
}

static void test_limit(void **state)
{
	static char text[PASSWORD_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t more = 0; more <= 1; more++) {
		AUTO_BUF out = BUF_INIT;
		assert_int_equal(read_from(text, PASSWORD_MAX + more, &out), more == 0 ? 0 : -EMSGSIZE);
		assert_int_equal(out.len, PASSWORD_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("base password", tests, NULL, NULL);
}
