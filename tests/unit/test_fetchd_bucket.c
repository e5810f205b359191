/* SPDX-License-Identifier: Apache-2.0 */
/* The token bucket: over time its rate passes, whatever the pieces and the waits. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/bucket.h"

/* Take pieces as fast as allowed for a time. Returns the bytes that passed. */
static uint64_t pass(uint64_t rate, size_t piece, uint64_t for_ms)
{
	struct bucket b = {0};
	uint64_t now_ms = 12345, end_ms = now_ms + for_ms, passed = 0;
	bucket_rate(&b, rate, now_ms);
	while (now_ms < end_ms) {
		uint64_t wait_ms = bucket_wait(&b, now_ms);
		if (wait_ms > 0) {
			assert_true(wait_ms >= BUCKET_WAIT_MS);
			now_ms += wait_ms;
			continue;
		}
		bucket_take(&b, piece);
		passed += piece;
	}
	return passed;
}

static void test_rates(void **state)
{
	static const struct {
		uint64_t rate;
		size_t piece;
		uint64_t for_ms;
	} rows[] = {
	    {1024, 16384, 600000},     {10 << 20, 16384, 10000},  {10 << 20, 1, 1000},
	    {1 << 20, 1 << 20, 60000}, {1ull << 32, 16384, 2000},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		uint64_t want = rows[i].rate * rows[i].for_ms / 1000;
		uint64_t burst = rows[i].rate * BUCKET_BURST_MS / 1000;
		assert_in_range(pass(rows[i].rate, rows[i].piece, rows[i].for_ms),
				want - rows[i].rate * BUCKET_WAIT_MS / 1000 - rows[i].piece,
				want + burst + 2 * rows[i].piece);
	}
}

static void test_no_limit(void **state)
{
	struct bucket b = {0};
	(void)state;
	bucket_take(&b, 1 << 30);
	assert_int_equal(bucket_wait(&b, 1), 0);
	/* A later limit applies from then on, and can be removed at once. */
	bucket_rate(&b, 1000, 1);
	assert_int_equal(bucket_wait(&b, 1), 0);
	bucket_take(&b, 10000);
	assert_true(bucket_wait(&b, 1) > 9000);
	bucket_rate(&b, 0, 1);
	assert_int_equal(bucket_wait(&b, 1), 0);
}

/* After any idle time only the burst is available. The largest numbers do not overflow. */
static void test_limits(void **state)
{
	struct bucket b = {0};
	(void)state;
	bucket_rate(&b, BUCKET_RATE_MAX, 0);
	assert_int_equal(bucket_wait(&b, UINT64_MAX / 2), 0);
	bucket_take(&b, BUCKET_RATE_MAX / 1000 * BUCKET_BURST_MS);
	assert_int_equal(bucket_wait(&b, UINT64_MAX / 2 + BUCKET_REST_MAX + 1), 0);
	assert_int_equal(b.level, (int64_t)(BUCKET_RATE_MAX * BUCKET_BURST_MS));
	bucket_rate(&b, 1, 0);
	bucket_take(&b, 16384);
	assert_true(bucket_wait(&b, 0) >= 16384 * 1000 - BUCKET_BURST_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rates),
	    cmocka_unit_test(test_no_limit),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests_name("fetchd bucket", tests, NULL, NULL);
}
