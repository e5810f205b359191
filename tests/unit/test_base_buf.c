/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: growth, the terminator, reuse, and what they refuse. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/buf.h"

static void test_append(void **state)
{
	(void)state;
	AUTO_BUF b = BUF_INIT;
	assert_int_equal(buf_append(&b, "ab", 2), 0);
	assert_int_equal(buf_append_str(&b, "c"), 0);
	assert_int_equal(buf_appendf(&b, "%d-%s", 7, "x"), 0);
	assert_string_equal(b.data, "abc7-x");
	assert_int_equal(b.len, 6);
	assert_true(span_eq(buf_span(&b), span_str("abc7-x")));
}

static void test_append_nothing(void **state)
{
	(void)state;
	AUTO_BUF b = BUF_INIT;
	assert_int_equal(buf_span(&b).len, 0);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
}

/* Every length around the doublings: the terminator always fits. */
static void test_growth(void **state)
{
	(void)state;
	AUTO_BUF b = BUF_INIT;
	for (size_t n = 0; n < 5000; n++) {
		assert_int_equal(b.len, n);
		assert_int_equal(buf_append(&b, "z", 1), 0);
		assert_true(b.room > b.len);
		assert_int_equal(b.data[b.len], '\0');
	}
	assert_int_equal(strlen(b.data), 5000);
}

static void test_format_longer_than_room(void **state)
{
	(void)state;
	AUTO_BUF b = BUF_INIT;
	assert_int_equal(buf_appendf(&b, "%1000s", "x"), 0);
	assert_int_equal(b.len, 1000);
	assert_int_equal(b.data[999], 'x');
}

static void test_clear_keeps_memory(void **state)
{
	(void)state;
	AUTO_BUF b = BUF_INIT;
	buf_clear(&b);
	assert_int_equal(buf_reserve(&b, 1000), 0);
	const char *data = b.data;
	assert_int_equal(buf_append_str(&b, "abc"), 0);
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	assert_ptr_equal(b.data, data);
	assert_int_equal(buf_reserve(&b, 1000), 0);
	assert_ptr_equal(b.data, data);
}

static void test_too_much(void **state)
{
	static const size_t rows[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 2 - 3};
	(void)state;
	AUTO_BUF b = BUF_INIT;
	assert_int_equal(buf_append_str(&b, "abc"), 0);
	for (size_t i = 0; i < LEN(rows); i++) {
		assert_int_equal(buf_reserve(&b, rows[i]), -ENOMEM);
		assert_string_equal(b.data, "abc");
		assert_int_equal(b.len, 3);
	}
}

static void test_release_twice(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	buf_release(&b);
	assert_int_equal(buf_append_str(&b, "abc"), 0);
	buf_release(&b);
	buf_release(&b);
	assert_null(b.data);
}

/* A wiped buffer is empty and usable; so is one that never had anything. */
static void test_wipe(void **state)
{
	(void)state;
	AUTO_BUF b = BUF_INIT;
	buf_wipe(&b);
	assert_int_equal(buf_append_str(&b, "secret"), 0);
	buf_wipe(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.room, 0);
	assert_int_equal(buf_append_str(&b, "again"), 0);
	assert_string_equal(b.data, "again");
}

/* Ownership moves, and the variable is empty. */
static void test_take(void **state)
{
	(void)state;
	AUTO_FREE char *text = strdup("x");
	AUTO_FREE char *taken = take_ptr(text);
	assert_null(text);
	assert_string_equal(taken, "x");
	AUTO_FD fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	AUTO_FD got = take_fd(&fd);
	assert_int_equal(fd, -1);
	assert_true(got >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_append),
	    cmocka_unit_test(test_append_nothing),
	    cmocka_unit_test(test_growth),
	    cmocka_unit_test(test_format_longer_than_room),
	    cmocka_unit_test(test_clear_keeps_memory),
	    cmocka_unit_test(test_too_much),
	    cmocka_unit_test(test_release_twice),
	    cmocka_unit_test(test_wipe),
	    cmocka_unit_test(test_take),
	};
	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
