/* When to try again: the bounds of each wait, the budget, and what a server may ask for. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/backoff.h"

static const struct backoff_limits limits = {
    .retries = 4, .delay_ms = 1000, .delay_max_ms = 5000, .retry_after_max_ms = 600000};

/* Full jitter: from nothing to a bound that doubles up to the maximum. */
static void test_windows(void **state)
{
	static const uint64_t want_max_ms[] = {1000, 2000, 4000, 5000};
	(void)state;
	struct backoff low = {0}, high = {0};
	uint64_t wait_ms;
	for (size_t i = 0; i < LEN(want_max_ms); i++) {
		assert_true(backoff_failure(&low, &limits, 0, 0, &wait_ms));
		assert_int_equal(wait_ms, 0);
		assert_true(backoff_failure(&high, &limits, 0, UINT32_MAX, &wait_ms));
		assert_int_equal(wait_ms, want_max_ms[i]);
	}
	wait_ms = 77;
	assert_false(backoff_failure(&high, &limits, 0, 0, &wait_ms));
	assert_int_equal(wait_ms, 77);
}

static void test_middle(void **state)
{
	struct backoff b = {0};
	uint64_t wait_ms;
	(void)state;
	assert_true(backoff_failure(&b, &limits, 0, UINT32_MAX / 2, &wait_ms));
	assert_in_range(wait_ms, 499, 501);
}

static void test_progress_refills(void **state)
{
	struct backoff b = {0};
	uint64_t wait_ms;
	(void)state;
	for (int round = 0; round < 100; round++) {
		for (unsigned i = 0; i < limits.retries; i++)
			assert_true(backoff_failure(&b, &limits, 0, UINT32_MAX, &wait_ms));
		backoff_progress(&b);
	}
	assert_true(backoff_failure(&b, &limits, 0, UINT32_MAX, &wait_ms));
	assert_int_equal(wait_ms, limits.delay_ms);
}

static void test_retry_after(void **state)
{
	static const struct {
		uint64_t asked_ms;
		uint64_t want_min_ms;
	} rows[] = {
	    {3000, 3000},
	    {600000, 600000},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct backoff b = {.failures = 3};
		uint64_t wait_ms;
		assert_true(backoff_failure(&b, &limits, rows[i].asked_ms, 0, &wait_ms));
		assert_int_equal(wait_ms, rows[i].want_min_ms);
		b.failures = 3;
		assert_true(backoff_failure(&b, &limits, rows[i].asked_ms, UINT32_MAX, &wait_ms));
		assert_int_equal(wait_ms, rows[i].want_min_ms + limits.delay_ms);
	}
	/* Never cut short: what is too long is not waited for at all. */
	struct backoff b = {0};
	uint64_t wait_ms = 77;
	assert_false(backoff_failure(&b, &limits, 600001, 0, &wait_ms));
	assert_false(backoff_failure(&b, &limits, UINT64_MAX, 0, &wait_ms));
	assert_int_equal(wait_ms, 77);
}

static void test_extremes(void **state)
{
	static const struct backoff_limits none = {.retries = 0, .delay_ms = 1000, .delay_max_ms = 5000};
	static const struct backoff_limits odd = {.retries = UINT64_MAX, .delay_ms = 3600000, .delay_max_ms = 1};
	struct backoff b = {0}, many = {.failures = UINT64_MAX - 1};
	uint64_t wait_ms;
	(void)state;
	assert_false(backoff_failure(&b, &none, 0, 0, &wait_ms));
	assert_true(backoff_failure(&many, &odd, 0, UINT32_MAX, &wait_ms));
	assert_int_equal(wait_ms, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_windows),          cmocka_unit_test(test_middle),
	    cmocka_unit_test(test_progress_refills), cmocka_unit_test(test_retry_after),
	    cmocka_unit_test(test_extremes),
	};
	return cmocka_run_group_tests_name("fetchd backoff", tests, NULL, NULL);
}
