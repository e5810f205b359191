/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, times as text, boot ids. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/clock.h"

#define LAST_SECOND UINT64_C(253402300799)

static void test_fake(void **state)
{
	(void)state;
	uint64_t before = clock_mono_ms();
	clock_fake_mono_ms(42);
	assert_int_equal(clock_mono_ms(), 42);
	clock_fake_mono_ms(UINT64_MAX);
	assert_true(clock_mono_ms() >= before && before > 42);
	assert_true(clock_wall_s() > 1700000000);
}

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
		char text[CLOCK_TEXT_SIZE];
		uint64_t s = 1;
		clock_format(rows[i].s, text);
		assert_string_equal(text, rows[i].want);
		assert_int_equal(clock_parse(text, &s), 0);
		assert_int_equal(s, rows[i].s);
	}
}

static void test_format_past_the_end(void **state)
{
	static const uint64_t rows[] = {LAST_SECOND + 1, INT64_MAX, UINT64_MAX};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char text[CLOCK_TEXT_SIZE];
		clock_format(rows[i], text);
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
		if (clock_parse(rows[i], &s) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_int_equal(s, 7);
	}
}

static void test_boot_id_given(void **state)
{
	static const uint8_t want[BOOT_ID_SIZE] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
						   0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
	static const struct {
		const char *text;
		int want;
	} rows[] = {
	    {"0123456789abcdeffedcba9876543210", 0},           {"0123456789ABCDEFFEDCBA9876543210", 0},
	    {"01234567-89ab-cdef-fedc-ba9876543210", 0},       {"0123456789abcdeffedcba987654321", -EINVAL},
	    {"0123456789abcdeffedcba98765432100", -EINVAL},    {"0123456789abcdeffedcba987654321g", -EINVAL},
	    {"0123456-789ab-cdef-fedc-ba9876543210", -EINVAL}, {"01234567-89ab-cdef-fedcba987654-3210", -EINVAL},
	    {"------------------------------------", -EINVAL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		uint8_t id[BOOT_ID_SIZE] = {0};
		if (clock_boot_id(rows[i].text, id) != rows[i].want)
			fail_msg("'%s'", rows[i].text);
		if (rows[i].want == 0)
			assert_memory_equal(id, want, sizeof(id));
	}
}

static void test_boot_id_of_the_kernel(void **state)
{
	(void)state;
	uint8_t a[BOOT_ID_SIZE] = {0}, b[BOOT_ID_SIZE] = {1}, none[BOOT_ID_SIZE] = {0};
	assert_int_equal(clock_boot_id(NULL, a), 0);
	assert_int_equal(clock_boot_id("", b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, none, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fake),
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_format_past_the_end),
	    cmocka_unit_test(test_parse_refuses),
	    cmocka_unit_test(test_boot_id_given),
	    cmocka_unit_test(test_boot_id_of_the_kernel),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
