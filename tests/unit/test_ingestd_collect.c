/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gc removes of the transfers that nobody works on, and what it leaves.
 */

/* Own */
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/test_ingestd_core.h"

/* The code under test */
#include "ingestd/collect.h"
#include "ingestd/recover.h"

#define DAY_S    86400u
#define START_S  1000000u
#define EMPTY    URL("empty")
#define PARTIAL  URL("partial")
#define OTHER    URL("other")
#define ONE_BYTE 1u /* of space that is wanted: one transfer has more */

static struct collect *collect;
static struct collect_report report;
static unsigned reports;
static const char *heard; /* the ref of which a client waits to hear */

static bool on_is_heard(void *self, struct span ref)
{
	(void)self;
	return heard && span_eq(ref, span_str(heard));
}

static void on_done(void *self, const struct collect_report *r)
{
	(void)self;
	report = *r;
	reports++;
}

static void pass_s(uint64_t s)
{
	stand_in_clock_set(clock_mono_ms() + s * 1000);
}

static void begin(void)
{
	static const struct collect_hooks hooks = {.is_heard = on_is_heard, .done = on_done};

	assert_int_equal(collect_new(loop, &flow, &hooks, NULL, &collect), 0);
}

static int collect_set_up(void **state)
{
	stand_in_clock_set(START_S * 1000);
	heard = NULL;
	reports = 0;
	int r = core_set_up(state);
	settings.max_active = 8;
	begin();
	return r;
}

static int collect_tear_down(void **state)
{
	workers_free(flow.workers);
	flow.workers = NULL;
	collect_free(collect);
	int r = core_tear_down(state);
	stand_in_clock_release();
	return r;
}

static void finish_run(void)
{
	for (unsigned before = reports; reports == before;)
		loop_turn(loop, true);
	assert_int_equal(report.outcome, FAIL_NONE);
}

static void run(const struct collect_order *order)
{
	assert_true(collect_start(collect, order));
	finish_run();
}

/* As the hour does. */
static void run_due(void)
{
	run(&(struct collect_order){.want = SIZE_UNKNOWN});
}

static void run_older(uint64_t older_s, uint64_t want)
{
	run(&(struct collect_order){.has_age = true, .older_s = older_s, .want = want, .is_asked = true});
}

/* One that has failed, with so many bytes. */
static struct transfer *failed(const char *ref, size_t len)
{
	struct transfer *t = get(ref, ref, NULL, SIZE_UNKNOWN);

	(void)snprintf(t->in->record.validator, VALIDATOR_MAX, "\"v\"");
	if (len > 0)
		append(t->in, 0, len);
	flow_fail(&flow, t, FAIL_DENIED, "no");
	assert_phase(t, PHASE_FAILED);
	return t;
}

static bool is_there(const char *ref)
{
	char path[FILE_PATH_SIZE], id[INGEST_ID_SIZE];

	layout_ingest_id(span_str(ref), id);
	(void)snprintf(path, sizeof(path), "store/ingest/%s", id);
	bool is_known = transfers_find(&transfers, span_str(ref));
	assert_int_equal(unit_exists(&dir, path), is_known);
	return is_known;
}

static void test_ages(void **state)
{
	(void)state;
	failed(EMPTY, 0);
	failed(PARTIAL, 5);
	pass_s(DAY_S - 1);
	run_due();
	assert_true(is_there(EMPTY) && is_there(PARTIAL));
	assert_int_equal(report.count[GC_WAITS], 2);
	pass_s(1);
	run_due();
	assert_true(!is_there(EMPTY) && is_there(PARTIAL));
	pass_s(13 * DAY_S - 1);
	run_due();
	assert_true(is_there(PARTIAL));
	pass_s(1);
	run_due();
	assert_false(is_there(PARTIAL));
	assert_int_equal(report.count[GC_REMOVED], 1);
	assert_true(report.bytes[GC_REMOVED] > 0);
	assert_false(unit_exists(&dir, "store/ingest/" LAYOUT_AGES));
}

/* What is requested again and fails again is new. */
static void test_another_try_is_new(void **state)
{
	(void)state;
	failed(EMPTY, 0);
	pass_s(DAY_S - 1);
	failed(EMPTY, 0);
	pass_s(1);
	run_due();
	assert_true(is_there(EMPTY));
}

static void test_what_is_used_stays(void **state)
{
	(void)state;
	failed(EMPTY, 0);
	failed(PARTIAL, 5);
	struct transfer *active = get(OTHER, OTHER, NULL, SIZE_UNKNOWN);
	heard = PARTIAL;
	run_older(0, SIZE_UNKNOWN);
	assert_true(!is_there(EMPTY) && is_there(PARTIAL) && is_there(OTHER));
	assert_phase(active, PHASE_ORDER_DUE);
	assert_int_equal(report.count[GC_REMOVED], 1);
	assert_int_equal(report.count[GC_WAITS], 0);
	heard = NULL;
	run_older(1, SIZE_UNKNOWN);
	assert_true(is_there(PARTIAL));
	run_older(0, SIZE_UNKNOWN);
	assert_false(is_there(PARTIAL));
}

/* Waiting for space, it holds space, and may have been left. */
static void test_what_waits_for_space_goes_unless_heard(void **state)
{
	(void)state;
	struct transfer *t = get(PARTIAL, PARTIAL, NULL, SIZE_UNKNOWN);
	append(t->in, 0, 5);
	flow_wait_for_space(&flow, t, "full");
	heard = PARTIAL;
	run_older(0, SIZE_UNKNOWN);
	assert_true(is_there(PARTIAL));
	heard = NULL;
	run_older(0, SIZE_UNKNOWN);
	assert_false(is_there(PARTIAL));
}

static void test_oldest_go_first(void **state)
{
	(void)state;
	failed(PARTIAL, 5);
	pass_s(1);
	failed(OTHER, 5);
	run_older(0, 0);
	assert_int_equal(report.count[GC_WAITS], 2);
	run_older(0, ONE_BYTE);
	assert_true(!is_there(PARTIAL) && is_there(OTHER));
	assert_string_equal(collect_item(collect, 0)->ref, PARTIAL);
	assert_int_equal(collect_item(collect, 0)->fate, GC_REMOVED);
	assert_int_equal(collect_item(collect, 0)->age_s, 1);
	assert_int_equal(collect_item(collect, 1)->fate, GC_WAITS);
	assert_null(collect_item(collect, 2));
}

/* What takes more than the limit goes at any age; active ones count, and stay. */
static void test_limit(void **state)
{
	(void)state;
	failed(PARTIAL, 5);
	pass_s(1);
	failed(OTHER, 5);
	struct transfer *active = get(EMPTY, EMPTY, NULL, SIZE_UNKNOWN);
	append(active->in, 0, 5);
	run(&(struct collect_order){.dry_run = true, .want = SIZE_UNKNOWN});
	assert_int_equal(report.count[GC_WAITS], 2);
	uint64_t each = report.bytes[GC_WAITS] / 2;
	settings.ingest_max_bytes = 3 * each;
	run_due();
	assert_true(is_there(PARTIAL) && is_there(OTHER));
	settings.ingest_max_bytes = 3 * each - 1;
	run_due();
	assert_true(!is_there(PARTIAL) && is_there(OTHER));
	settings.ingest_max_bytes = 1;
	run_due();
	assert_true(!is_there(OTHER) && is_there(EMPTY));
}

static void test_dry_run(void **state)
{
	(void)state;
	failed(PARTIAL, 5);
	run(&(struct collect_order){.dry_run = true, .has_age = true, .want = SIZE_UNKNOWN, .is_asked = true});
	assert_true(is_there(PARTIAL));
	assert_int_equal(report.count[GC_REMOVED], 1);
	assert_int_equal(collect_item(collect, 0)->fate, GC_REMOVED);
	assert_false(unit_exists(&dir, "store/ingest/" LAYOUT_AGES));
}

/* Between the list and the removal. It goes on with its bytes. */
static void test_request_in_a_run(void **state)
{
	(void)state;
	struct transfer *t = failed(PARTIAL, 5);
	const struct collect_order order = {.has_age = true, .want = SIZE_UNKNOWN};
	assert_true(collect_start(collect, &order));
	assert_false(collect_start(collect, &order));
	assert_ptr_equal(get(PARTIAL, PARTIAL, NULL, SIZE_UNKNOWN), t);
	finish_run();
	assert_phase(t, PHASE_ORDER_DUE);
	assert_int_equal(t->in->offset, 5);
	assert_int_equal(report.count[GC_REMOVED], 0);
}

/* It came back and failed once more: that is another rest. */
static void test_short_request_in_a_run(void **state)
{
	(void)state;
	failed(PARTIAL, 5);
	pass_s(DAY_S);
	assert_true(
	    collect_start(collect, &(struct collect_order){.has_age = true, .older_s = DAY_S, .want = SIZE_UNKNOWN}));
	flow_fail(&flow, get(PARTIAL, PARTIAL, NULL, SIZE_UNKNOWN), FAIL_DENIED, "no");
	finish_run();
	assert_true(is_there(PARTIAL));
}

/* 'ingestd put' has it open. */
static void test_locked_one_stays(void **state)
{
	struct ingest *in;
	struct reason why;
	(void)state;
	failed(PARTIAL, 5);
	assert_int_equal(ingest_open(&home, span_str(PARTIAL), INGEST_EXISTING, &in, &why), 0);
	run_older(0, SIZE_UNKNOWN);
	assert_true(is_there(PARTIAL));
	assert_int_equal(report.count[GC_WAITS], 1);
	ingest_close(in);
	run_older(0, SIZE_UNKNOWN);
	assert_false(is_there(PARTIAL));
}

static void restart(void)
{
	transfers_release(&transfers);
	collect_free(collect);
	begin();
	recover_all(&flow);
}

/* After another boot it was down for an unknown time, which does not count. */
static void test_ages_outlive_us(void **state)
{
	(void)state;
	failed(PARTIAL, 5);
	pass_s(DAY_S);
	run_due();
	pass_s(10);
	restart();
	assert_int_equal(transfer_age_s(transfers_find(&transfers, span_str(PARTIAL))), DAY_S + 10);
	home.boot_id[0] ^= 1;
	stand_in_clock_set(7000);
	restart();
	assert_int_equal(transfer_age_s(transfers_find(&transfers, span_str(PARTIAL))), DAY_S + 7);
}

/* What changed while we did not look is new. */
static void test_changed_one_is_new(void **state)
{
	struct ingest *in;
	struct reason why;
	(void)state;
	failed(PARTIAL, 5);
	pass_s(DAY_S);
	run_due();
	assert_int_equal(ingest_open(&home, span_str(PARTIAL), INGEST_EXISTING, &in, &why), 0);
	append(in, 5, 6);
	ingest_close(in);
	restart();
	assert_int_equal(transfer_age_s(transfers_find(&transfers, span_str(PARTIAL))), 0);
}

static void test_stop(void **state)
{
	(void)state;
	failed(PARTIAL, 5);
	assert_true(collect_start(collect, &(struct collect_order){.has_age = true, .want = SIZE_UNKNOWN}));
	collect_stop(collect);
	assert_int_equal(reports, 1);
	assert_int_equal(report.outcome, FAIL_AGAIN);
	workers_free(flow.workers);
	flow.workers = NULL;
	assert_true(is_there(PARTIAL));
	assert_int_equal(reports, 1);
}

#define COLLECT_TEST(f) cmocka_unit_test_setup_teardown(f, collect_set_up, collect_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    COLLECT_TEST(test_ages),
	    COLLECT_TEST(test_another_try_is_new),
	    COLLECT_TEST(test_what_is_used_stays),
	    COLLECT_TEST(test_what_waits_for_space_goes_unless_heard),
	    COLLECT_TEST(test_oldest_go_first),
	    COLLECT_TEST(test_limit),
	    COLLECT_TEST(test_dry_run),
	    COLLECT_TEST(test_request_in_a_run),
	    COLLECT_TEST(test_short_request_in_a_run),
	    COLLECT_TEST(test_locked_one_stays),
	    COLLECT_TEST(test_ages_outlive_us),
	    COLLECT_TEST(test_changed_one_is_new),
	    COLLECT_TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
