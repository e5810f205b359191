/* SPDX-License-Identifier: Apache-2.0 */
/* When a stage is restarted. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/run/supervise.h"

static void test_respawn(void **state)
{
	static const unsigned want[] = {0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000};
	struct respawn r = {.started_ms = 5000};
	uint64_t now = 5000;
	(void)state;
	for (size_t i = 0; i < LEN(want); i++) {
		now += RESPAWN_QUICK_MS - 1;
		assert_int_equal(respawn_delay_ms(&r, now), want[i]);
		r.started_ms = now;
	}
	/* A stage that lived long enough is restarted at once. */
	assert_int_equal(respawn_delay_ms(&r, now + RESPAWN_QUICK_MS), 0);
	r.started_ms = now + RESPAWN_QUICK_MS;
	assert_int_equal(respawn_delay_ms(&r, r.started_ms + 1), 0);
	assert_int_equal(respawn_delay_ms(&r, r.started_ms + 2), RESPAWN_DELAY_MIN_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_respawn),
	};
	return cmocka_run_group_tests_name("sluice supervise", tests, NULL, NULL);
}
