/* SPDX-License-Identifier: Apache-2.0 */
/* Retries: the bounds of each wait, the budget, and Retry-After. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/retry.h"

static const struct retry_settings limits = {.max = 4, .delay_ms = 1000, .delay_max_ms = 5000, .after_max_ms = 600000};

/* Full jitter: from 0 to a bound that doubles up to the maximum. */
static void test_windows(void **state)
{
	static const uint64_t want_max_ms[] = {1000, 2000, 4000, 5000};
	(void)state;
	struct retry low = {0}, high = {0};
	uint64_t wait_ms;
	for (size_t i = 0; i < LEN(want_max_ms); i++) {
		assert_true(retry_failure(&low, &limits, 0, 0, &wait_ms));
		assert_int_equal(wait_ms, 0);
		assert_true(retry_failure(&high, &limits, 0, UINT32_MAX, &wait_ms));
		assert_int_equal(wait_ms, want_max_ms[i]);
	}
	wait_ms = 77;
	assert_false(retry_failure(&high, &limits, 0, 0, &wait_ms));
	assert_int_equal(wait_ms, 77);
}

static void test_middle(void **state)
{
	struct retry b = {0};
	uint64_t wait_ms;
	(void)state;
	assert_true(retry_failure(&b, &limits, 0, UINT32_MAX / 2, &wait_ms));
	assert_in_range(wait_ms, 499, 501);
}

#define REFILL ((uint64_t)RETRY_REFILL_BYTES)

/* The retries that one step of progress gives back. */
static void test_progress(void **state)
{
	static const struct {
		uint64_t failures, credited, offset, want, want_credited;
	} rows[] = {
	    {4, 0, 0, 4, 0},
	    {4, 0, 1, 4, 0},
	    {4, 0, REFILL - 1, 4, 0},
	    {4, 0, REFILL, 3, REFILL},
	    {4, 0, 2 * REFILL - 1, 3, REFILL},
	    {4, 0, 2 * REFILL, 2, 2 * REFILL},
	    {4, 0, 100 * REFILL + 5, 0, 100 * REFILL},
	    {0, 0, REFILL, 0, REFILL}, /* progress is not saved up */
	    {4, 1000, REFILL, 4, 1000},
	    {4, 1000, 1000 + REFILL, 3, 1000 + REFILL},
	    {4, REFILL, 10, 4, REFILL}, /* sent again */
	    {UINT64_MAX, 0, UINT64_MAX, UINT64_MAX - UINT64_MAX / REFILL, UINT64_MAX / REFILL * REFILL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct retry b = {rows[i].failures, rows[i].credited};
		retry_progress(&b, rows[i].offset);
		if (b.failures != rows[i].want || b.credited != rows[i].want_credited)
			fail_msg("row %zu: %llu failures, credited to %llu", i, (unsigned long long)b.failures,
				 (unsigned long long)b.credited);
	}
}

/* Requests to a server that breaks off each of them after this many new bytes, for 1 MB. */
static void test_requests(void **state)
{
	static const struct {
		uint64_t bytes;
		unsigned want;
		bool finishes;
	} rows[] = {
	    {0, 5, false},          {1, 5, false},          {1000, 5, false},   {REFILL / 4, 6, false},
	    {REFILL / 2, 9, false}, {REFILL - 1, 17, true}, {REFILL, 16, true},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct retry b = {0};
		uint64_t wait_ms, offset = 0, size = 16 * REFILL;
		unsigned requests = 0;
		do {
			requests++;
			offset += rows[i].bytes < size - offset ? rows[i].bytes : size - offset;
			retry_progress(&b, offset);
		} while (offset < size && retry_failure(&b, &limits, 0, 0, &wait_ms));
		if (requests != rows[i].want || (offset == size) != rows[i].finishes)
			fail_msg("%llu bytes a try: %u requests, up to %llu", (unsigned long long)rows[i].bytes,
				 requests, (unsigned long long)offset);
	}
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
		struct retry b = {.failures = 3};
		uint64_t wait_ms;
		assert_true(retry_failure(&b, &limits, rows[i].asked_ms, 0, &wait_ms));
		assert_int_equal(wait_ms, rows[i].want_min_ms);
		b.failures = 3;
		assert_true(retry_failure(&b, &limits, rows[i].asked_ms, UINT32_MAX, &wait_ms));
		assert_int_equal(wait_ms, rows[i].want_min_ms + limits.delay_ms);
	}
	/* A wait is never shortened; if it is too long, there is no retry. */
	struct retry b = {0};
	uint64_t wait_ms = 77;
	assert_false(retry_failure(&b, &limits, 600001, 0, &wait_ms));
	assert_false(retry_failure(&b, &limits, UINT64_MAX, 0, &wait_ms));
	assert_int_equal(wait_ms, 77);
}

static void test_extremes(void **state)
{
	static const struct retry_settings none = {.max = 0, .delay_ms = 1000, .delay_max_ms = 5000};
	static const struct retry_settings odd = {.max = UINT64_MAX, .delay_ms = 3600000, .delay_max_ms = 1};
	struct retry b = {0}, many = {.failures = UINT64_MAX - 1};
	uint64_t wait_ms;
	(void)state;
	assert_false(retry_failure(&b, &none, 0, 0, &wait_ms));
	assert_true(retry_failure(&many, &odd, 0, UINT32_MAX, &wait_ms));
	assert_int_equal(wait_ms, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_windows),  cmocka_unit_test(test_middle),      cmocka_unit_test(test_progress),
	    cmocka_unit_test(test_requests), cmocka_unit_test(test_retry_after), cmocka_unit_test(test_extremes),
	};
	return cmocka_run_group_tests_name("fetchd retry", tests, NULL, NULL);
}
