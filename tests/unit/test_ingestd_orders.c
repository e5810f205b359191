/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders to fetchd: their content, when they are sent, and when they are sent again.
 */

/* Own */
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_pipe.h"
#include "tests/unit/test_ingestd_disk.h"

/* The code under test */
#include "ingestd/orders.h"

static struct transfers table;
static struct orders *orders;
static struct link *fetchd;

static bool take(void *self, const struct message *m)
{
	(void)self;
	(void)m;
	return false;
}

static void on_hello(void *self, bool is_new)
{
	(void)is_new;
	orders_renew(*(struct orders **)self);
}

static void flush(void *self)
{
	orders_flush(*(struct orders **)self);
}

/* Nothing is sent before it. */
static void say_hello(void)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = 9};
	stage_introduce(&hello);
	stand_in_pipe_put(PIPE_CHUNKS, &hello);
	loop_turn(&stand_in_loop, false);
}

static int orders_set_up(void **state)
{
	static const struct link_hooks hooks = {.take = take, .hello = on_hello, .flush = flush};
	(void)set_up(state);
	table = (struct transfers){0};
	const struct link_env env = {.loop = stand_in_loop_begin(stand_in_pipe_is_ready),
				     .runtime_dir = "",
				     .in = PIPE_CHUNKS,
				     .out = PIPE_ORDERS,
				     .role = LINK_ANSWERS,
				     .incarnation = 7,
				     .peer_name = "fetchd",
				     .refused = COUNT_REFUSED_CHUNKS,
				     .turn_max = 8,
				     .hooks = &hooks,
				     .self = &orders};
	assert_int_equal(orders_new(&table, &orders), 0);
	assert_int_equal(link_new(&env, &fetchd), 0);
	orders_use(orders, fetchd);
	say_hello();
	return 0;
}

static int orders_tear_down(void **state)
{
	transfers_release(&table);
	orders_free(orders);
	link_free(fetchd);
	stand_in_loop_end();
	return tear_down(state);
}

static struct transfer *make_due(const char *ref)
{
	struct transfer *t = transfers_add(&table, NULL, span_str(ref));

	assert_non_null(t);
	t->in = open_ref(ref);
	(void)snprintf(t->in->record.source, SOURCE_MAX, "https://example.test/%s", ref);
	t->in->record.attempt = 3;
	transfer_enter(t, PHASE_ORDER_DUE);
	return t;
}

/* The next message that is not HELLO. */
static bool next(struct message *ret_message)
{
	while (stand_in_pipe_take(PIPE_ORDERS, ret_message))
		if (ret_message->type != MSG_HELLO)
			return true;
	return false;
}

static void test_hello_goes_first(void **state)
{
	struct message m;
	(void)state;
	make_due("r");
	orders_flush(orders);
	assert_true(stand_in_pipe_take(PIPE_ORDERS, &m));
	assert_int_equal(m.type, MSG_HELLO);
	assert_int_equal(m.incarnation, 7);
	assert_true(stand_in_pipe_take(PIPE_ORDERS, &m));
	assert_int_equal(m.type, MSG_FETCH);
}

static void test_fields_of_an_order(void **state)
{
	char want[DIGEST_TEXT_SIZE];
	struct message m;
	(void)state;
	struct transfer *t = make_due("r");
	append(t->in, 0, 1000);
	expect(t->in);
	(void)snprintf(t->in->record.validator, VALIDATOR_MAX, "\"v\"");
	t->in->record.restarts = 1000;
	orders_flush(orders);
	assert_true(next(&m));
	digest_format(&content_digest, want);
	assert_int_equal(m.type, MSG_FETCH);
	assert_true(span_eq(m.ref, span_str("r")));
	assert_true(span_eq(m.source, span_str("https://example.test/r")));
	assert_true(span_eq(m.expected, span_str(want)));
	assert_true(span_eq(m.validator, span_str("\"v\"")));
	assert_int_equal(m.attempt, 3);
	assert_int_equal(m.offset, 1000);
	assert_int_equal(m.size, sizeof(content));
	assert_int_equal(m.restarts, UINT8_MAX);
	assert_int_equal(t->phase, PHASE_ORDERED);
	orders_flush(orders);
	assert_false(next(&m)); /* once */
}

/* A tag may have moved, so it is resolved again, unless the request has a digest. */
static void test_tag_is_resolved_again(void **state)
{
	static const struct {
		const char *name, *source;
		bool resolved, asked, with_digest;
	} rows[] = {
	    {"a tag", "manifest://example.test/a:1", false, false, false},
	    {"a resolved tag", "manifest://example.test/a:1", true, false, true},
	    {"a tag with a requested digest", "manifest://example.test/a:1", false, true, true},
	    {"not a manifest", "https://example.test/a", false, false, true},
	};
	struct message m;
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct transfer *t = make_due("r");
		expect(t->in);
		(void)snprintf(t->in->record.source, SOURCE_MAX, "%s", rows[i].source);
		if (rows[i].resolved)
			transfer_mark(t, MARK_RESOLVED);
		t->has_asked_digest = rows[i].asked;
		orders_flush(orders);
		assert_true(next(&m));
		if ((m.expected.len > 0) != rows[i].with_digest)
			fail_msg("%s: %.*s", rows[i].name, SPAN_ARG(m.expected));
		transfers_remove(&table, t);
	}
}

/* Orders stay pending while the pipe is full. */
static void test_full_pipe(void **state)
{
	char ref[16];
	struct message m;
	unsigned got = 0;
	(void)state;
	for (unsigned i = 0; i < 3 * ROOM_DEFAULT; i++) {
		(void)snprintf(ref, sizeof(ref), "r%u", i);
		make_due(ref);
	}
	orders_flush(orders);
	for (unsigned i = 0; i < 100; i++) {
		while (next(&m))
			got += m.type == MSG_FETCH;
		loop_turn(&stand_in_loop, false);
	}
	assert_int_equal(got, 3 * ROOM_DEFAULT);
	for (size_t i = 0; i < table.len; i++)
		assert_int_equal(table.by_ref[i]->phase, PHASE_ORDERED);
}

/* After a HELLO every order is sent again, and nothing else. */
static void test_orders_are_repeated_after_hello(void **state)
{
	struct message m;
	(void)state;
	struct transfer *ordered = make_due("ordered"), *halted = make_due("halted"), *queued = make_due("queued");
	orders_flush(orders);
	while (next(&m))
		;
	transfer_enter(halted, PHASE_HALTED);
	transfer_enter(queued, PHASE_QUEUED);
	say_hello();
	assert_true(next(&m));
	assert_int_equal(m.type, MSG_FETCH);
	assert_true(span_eq(m.ref, span_str("ordered")));
	assert_int_equal(m.attempt, 3);
	assert_false(next(&m));
	assert_int_equal(ordered->phase, PHASE_ORDERED);
}

static void test_cancel(void **state)
{
	struct message m;
	(void)state;
	orders_cancel(orders, span_str("r"), 5);
	assert_true(next(&m));
	assert_int_equal(m.type, MSG_CANCEL);
	assert_int_equal(m.attempt, 5);
	orders_use(orders, NULL); /* without a link the cancel is lost, and an order stays pending */
	orders_cancel(orders, span_str("r"), 6);
	struct transfer *t = make_due("r");
	orders_flush(orders);
	assert_false(next(&m));
	assert_int_equal(t->phase, PHASE_ORDER_DUE);
}

#define ORDERS_TEST(f) cmocka_unit_test_setup_teardown(f, orders_set_up, orders_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ORDERS_TEST(test_hello_goes_first),
	    ORDERS_TEST(test_fields_of_an_order),
	    ORDERS_TEST(test_tag_is_resolved_again),
	    ORDERS_TEST(test_full_pipe),
	    ORDERS_TEST(test_orders_are_repeated_after_hello),
	    ORDERS_TEST(test_cancel),
	};
	return cmocka_run_group_tests_name("ingestd orders", tests, NULL, NULL);
}
