/* SPDX-License-Identifier: Apache-2.0 */
/* The order of failures. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/cmd/report.h"

static void test_worse(void **state)
{
	(void)state;
	assert_int_equal(report_worse(FAIL_NONE, FAIL_AGAIN), FAIL_AGAIN);
	assert_int_equal(report_worse(FAIL_AGAIN, FAIL_NOT_FOUND), FAIL_NOT_FOUND);
	assert_int_equal(report_worse(FAIL_BAD_DATA, FAIL_NOT_FOUND), FAIL_BAD_DATA);
	assert_int_equal(report_worse(FAIL_UNAVAILABLE, FAIL_AGAIN), FAIL_UNAVAILABLE);
	for (int c = FAIL_AGAIN; c <= FAIL_CLASS_MAX; c++)
		assert_int_equal(report_worse((enum fail_class)c, FAIL_NONE), c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_worse),
	};
	return cmocka_run_group_tests_name("sluice report", tests, NULL, NULL);
}
