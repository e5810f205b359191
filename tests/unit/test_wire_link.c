/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends of a link in one process, over real pipes. They connect whichever is first, and again after each restart and
 * broken connection. Turns, backlog and refusals lose nothing.
 */

/* Own */
#include "tests/unit/unit_dir.h"
#include "tests/unit/unit_turn.h"

/* System */
#include <poll.h>

/* Base */
#include "common/base/clock.h"

/* The code under test */
#include "common/wire/link.h"

#define CROWD       (2 * (LINK_PEERS_MAX + 1))
#define PATIENCE_MS 20000
#define TICK_MS     10
#define TURN_MAX    4

struct end {
	struct link *link;
	unsigned hellos, new_ones, flushes, lost, turns;
	unsigned taken, taken_in_turn, most_in_turn;
	unsigned due;      /* messages to send at the next flush */
	unsigned pause_at; /* pause after this many */
	uint64_t last;     /* attempt of the last one received */
};

static struct loop *loop;
static struct end caller, answerer;

static bool on_take(void *self, const struct message *m)
{
	struct end *e = self;
	if (m->type == MSG_BEAT)
		return true;
	if (m->type != MSG_CANCEL)
		return false;
	assert_int_equal(m->attempt, e->last + 1);
	e->last = m->attempt;
	e->taken++;
	if (++e->taken_in_turn > e->most_in_turn)
		e->most_in_turn = e->taken_in_turn;
	if (e->taken == e->pause_at)
		link_pause(e->link);
	return true;
}

static void on_hello(void *self, bool is_new)
{
	struct end *e = self;
	e->hellos++;
	e->new_ones += is_new;
}

static int send_one(struct end *e, uint64_t attempt)
{
	const struct message m = {.type = MSG_CANCEL, .ref = span_str("r"), .attempt = attempt};
	return link_send(e->link, &m);
}

/* Whether it was greeted: before that the calling end sends nothing. The other end takes such a message and ignores it. */
static bool is_greeted(struct end *e)
{
	const struct message m = {.type = MSG_BEAT, .ref = span_str("r"), .attempt = 1};
	return link_send(e->link, &m) == 0;
}

static uint64_t sent;

static void on_flush(void *self)
{
	struct end *e = self;
	e->flushes++;
	while (e->due > 0 && send_one(e, sent + 1) == 0) {
		e->due--;
		sent++;
	}
}

static void on_lost(void *self)
{
	struct end *e = self;
	e->lost++;
}

static void on_turn(void *self)
{
	struct end *e = self;
	e->turns++;
	e->taken_in_turn = 0;
}

static const struct link_hooks hooks = {
    .take = on_take, .hello = on_hello, .flush = on_flush, .lost = on_lost, .turn = on_turn};

static void end_open(struct end *e, enum link_role role, uint64_t incarnation)
{
	*e = (struct end){0};
	const struct link_env env = {
	    .loop = loop,
	    .runtime_dir = dir.path,
	    .in = role == LINK_CALLS ? PIPE_ORDERS : PIPE_CHUNKS,
	    .out = role == LINK_CALLS ? PIPE_CHUNKS : PIPE_ORDERS,
	    .role = role,
	    .incarnation = incarnation,
	    .peer_name = "the other end",
	    .refused = COUNT_REFUSED_ORDERS,
	    .turn_max = TURN_MAX,
	    .hooks = &hooks,
	    .self = e,
	};
	assert_int_equal(link_new(&env, &e->link), 0);
}

static void end_close(struct end *e)
{
	link_free(e->link);
	e->link = NULL;
}

static int setup(void **state)
{
	sent = 0;
	(void)unit_dir_set_up(state);
	return loop_new(&loop);
}

static int teardown(void **state)
{
	end_close(&caller);
	end_close(&answerer);
	loop_free(loop);
	return unit_dir_tear_down(state);
}

#define turn_until(condition) unit_turn_until(loop, true, PATIENCE_MS, condition)

static void both_open(void)
{
	end_open(&answerer, LINK_ANSWERS, 7);
	end_open(&caller, LINK_CALLS, 5);
	/* The answering end need not be: it may have answered the caller's first HELLO, which named nobody yet. */
	turn_until(is_greeted(&caller));
	assert_int_equal(link_peer(caller.link), 7);
	assert_int_equal(link_peer(answerer.link), 5);
}

static void test_ends_connect(void **state)
{
	(void)state;
	both_open();
	assert_int_equal(link_restarts(caller.link), 0);
	assert_int_equal(caller.new_ones, 1);
	assert_int_equal(answerer.new_ones, 1);
	assert_int_equal(link_peers_in(caller.link), 1);
	assert_int_equal(link_peers_out(answerer.link), 1);
}

/* Either end may start first. */
static void test_start_in_either_order(void **state)
{
	(void)state;
	end_open(&caller, LINK_CALLS, 5);
	assert_int_equal(send_one(&caller, 1), -EAGAIN);
	loop_turn(loop, false);
	end_open(&answerer, LINK_ANSWERS, 7);
	turn_until(is_greeted(&caller));
}

static void test_a_new_caller(void **state)
{
	(void)state;
	both_open();
	end_close(&caller);
	end_open(&caller, LINK_CALLS, 6);
	turn_until(is_greeted(&caller));
	assert_int_equal(link_peer(answerer.link), 6);
	assert_int_equal(answerer.new_ones, 2);
	assert_int_equal(link_restarts(answerer.link), 1);
}

/* The remaining end notices the broken connection, calls, and connects to the new one. */
static void test_a_new_answerer(void **state)
{
	struct pipe *silent;
	(void)state;
	both_open();
	end_close(&answerer);
	turn_until(caller.lost == 1);
	/* Somebody else receives from it now, so it could send. */
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PULL, &silent), 0);
	turn_until(link_peers_out(caller.link) == 1);
	assert_false(is_greeted(&caller));
	pipe_close(silent);
	turn_until(link_peers_out(caller.link) == 0);
	end_open(&answerer, LINK_ANSWERS, 8);
	turn_until(is_greeted(&caller));
	assert_int_equal(link_peer(caller.link), 8);
	assert_int_equal(link_restarts(caller.link), 1);
	assert_int_equal(caller.lost, 1);
}

/* Messages without a peer are sent in order when it connects, after the answer. */
static void test_backlog(void **state)
{
	(void)state;
	end_open(&answerer, LINK_ANSWERS, 7);
	answerer.due = 100;
	on_flush(&answerer);
	assert_int_equal(answerer.due, 100);
	end_open(&caller, LINK_CALLS, 5);
	turn_until(caller.taken == 100);
	assert_true(caller.hellos > 0);
	assert_int_equal(answerer.due, 0);
	assert_true(caller.most_in_turn <= TURN_MAX);
	assert_true(caller.turns >= 100 / TURN_MAX);
}

static void test_pause(void **state)
{
	(void)state;
	both_open();
	caller.pause_at = 10;
	answerer.due = 30;
	on_flush(&answerer);
	turn_until(caller.taken == 10);
	for (int i = 0; i < 20; i++)
		loop_turn(loop, false);
	assert_int_equal(caller.taken, 10);
	link_resume(caller.link);
	turn_until(caller.taken == 30);
}

/* Invalid and unexpected messages are counted, and the others are delivered. */
static void test_refusals(void **state)
{
	const struct message wrong = {.type = MSG_OK}, other = {.type = MSG_STATUS, .ref = span_str("r")};
	uint64_t before = counter_values[COUNT_REFUSED_ORDERS];
	(void)state;
	both_open();
	assert_int_equal(link_send(answerer.link, &wrong), 0);
	assert_int_equal(link_send(answerer.link, &other), 0);
	answerer.due = 1;
	on_flush(&answerer);
	turn_until(caller.taken == 1);
	assert_int_equal(counter_values[COUNT_REFUSED_ORDERS] - before, 2);
	link_refuse(caller.link, "no reason");
	assert_int_equal(counter_values[COUNT_REFUSED_ORDERS] - before, 3);
}

/* The other end has lost the connection and sends HELLO again. It is answered. */
static void test_hello_again(void **state)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = 5, .peer = 7};
	(void)state;
	both_open();
	stage_introduce(&hello);
	unsigned hellos = answerer.hellos, turns = caller.turns;
	assert_int_equal(link_send(caller.link, &hello), 0);
	turn_until(answerer.hellos > hellos && caller.turns > turns);
	assert_int_equal(answerer.new_ones, 1);
	assert_true(answerer.flushes > 0);
}

/* A slow end answers each HELLO. Messages sent after the first answer are not sent again after the others. */
static void test_late_answers(void **state)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = 7, .peer = 5};
	(void)state;
	both_open();
	stage_introduce(&hello);
	answerer.due = 1;
	unsigned hellos = caller.hellos;
	for (int i = 0; i < 3; i++)
		assert_int_equal(link_send(answerer.link, &hello), 0);
	on_flush(&answerer);
	turn_until(caller.taken == 1);
	assert_int_equal(caller.hellos, hellos);
}

/* Wait until the pipe would send, without a turn of the loop. */
static void wait_to_send(const struct pipe *p)
{
	struct pollfd can_send = {.fd = pipe_send_fd(p), .events = POLLIN};
	assert_int_equal(poll(&can_send, 1, PATIENCE_MS), 1);
}

/* Nothing is sent before HELLO is answered, because it would be sent again after the answer. */
static void test_nothing_is_sent_before_hello_is_answered(void **state)
{
	(void)state;
	end_open(&answerer, LINK_ANSWERS, 7);
	end_open(&caller, LINK_CALLS, 5);
	wait_to_send(link_out(caller.link));
	caller.due = 1;
	on_flush(&caller);
	assert_int_equal(caller.due, 1);
	turn_until(answerer.taken == 1);
	assert_true(is_greeted(&caller));
	assert_true(caller.hellos <= 2); /* the one at start, unless the answer came first, and the answer */
}

static void say_hello(uint8_t lowest, uint8_t highest)
{
	const struct message hello = {.type = MSG_HELLO,
				      .protocol = highest,
				      .incarnation = 99,
				      .peer = 7,
				      .lowest = lowest,
				      .highest = highest,
				      .version = span_str("9.9")};
	assert_int_equal(link_send(caller.link, &hello), 0);
}

/* An end that also speaks our version is a peer. Another one is refused, and told our version. */
static void test_versions(void **state)
{
	uint64_t before = counter_values[COUNT_REFUSED_ORDERS];
	(void)state;
	both_open();
	assert_null(link_stranger(answerer.link));
	unsigned turns = caller.turns;
	say_hello(WIRE_VERSION + 1, WIRE_VERSION + 3);
	turn_until(counter_values[COUNT_REFUSED_ORDERS] > before);
	turn_until(caller.turns > turns);
	assert_int_equal(link_peer(answerer.link), 5);
	assert_non_null(strstr(link_stranger(answerer.link), "the other end 9.9 speaks protocol 3 to 5, this side"));
	say_hello(WIRE_VERSION, WIRE_VERSION + 1);
	turn_until(link_peer(answerer.link) == 99);
	assert_int_equal(counter_values[COUNT_REFUSED_ORDERS], before + 1);
	assert_null(link_stranger(answerer.link));
}

/* Frames of an earlier version are read, but a peer of one is not. */
static void test_message_of_an_earlier_version(void **state)
{
	uint64_t before = counter_values[COUNT_REFUSED_ORDERS];
	(void)state;
	both_open();
	pipe_speak(link_out(answerer.link), WIRE_TALK_MIN - 1);
	assert_int_equal(send_one(&answerer, 1), 0);
	turn_until(counter_values[COUNT_REFUSED_ORDERS] > before);
	pipe_speak(link_out(answerer.link), WIRE_TALK_MIN);
	assert_int_equal(send_one(&answerer, 1), 0);
	turn_until(caller.taken == 1);
}

/* Which versions a peer understands is not known before its HELLO, and a stranger's does not count. */
static void test_nothing_is_sent_to_who_was_not_heard(void **state)
{
	const struct message hello = {.type = MSG_HELLO,
				      .incarnation = 99,
				      .lowest = WIRE_VERSION + 1,
				      .highest = WIRE_VERSION + 1,
				      .version = span_str("9.9")};
	struct pipe *chunks, *orders;
	struct message m;
	(void)state;
	end_open(&answerer, LINK_ANSWERS, 7);
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PUSH, &chunks), 0);
	assert_int_equal(pipe_open(dir.path, PIPE_ORDERS, PIPE_PULL, &orders), 0);
	turn_until(link_peers_out(answerer.link) == 1 && link_peers_in(answerer.link) == 1);
	answerer.due = 1;
	on_flush(&answerer);
	wait_to_send(chunks); /* its peer knows of it earlier */
	assert_int_equal(pipe_send(chunks, &hello), 0);
	turn_until(link_stranger(answerer.link) != NULL);
	on_flush(&answerer);
	assert_int_equal(answerer.due, 1);
	while (pipe_receive(orders, &m, NULL) == 0)
		assert_int_equal(m.type, MSG_HELLO);
	pipe_close(chunks);
	pipe_close(orders);
	turn_until(link_stranger(answerer.link) == NULL); /* it is gone */
}

/* Two ends without a common version do not answer each other for ever: the caller only calls. */
static void test_caller_does_not_answer_a_stranger(void **state)
{
	const struct message hello = {.type = MSG_HELLO,
				      .incarnation = 99,
				      .lowest = WIRE_VERSION + 1,
				      .highest = WIRE_VERSION + 1,
				      .version = span_str("9.9")};
	uint64_t before = counter_values[COUNT_REFUSED_ORDERS], calls = 0, begin_ms = clock_mono_ms();
	struct pipe *chunks, *orders;
	struct message m;
	(void)state;
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PULL, &chunks), 0);
	assert_int_equal(pipe_open(dir.path, PIPE_ORDERS, PIPE_PUSH, &orders), 0);
	end_open(&caller, LINK_CALLS, 5);
	for (unsigned i = 1; i <= 100; i++) {
		while (pipe_send(orders, &hello) == -EAGAIN)
			loop_turn(loop, true);
		turn_until(counter_values[COUNT_REFUSED_ORDERS] == before + i);
	}
	while (pipe_receive(chunks, &m, NULL) == 0)
		calls++;
	assert_true(calls <= 2 + (clock_mono_ms() - begin_ms) / HELLO_AGAIN_MS);
	assert_int_equal(link_peer(caller.link), 0);
	pipe_close(chunks);
	pipe_close(orders);
}

static void on_tick(void *self)
{
	(void)self;
}

/* Connections alone do not wake the loop. */
static void keep_turning(struct loop_timer *tick)
{
	loop_timer_init(tick, loop, on_tick, NULL);
	loop_timer_every(tick, TICK_MS, TICK_MS);
}

/* Whoever connects often loses all connections, once the loop turns; the peer calls again. */
static void test_crowd(void **state)
{
	struct pipe *crowd[CROWD];
	struct loop_timer tick;
	(void)state;
	both_open();
	keep_turning(&tick);
	for (size_t i = 0; i < CROWD; i++)
		assert_int_equal(pipe_open(dir.path, i % 2 == 0 ? PIPE_CHUNKS : PIPE_ORDERS,
					   i % 2 == 0 ? PIPE_PUSH : PIPE_PULL, &crowd[i]),
				 0);
	turn_until(caller.lost > 0);
	for (size_t i = 0; i < CROWD; i++)
		pipe_close(crowd[i]);
	turn_until(is_greeted(&caller) && link_peers_in(answerer.link) == 1 && link_peers_out(answerer.link) == 1);
	assert_int_equal(caller.new_ones, 1);
	assert_int_equal(send_one(&answerer, 1), 0);
	turn_until(caller.taken == 1);
	loop_timer_stop(&tick);
}

/* As many as a peer and its predecessors may have are left alone. */
static void test_no_crowd(void **state)
{
	struct pipe *few[LINK_PEERS_MAX - 1];
	struct loop_timer tick;
	(void)state;
	both_open();
	keep_turning(&tick);
	for (size_t i = 0; i < LINK_PEERS_MAX - 1; i++)
		assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PUSH, &few[i]), 0);
	turn_until(link_peers_in(answerer.link) == LINK_PEERS_MAX);
	assert_int_equal(send_one(&caller, 1), 0);
	turn_until(answerer.taken == 1);
	assert_int_equal(caller.lost, 0);
	for (size_t i = 0; i < LINK_PEERS_MAX - 1; i++)
		pipe_close(few[i]);
	loop_timer_stop(&tick);
}

static void test_failure(void **state)
{
	struct link_env env = {.runtime_dir = "/nowhere", .in = PIPE_CHUNKS, .out = PIPE_ORDERS};
	struct link *l = NULL;
	(void)state;
	env.loop = loop;
	assert_true(link_new(&env, &l) < 0);
	assert_null(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_ends_connect, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_start_in_either_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_new_caller, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_new_answerer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hello_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_late_answers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nothing_is_sent_before_hello_is_answered, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_message_of_an_earlier_version, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nothing_is_sent_to_who_was_not_heard, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_caller_does_not_answer_a_stranger, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_crowd, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
	};
	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
