/* SPDX-License-Identifier: Apache-2.0 */
/* Patience: silence and trickles are told from slow links, without the time of our own pauses. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/patience.h"

#define START 1000000

static const struct patience plain = {.stall_ms = 30000, .min_speed = 1024, .min_speed_ms = 60000};

/* Receive `len` bytes every `every_ms`. Returns when patience ends, or 0 if not within an hour. */
static uint64_t over_after(struct patience p, size_t len, uint64_t every_ms, struct reason *why)
{
	uint64_t due_ms, look_ms = START + patience_first_look(&p);
	patience_begin(&p, START);
	for (uint64_t now_ms = START; now_ms < START + 3600000; now_ms += 100) {
		if (every_ms > 0 && (now_ms - START) % every_ms == 0)
			patience_bytes(&p, len, now_ms);
		if (now_ms < look_ms)
			continue;
		if (patience_is_over(&p, now_ms, &due_ms, why))
			return now_ms - START;
		assert_true(due_ms > 0);
		look_ms = now_ms + due_ms;
	}
	return 0;
}

static void test_rows(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		uint64_t every_ms, want_ms;
		const char *why;
	} rows[] = {
	    {"silence before the first byte", 0, 0, 30000, "no bytes arrived for 30.0 seconds"},
	    {"a byte a second", 1, 1000, 60000, "too slow: 61 bytes arrived in 60.0 seconds"},
	    {"just too slow", 1000, 1000, 60000, NULL},
	    {"just fast enough", 1024, 1000, 0, NULL},
	    {"in bursts", 20 << 10, 20000, 0, NULL},
	    {"bursts too far apart", 1 << 20, 40000, 30000, NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why = {""};
		uint64_t over_ms = over_after(plain, rows[i].len, rows[i].every_ms, &why);
		if (over_ms < rows[i].want_ms || over_ms > (rows[i].want_ms > 0 ? rows[i].want_ms + 10000 : 0))
			fail_msg("%s: over after %llu", rows[i].name, (unsigned long long)over_ms);
		if (rows[i].why)
			assert_string_equal(why.text, rows[i].why);
	}
}

static void test_no_minimum(void **state)
{
	struct patience p = plain;
	struct reason why;
	(void)state;
	p.min_speed = 0;
	assert_int_equal(over_after(p, 1, 1000, &why), 0);
	assert_int_equal(patience_first_look(&p), 30000);
	p.min_speed = 1;
	p.min_speed_ms = 5000;
	assert_int_equal(patience_first_look(&p), 5000);
}

/* Our own pause restarts both measurements. */
static void test_paused(void **state)
{
	struct patience p = plain;
	struct reason why;
	uint64_t due_ms;
	(void)state;
	patience_begin(&p, START);
	patience_bytes(&p, 1, START + 29000);
	patience_begin(&p, START + 59000);
	assert_false(patience_is_over(&p, START + 61000, &due_ms, &why));
	assert_int_equal(due_ms, 28000);
	patience_bytes(&p, 1, START + 88000);
	assert_false(patience_is_over(&p, START + 89000, &due_ms, &why));
	assert_int_equal(due_ms, 29000);
	patience_bytes(&p, 1, START + 117000);
	assert_true(patience_is_over(&p, START + 119000, &due_ms, &why));
}

/* The first byte has a limit of its own, and no speed. */
static void test_answer(void **state)
{
	struct patience p = plain;
	struct reason why;
	uint64_t due_ms;
	(void)state;
	p.answer_ms = 600000;
	patience_ask(&p, START);
	assert_false(patience_is_over(&p, START + 599000, &due_ms, &why));
	assert_int_equal(due_ms, 1000);
	assert_true(patience_is_over(&p, START + 600000, &due_ms, &why));
	assert_string_equal(why.text, "no bytes arrived for 600.0 seconds");
	patience_bytes(&p, 1, START + 599000);
	assert_false(patience_is_over(&p, START + 628999, &due_ms, &why));
	assert_int_equal(due_ms, 1);
	assert_true(patience_is_over(&p, START + 629000, &due_ms, &why));
	patience_ask(&p, START); /* of another request */
	patience_noise(&p);
	assert_false(patience_is_over(&p, START + 599999, &due_ms, &why));
	p.answer_ms = 1000;
	assert_int_equal(patience_first_look(&p), 1000);
	assert_true(patience_is_over(&p, START + 1000, &due_ms, &why));
	assert_string_equal(why.text, "no bytes arrived for 1.0 seconds, except overhead");
}

/* Bytes without progress do not extend patience, and the message does not claim that nothing came. */
static void test_noise(void **state)
{
	struct patience p = plain;
	struct reason why;
	uint64_t due_ms;
	(void)state;
	patience_begin(&p, START);
	patience_noise(&p);
	assert_true(patience_is_over(&p, START + 30000, &due_ms, &why));
	assert_string_equal(why.text, "no bytes arrived for 30.0 seconds, except overhead");
	patience_bytes(&p, 1 << 20, START + 30000);
	assert_false(patience_is_over(&p, START + 59999, &due_ms, &why));
	assert_true(patience_is_over(&p, START + 60000, &due_ms, &why));
	assert_string_equal(why.text, "no bytes arrived for 30.0 seconds");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),   cmocka_unit_test(test_no_minimum), cmocka_unit_test(test_paused),
	    cmocka_unit_test(test_answer), cmocka_unit_test(test_noise),
	};
	return cmocka_run_group_tests_name("fetchd http patience", tests, NULL, NULL);
}
