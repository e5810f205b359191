/* SPDX-License-Identifier: Apache-2.0 */
/* Boot ids. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/boot.h"

static void test_id_from_the_environment(void **state)
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
		if (boot_id_read(rows[i].text, id) != rows[i].want)
			fail_msg("'%s'", rows[i].text);
		if (rows[i].want == 0)
			assert_memory_equal(id, want, sizeof(id));
	}
}

static void test_id_from_the_kernel(void **state)
{
	(void)state;
	uint8_t a[BOOT_ID_SIZE] = {0}, b[BOOT_ID_SIZE] = {1}, none[BOOT_ID_SIZE] = {0};
	assert_int_equal(boot_id_read(NULL, a), 0);
	assert_int_equal(boot_id_read("", b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, none, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_id_from_the_environment),
	    cmocka_unit_test(test_id_from_the_kernel),
	};
	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
