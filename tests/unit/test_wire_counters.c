/* SPDX-License-Identifier: Apache-2.0 */
/* Counters: the table is complete, every number is decoded to its place, and durations go to their bucket. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/wire/codec.h"
#include "common/wire/counters.h"

static bool same_family(enum counter a, enum counter b)
{
	return strcmp(counter_rows[a].name, counter_rows[b].name) == 0;
}

/* Each number has a row, except the later slots of a timer. */
static void test_every_number_has_a_row(void **state)
{
	unsigned slots = 0;

	(void)state;
	for (enum counter c = 0; c < COUNTERS; c++) {
		const struct counter_row *row = &counter_rows[c];
		if (slots > 0) {
			assert_int_equal(row->kind, 0);
			slots--;
			continue;
		}
		if (row->kind == 0 || !row->name || !row->help || !row->help[0])
			fail_msg("number %d has no row", (int)c);
		slots = row->kind == COUNTER_TIMER ? TIMER_BUCKETS : 0; /* and the sum */
	}
	assert_int_equal(slots, 0);
}

/* Within a family: one kind, one help, and no two rows with the same labels. */
static void test_families_agree(void **state)
{
	(void)state;
	for (enum counter a = 0; a < COUNTERS; a++)
		for (enum counter b = a + 1; b < COUNTERS && counter_rows[a].kind != 0; b++) {
			const struct counter_row *x = &counter_rows[a], *y = &counter_rows[b];
			if (y->kind == 0 || !same_family(a, b))
				continue;
			assert_int_equal(x->kind, y->kind);
			assert_string_equal(x->help, y->help);
			assert_non_null(x->labels);
			assert_non_null(y->labels);
			assert_string_not_equal(x->labels, y->labels);
		}
}

static void test_stages_share_all(void **state)
{
	size_t next = 0, len;

	(void)state;
	for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++) {
		assert_int_equal(counters_of(stage, &len), next);
		assert_true(len > 0);
		next += len;
	}
	assert_int_equal(next, COUNTERS);
}

/* Through the codec. Counters of other stages, and those that were not sent, keep their values. */
static void test_round_trip(void **state)
{
	static uint64_t got[COUNTERS];
	uint8_t counts[COUNTS_MAX], bytes[MESSAGE_HEAD_MAX];
	struct stage_self self = {.incarnation = 7, .started_s = 5};
	struct message m, back;
	size_t len;

	(void)state;
	for (enum counter c = 0; c < COUNTERS; c++)
		count_set(c, UINT64_MAX - c);
	for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++) {
		enum counter first = counters_of(stage, &len);
		memset(got, 0, sizeof(got));
		self.stage = stage;
		counters_tell(&self, counts, &m);
		size_t size = message_encode_head(&m, bytes);
		assert_int_equal(message_decode(span_of(bytes, size), &back), DECODE_OK);
		assert_int_equal(back.incarnation, 7);
		assert_int_equal(back.started_s, 5);
		counters_decode(stage, back.counts, got);
		for (enum counter c = 0; c < COUNTERS; c++)
			assert_int_equal(got[c], c >= first && c < first + len ? UINT64_MAX - c : 0);
		counters_decode(stage, span_of("\0\0\0\0\0\0\0\x09", 8), got);
		assert_int_equal(got[first], 9);
		assert_int_equal(got[first + 1], UINT64_MAX - first - 1);
	}
}

static void test_unknown_counters_are_ignored(void **state)
{
	static uint64_t got[COUNTERS];
	static uint8_t many[COUNTS_MAX];

	(void)state;
	memset(many, 0xff, sizeof(many));
	counters_decode(STAGE_COMMITD, span_of(many, sizeof(many)), got);
	assert_int_equal(got[COUNTERS - 1], UINT64_MAX);
	assert_int_equal(got[COUNT_COMMITS - 1], 0);
}

/* Each bound belongs to its bucket, and one past it to the next. */
static void test_buckets(void **state)
{
	uint64_t sum = 0;

	(void)state;
	memset(counter_values, 0, sizeof(counter_values));
	for (unsigned i = 0; i + 1 < TIMER_BUCKETS; i++) {
		count_time(COUNT_SEAL_TIME, timer_bounds_ms[i]);
		count_time(COUNT_SEAL_TIME, timer_bounds_ms[i] + 1);
		sum += 2 * timer_bounds_ms[i] + 1;
	}
	assert_int_equal(counter_values[COUNT_SEAL_TIME], 1);
	for (unsigned i = 1; i + 1 < TIMER_BUCKETS; i++)
		assert_int_equal(counter_values[COUNT_SEAL_TIME + i], 2);
	assert_int_equal(counter_values[COUNT_SEAL_TIME + TIMER_BUCKETS - 1], 1);
	assert_int_equal(counter_values[COUNT_SEAL_TIME_SUM], sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_number_has_a_row),
	    cmocka_unit_test(test_families_agree),
	    cmocka_unit_test(test_stages_share_all),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_unknown_counters_are_ignored),
	    cmocka_unit_test(test_buckets),
	};
	return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
