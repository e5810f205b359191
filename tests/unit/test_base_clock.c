/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks of the machine. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/clock.h"

#define SOME_TIME_S UINT64_C(1700000000)

static void test_one_clock(void **state)
{
	(void)state;
	uint64_t us = clock_mono_us(), ms = clock_mono_ms(), later_us = clock_mono_us();
	assert_true(us > 0 && us / 1000 <= ms && ms <= later_us / 1000);
}

static void test_wall(void **state)
{
	(void)state;
	assert_true(clock_wall_s() > SOME_TIME_S);
}

/* A pause of more than a second. */
static void test_pause(void **state)
{
	static const unsigned rows[] = {0, 1, 30, 1010};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		uint64_t before_us = clock_mono_us();
		clock_pause(rows[i]);
		assert_true(clock_mono_us() - before_us >= (uint64_t)rows[i] * 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_clock),
	    cmocka_unit_test(test_wall),
	    cmocka_unit_test(test_pause),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
