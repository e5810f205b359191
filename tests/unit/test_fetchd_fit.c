/* SPDX-License-Identifier: Apache-2.0 */
/* How long a range should be: from the least to the most, in whole units, whatever was measured. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/fit.h"

#define KIB  1024u
#define UNIT (128 * KIB)

static void test_sizes(void **state)
{
	static const struct {
		struct fit_path path;
		uint64_t want;
	} rows[] = {
	    {{0, 0}, FIT_SIZE_MIN},
	    {{0, UINT64_MAX}, FIT_SIZE_MIN},
	    {{UINT64_MAX, 0}, FIT_SIZE_MIN},
	    {{UINT64_MAX, UINT64_MAX}, FIT_SIZE_MAX},
	    {{1, 20000000}, FIT_SIZE_MIN},
	    {{1, 56173000}, FIT_SIZE_MIN},
	    {{1, 56174000}, FIT_SIZE_MIN + UNIT},
	    {{10, 12500000}, 7 * UNIT},
	    {{50, 12500000}, 34 * UNIT},
	    {{FIT_LATENCY_MAX_MS, 1000000}, 27 * UNIT},
	    {{FIT_LATENCY_MAX_MS + 1, 1000000}, 27 * UNIT},
	    {{100, 23967450}, FIT_SIZE_MAX},
	    {{100, 23967460}, FIT_SIZE_MAX},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (fit_size(&rows[i].path, UNIT) != rows[i].want)
			fail_msg("row %zu: %llu", i, (unsigned long long)fit_size(&rows[i].path, UNIT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes)};
	return cmocka_run_group_tests_name("fetchd fit", tests, NULL, NULL);
}
