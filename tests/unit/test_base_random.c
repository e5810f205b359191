/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/random.h"

#define DRAWS 64 /* twice as many for the bits */

/* Each bit is set in some draws and clear in others. A failure by chance is less likely than a hardware error. */
static void test_each_bit(void **state)
{
	uint64_t all64 = UINT64_MAX, any64 = 0;
	uint32_t all32 = UINT32_MAX, any32 = 0;
	(void)state;
	for (unsigned i = 0; i < 2 * DRAWS; i++) {
		uint64_t wide = random_u64();
		uint32_t narrow = random_u32();
		all64 &= wide;
		any64 |= wide;
		all32 &= narrow;
		any32 |= narrow;
	}
	assert_true(all64 == 0 && any64 == UINT64_MAX);
	assert_true(all32 == 0 && any32 == UINT32_MAX);
}

static void test_none_twice(void **state)
{
	uint64_t drawn[DRAWS];
	(void)state;
	for (size_t i = 0; i < DRAWS; i++) {
		drawn[i] = random_u64();
		for (size_t j = 0; j < i; j++)
			assert_true(drawn[i] != drawn[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_bit),
	    cmocka_unit_test(test_none_twice),
	};
	return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
