/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads: every job runs and completes, in order with one thread. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <pthread.h>
#include <signal.h>

/* Base */
#include "common/base/loop.h"

/* The code under test */
#include "common/base/workers.h"

#define JOBS 1000

struct job {
	struct work work;
	int number;
	pthread_t ran_on;
	bool signals_blocked;
};

static struct loop *loop;
static struct workers *pool;
static struct job jobs[JOBS];
static int order[2 * JOBS];
static int done_count;

static void run(struct work *w)
{
	struct job *j = (struct job *)w;
	sigset_t set;
	(void)pthread_sigmask(SIG_BLOCK, NULL, &set);
	j->signals_blocked = sigismember(&set, SIGTERM) == 1;
	j->ran_on = pthread_self();
}

static void done(struct work *w)
{
	const struct job *j = (const struct job *)w;
	assert_false(pthread_equal(j->ran_on, pthread_self()));
	assert_true(j->signals_blocked);
	order[done_count++] = j->number;
	if (done_count == JOBS)
		loop_break(loop);
}

static int setup(void **state)
{
	(void)state;
	done_count = 0;
	memset(jobs, 0, sizeof(jobs));
	return loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void submit_all(void)
{
	for (int i = 0; i < JOBS; i++) {
		jobs[i] = (struct job){.work = {.run = run, .done = done}, .number = i};
		workers_submit(pool, &jobs[i].work);
	}
}

static void test_through_the_loop(void **state)
{
	static const unsigned rows[] = {1, 2, 8};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		done_count = 0;
		assert_int_equal(workers_new(loop, rows[i], &pool), 0);
		submit_all();
		loop_run(loop);
		assert_int_equal(done_count, JOBS);
		for (int n = 0; rows[i] == 1 && n < JOBS; n++)
			assert_int_equal(order[n], n);
		workers_free(pool);
	}
}

/* A pool that is freed first runs and completes all jobs. */
static void test_free_waits(void **state)
{
	(void)state;
	assert_int_equal(workers_new(loop, 2, &pool), 0);
	submit_all();
	workers_free(pool);
	assert_int_equal(done_count, JOBS);
	workers_free(NULL);
}

static void done_again(struct work *w)
{
	struct job *j = (struct job *)w;
	order[done_count++] = j->number;
	if (j->number++ < 5)
		workers_submit(pool, w);
}

/* A job that is submitted again by its own `done`, also while the pool ends. */
static void test_submit_from_done(void **state)
{
	(void)state;
	assert_int_equal(workers_new(loop, 1, &pool), 0);
	jobs[0] = (struct job){.work = {.run = run, .done = done_again}};
	workers_submit(pool, &jobs[0].work);
	workers_free(pool);
	assert_int_equal(done_count, 6);
	assert_int_equal(order[5], 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_through_the_loop, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_free_waits, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_submit_from_done, setup, teardown),
	};
	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
