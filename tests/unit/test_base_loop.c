/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: timers that are never early, descriptors, threads, signals, children, and the end of a turn. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

/* Base */
#include "common/base/clock.h"

/* The code under test */
#include "common/base/loop.h"

static struct loop *loop;
static unsigned calls;

static int setup(void **state)
{
	(void)state;
	calls = 0;
	return loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void count(void *self)
{
	(void)self;
	calls++;
}

static void end(void *self)
{
	count(self);
	loop_break(loop);
}

/* ── timers ── */

static void test_timer_is_never_early(void **state)
{
	static const uint64_t rows[] = {0, 1, 2, 7, 30};
	struct loop_timer t;
	(void)state;
	loop_timer_init(&t, loop, end, NULL);
	for (size_t i = 0; i < LEN(rows); i++) {
		clock_pause(5); /* without the loop's knowledge */
		uint64_t from_ms = clock_mono_ms();
		loop_timer_set(&t, rows[i]);
		assert_true(loop_timer_is_set(&t));
		loop_run(loop);
		assert_true(clock_mono_ms() - from_ms >= rows[i]);
		assert_false(loop_timer_is_set(&t));
		assert_int_equal(calls, i + 1);
	}
}

static void test_timer_set_again_replaces(void **state)
{
	struct loop_timer early, late;
	(void)state;
	loop_timer_init(&early, loop, count, NULL);
	loop_timer_init(&late, loop, end, NULL);
	loop_timer_set(&early, 1);
	loop_timer_set(&early, 100000);
	loop_timer_set(&late, 100000);
	loop_timer_set(&late, 10);
	loop_run(loop);
	assert_int_equal(calls, 1);
	assert_true(loop_timer_is_set(&early));
	loop_timer_stop(&early);
	assert_false(loop_timer_is_set(&early));
}

struct ticker {
	struct loop_timer timer;
	uint64_t at_ms[4];
	unsigned len;
};

static void on_tick(void *self)
{
	struct ticker *k = self;
	assert_true(loop_timer_is_set(&k->timer));
	k->at_ms[k->len++] = clock_mono_ms();
	if (k->len == LEN(k->at_ms))
		loop_timer_stop(&k->timer);
}

/* First, then at each interval. It stops itself in its callback; then nothing is watched and the loop returns. */
static void test_timer_every(void **state)
{
	struct ticker k = {.len = 0};
	(void)state;
	loop_timer_init(&k.timer, loop, on_tick, &k);
	uint64_t from_ms = clock_mono_ms();
	loop_timer_every(&k.timer, 0, 10);
	loop_run(loop);
	assert_int_equal(k.len, LEN(k.at_ms));
	assert_true(k.at_ms[0] - from_ms < 1000);
	assert_true(k.at_ms[k.len - 1] - from_ms >= 30);
}

/* Everything may be stopped without having been started. */
static void test_stop_what_was_not_started(void **state)
{
	struct loop_timer t = {0};
	struct loop_io io = {0};
	struct loop_wake wake = {0};
	struct loop_hook hook = {0};
	struct loop_signal sig = {0};
	struct loop_child child = {0};
	(void)state;
	assert_false(loop_timer_is_set(&t));
	for (int i = 0; i < 2; i++) {
		loop_timer_stop(&t);
		loop_io_stop(&io);
		loop_wake_stop(&wake);
		loop_hook_stop(&hook);
		loop_signal_stop(&sig);
		loop_child_stop(&child);
		loop_timer_init(&t, loop, count, NULL);
		loop_io_init(&io, loop, NULL, NULL);
	}
	loop_run(loop);
	loop_free(NULL);
}

/* ── descriptors ── */

struct reader {
	struct loop_io io;
	int fd;
	unsigned events;
};

static void on_ready(void *self, unsigned events)
{
	struct reader *r = self;
	r->events = events;
	calls++;
}

static void test_descriptors(void **state)
{
	int ends[2];
	struct reader r = {0}, w = {0};
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	loop_io_init(&r.io, loop, on_ready, &r);
	loop_io_watch(&r.io, ends[0], LOOP_READ);
	loop_turn(loop, false);
	assert_int_equal(calls, 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	/* Level-triggered. */
	for (unsigned i = 1; i <= 3; i++) {
		loop_turn(loop, true);
		assert_int_equal(calls, i);
		assert_int_equal(r.events, LOOP_READ);
		loop_io_watch(&r.io, ends[0], LOOP_READ);
	}
	loop_io_stop(&r.io);
	loop_io_init(&w.io, loop, on_ready, &w);
	loop_io_watch(&w.io, ends[1], LOOP_WRITE);
	loop_turn(loop, true);
	assert_int_equal(calls, 4);
	assert_int_equal(w.events, LOOP_WRITE);
	/* Another descriptor in the same watcher. */
	loop_io_watch(&w.io, ends[0], LOOP_READ);
	loop_turn(loop, true);
	assert_int_equal(w.events, LOOP_READ);
	loop_io_stop(&w.io);
	loop_run(loop);
	assert_int_equal(calls, 5);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* ── threads ── */

static void *send_wake(void *arg)
{
	clock_pause(10);
	loop_wake_send(arg);
	return NULL;
}

static void test_wake(void **state)
{
	struct loop_wake w;
	pthread_t thread;
	(void)state;
	loop_wake_start(&w, loop, end, NULL);
	assert_int_equal(pthread_create(&thread, NULL, send_wake, &w), 0);
	loop_run(loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(calls, 1);
	/* A wake-up that was sent before the loop ran. */
	loop_wake_send(&w);
	loop_run(loop);
	assert_int_equal(calls, 2);
	loop_wake_stop(&w);
}

/* ── the end of a turn ── */

struct draining {
	struct loop_hook hook;
	struct loop_timer timer;
	bool due;
	unsigned drained;
};

static void on_due(void *self)
{
	struct draining *d = self;
	d->due = true;
}

static void drain(void *self)
{
	struct draining *d = self;
	if (!d->due)
		return;
	d->due = false;
	if (++d->drained == 3)
		loop_break(loop);
	else
		loop_timer_set(&d->timer, 0);
}

/* Work deferred by a callback runs before the loop sleeps, and a timer that the hook sets can be due at once. */
static void test_hook(void **state)
{
	struct draining d = {0};
	(void)state;
	loop_timer_init(&d.timer, loop, on_due, &d);
	loop_hook_start(&d.hook, loop, drain, &d);
	loop_timer_set(&d.timer, 0);
	loop_run(loop);
	assert_int_equal(d.drained, 3);
	loop_hook_stop(&d.hook);
}

/* ── signals and children ── */

static void on_signal(void *self, int signum)
{
	*(int *)self = signum;
	loop_break(loop);
}

static void test_signals(void **state)
{
	struct loop_signal one, other;
	int caught = 0;
	(void)state;
	loop_signal_start(&one, loop, SIGUSR1, on_signal, &caught);
	loop_signal_start(&other, loop, SIGUSR2, on_signal, &caught);
	assert_int_equal(raise(SIGUSR2), 0);
	loop_run(loop);
	assert_int_equal(caught, SIGUSR2);
	assert_int_equal(raise(SIGUSR1), 0);
	loop_run(loop);
	assert_int_equal(caught, SIGUSR1);
	loop_signal_stop(&one);
	loop_signal_stop(&other);
}

static void on_ended(void *self, int wait_status)
{
	*(int *)self = wait_status;
	loop_break(loop);
}

static void test_child(void **state)
{
	struct loop_child c;
	int status = -1;
	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(3);
	loop_child_start(&c, loop, pid, on_ended, &status);
	loop_run(loop);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
	loop_child_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_timer_is_never_early, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_timer_set_again_replaces, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_timer_every, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stop_what_was_not_started, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_wake, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hook, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_child, setup, teardown),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
