/* SPDX-License-Identifier: Apache-2.0 */
/* A breaker on a set clock: which failures open it, for how long, who may ask meanwhile, and what closes it. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/breaker.h"

#define STALL_MS 3000u
#define START_MS 1000000u

struct scene {
	uint64_t now_ms;
	struct breaker b;
	struct admission guests[6];
};

static void begin(struct scene *c)
{
	*c = (struct scene){.now_ms = START_MS};
}

static void finish(struct scene *c)
{
	for (size_t i = 0; i < LEN(c->guests); i++)
		admission_end(&c->guests[i]);
	assert_int_equal(c->b.held, 0);
	assert_int_equal(c->b.probes, 0);
}

static bool ask(struct scene *c, size_t guest, bool others)
{
	return admission_ask(&c->guests[guest], &c->b, others, c->now_ms);
}

static enum breaker_change end_with(struct scene *c, size_t guest, enum http_end end, uint16_t status, uint64_t lost_ms)
{
	const struct failure f = {.class = FAIL_AGAIN, .end = end, .http_status = status};
	return admission_failed(&c->guests[guest], &f, lost_ms, c->now_ms);
}

static enum breaker_change stall(struct scene *c, size_t guest)
{
	return end_with(c, guest, HTTP_STALLED, 0, STALL_MS);
}

static enum breaker_change answer(struct scene *c, size_t guest)
{
	return admission_answered(&c->guests[guest], c->now_ms);
}

/* Open it, and let `ms` pass. */
static void open_it(struct scene *c, uint64_t ms)
{
	assert_true(ask(c, 0, false));
	assert_int_equal(stall(c, 0), BREAKER_OPENED);
	c->now_ms += ms;
}

/* ── which outcomes count ── */

static void test_what_counts(void **state)
{
	static const struct {
		enum http_end end;
		uint16_t status;
		uint64_t lost_ms;
		bool opens;
	} rows[] = {
	    {HTTP_NO_ADDRESS, 0, 0, true},
	    {HTTP_NO_CONNECTION, 0, 0, true},
	    {HTTP_NO_TLS, 0, 0, true},
	    {HTTP_STALLED, 0, STALL_MS, true},
	    {HTTP_STALLED, 200, STALL_MS, true}, /* in the body */
	    {HTTP_STALLED, 401, STALL_MS, true}, /* at its realm */
	    {HTTP_BROKEN_OFF, 0, 0, false},
	    {HTTP_BROKEN_OFF, 0, BREAKER_SLOW_MS - 1, false},
	    {HTTP_BROKEN_OFF, 0, BREAKER_SLOW_MS, true},
	    {HTTP_BROKEN_OFF, 200, BREAKER_SLOW_MS, false},
	    {HTTP_WHOLE, 502, BREAKER_SLOW_MS, true},
	    {HTTP_WHOLE, 503, BREAKER_SLOW_MS, true},
	    {HTTP_STOPPED, 504, BREAKER_SLOW_MS, true},
	    {HTTP_WHOLE, 504, BREAKER_SLOW_MS - 1, false},
	    {HTTP_WHOLE, 500, BREAKER_SLOW_MS, false},
	    {HTTP_WHOLE, 404, BREAKER_SLOW_MS, false},
	    {HTTP_WHOLE, 429, BREAKER_SLOW_MS, false},
	    {HTTP_STOPPED, 206, BREAKER_SLOW_MS, false}, /* of the wrong range, say */
	    {HTTP_REFUSED, 0, BREAKER_SLOW_MS, false},
	    {HTTP_DENIED, 0, BREAKER_SLOW_MS, false},
	    {HTTP_FAILED, 0, BREAKER_SLOW_MS, false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		begin(&c);
		assert_true(ask(&c, 0, false));
		enum breaker_change change = end_with(&c, 0, rows[i].end, rows[i].status, rows[i].lost_ms);
		if (change != (rows[i].opens ? BREAKER_OPENED : BREAKER_SAME) ||
		    c.b.state != (rows[i].opens ? BREAKER_OPEN : BREAKER_CLOSED))
			fail_msg("row %zu: change %d, state %d", i, change, c.b.state);
		assert_null(c.guests[0].breaker);
		finish(&c);
	}
}

/* Ten times what the failure took, within bounds; twice as long after each failed probe. */
static void test_how_long(void **state)
{
	static const struct {
		uint64_t lost_ms;
		uint64_t want_ms[3];
	} rows[] = {
	    {0, {10000, 20000, 40000}},
	    {1000, {10000, 20000, 40000}},
	    {3000, {30000, 60000, 120000}},
	    {30000, {300000, 300000, 300000}},
	    {2 * START_MS, {300000, 300000, 300000}},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		begin(&c);
		for (size_t j = 0; j < 3; j++) {
			assert_true(ask(&c, 0, true));
			assert_int_equal(c.guests[0].probes, j > 0);
			assert_int_equal(end_with(&c, 0, HTTP_STALLED, 0, rows[i].lost_ms),
					 j == 0 ? BREAKER_OPENED : BREAKER_STAYS_OPEN);
			c.now_ms += rows[i].want_ms[j] - 1;
			assert_false(breaker_admits(&c.b, c.now_ms));
			assert_false(ask(&c, 0, true));
			assert_null(c.guests[0].breaker);
			c.now_ms++;
			assert_true(breaker_admits(&c.b, c.now_ms));
		}
		finish(&c);
	}
}

static void test_many_failures(void **state)
{
	struct scene c;
	(void)state;
	begin(&c);
	open_it(&c, BREAKER_OPEN_MAX_MS);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(ask(&c, 0, true));
		assert_int_equal(end_with(&c, 0, HTTP_NO_CONNECTION, 0, 0), BREAKER_STAYS_OPEN);
		assert_true(c.b.until_ms - c.now_ms <= BREAKER_OPEN_MAX_MS);
		c.now_ms += BREAKER_OPEN_MAX_MS;
	}
	finish(&c);
}

/* Requests that ran before it opened change nothing, except by an answer. */
static void test_failures_together_count_once(void **state)
{
	struct scene c;
	(void)state;
	begin(&c);
	for (size_t i = 0; i < 4; i++)
		assert_true(ask(&c, i, false));
	assert_int_equal(stall(&c, 0), BREAKER_OPENED);
	assert_int_equal(stall(&c, 1), BREAKER_SAME);
	assert_int_equal(stall(&c, 2), BREAKER_SAME);
	assert_int_equal(c.b.failures, 1);
	assert_int_equal(answer(&c, 3), BREAKER_RECOVERED);
	assert_int_equal(c.b.state, BREAKER_CLOSED);
	/* Now that it was answered, its failure would count again. */
	c.now_ms += STALL_MS;
	assert_int_equal(end_with(&c, 3, HTTP_STALLED, 200, STALL_MS), BREAKER_OPENED);
	finish(&c);
}

/* While others are answered, a stall is that of one object. */
static void test_stall_of_one_object(void **state)
{
	static const struct {
		uint64_t ago_ms;
		bool opens;
	} rows[] = {{0, false}, {STALL_MS / 2 - 1, false}, {STALL_MS / 2, true}, {STALL_MS, true}};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		begin(&c);
		assert_true(ask(&c, 0, false) && ask(&c, 1, false));
		assert_int_equal(answer(&c, 1), BREAKER_SAME);
		c.now_ms += rows[i].ago_ms;
		assert_int_equal(stall(&c, 0), rows[i].opens ? BREAKER_OPENED : BREAKER_SAME);
		finish(&c);
	}
}

/* Without another source it makes no difference, and each outcome counts. */
static void test_single_source(void **state)
{
	struct scene c;
	(void)state;
	begin(&c);
	open_it(&c, 0);
	assert_true(ask(&c, 0, false) && ask(&c, 1, false) && ask(&c, 2, false));
	assert_false(ask(&c, 3, true));
	assert_int_equal(stall(&c, 0), BREAKER_STAYS_OPEN);
	assert_int_equal(stall(&c, 1), BREAKER_SAME);
	assert_int_equal(answer(&c, 2), BREAKER_RECOVERED);
	assert_true(ask(&c, 3, true));
	finish(&c);
}

/* When its time is over, one of those who have other sources asks, and the others do not. */
static void test_half_open(void **state)
{
	struct scene c;
	(void)state;
	begin(&c);
	open_it(&c, BREAKER_FACTOR * STALL_MS);
	assert_true(ask(&c, 0, true));
	assert_false(ask(&c, 1, true));
	assert_true(ask(&c, 0, true)); /* after a login, say */
	assert_int_equal(c.b.probes, 1);
	c.now_ms += BREAKER_OPEN_MAX_MS;
	assert_false(ask(&c, 1, true));
	assert_int_equal(answer(&c, 0), BREAKER_RECOVERED);
	assert_int_equal(c.b.probes, 0); /* although its request goes on */
	assert_true(ask(&c, 1, true));
	finish(&c);
}

/* A probe without a result: the next one is admitted. */
static void test_probe_without_result(void **state)
{
	struct scene c;
	(void)state;
	begin(&c);
	open_it(&c, BREAKER_FACTOR * STALL_MS);
	assert_true(ask(&c, 0, true));
	admission_end(&c.guests[0]);
	assert_true(ask(&c, 1, true));
	assert_int_equal(end_with(&c, 1, HTTP_BROKEN_OFF, 0, 0), BREAKER_SAME);
	assert_int_equal(c.b.state, BREAKER_OPEN);
	assert_true(ask(&c, 2, true));
	finish(&c);
}

/* A reload closes it. What ran before does not open it again. */
static void test_reload(void **state)
{
	struct scene c;
	(void)state;
	begin(&c);
	open_it(&c, 0);
	assert_true(ask(&c, 0, false));
	breaker_forget(&c.b);
	assert_true(ask(&c, 1, true));
	assert_int_equal(stall(&c, 0), BREAKER_SAME);
	assert_int_equal(c.b.state, BREAKER_CLOSED);
	assert_int_equal(stall(&c, 1), BREAKER_OPENED);
	assert_int_equal(c.b.failures, 1);
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_counts),
	    cmocka_unit_test(test_how_long),
	    cmocka_unit_test(test_many_failures),
	    cmocka_unit_test(test_failures_together_count_once),
	    cmocka_unit_test(test_stall_of_one_object),
	    cmocka_unit_test(test_single_source),
	    cmocka_unit_test(test_half_open),
	    cmocka_unit_test(test_probe_without_result),
	    cmocka_unit_test(test_reload),
	};
	return cmocka_run_group_tests_name("fetchd breaker", tests, NULL, NULL);
}
