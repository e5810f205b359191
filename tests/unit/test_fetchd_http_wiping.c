/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is overwritten when it is freed or moved. What is left of it, tests/system/test_secrets.py looks at. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/wiping.h"

static void test_content_moves(void **state)
{
	static const size_t sizes[] = {1, 100000, 7, 0, 4096};
	char *data = wiping_realloc(NULL, 10);
	size_t kept = 10;

	(void)state;
	assert_non_null(data);
	memset(data, 'x', kept);
	for (size_t i = 0; i < LEN(sizes); i++) {
		data = wiping_realloc(data, sizes[i]);
		assert_non_null(data);
		kept = kept < sizes[i] ? kept : sizes[i];
		for (size_t j = 0; j < kept; j++)
			assert_int_equal(data[j], 'x');
	}
	wiping_free(data);
	wiping_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_content_moves),
	};
	return cmocka_run_group_tests_name("fetchd http wiping", tests, NULL, NULL);
}
