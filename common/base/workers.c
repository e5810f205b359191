/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/workers.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Base */
#include "common/base/loop.h"

STAILQ_HEAD(work_queue, work);

struct workers {
	struct loop_wake wake; /* from a worker to the loop: a job has finished */
	size_t pending;        /* submitted and not yet done; used only by the loop */

	pthread_mutex_t mutex; /* protects everything below */
	pthread_cond_t filled;
	pthread_cond_t drained;
	struct work_queue waiting;
	struct work_queue finished;
	bool ending;
	bool is_idle; /* its threads yield to all others; set before they start */

	unsigned threads_len;
	pthread_t threads[];
};

/* The first of a queue, taken out of it; or NULL. */
static struct work *queue_take(struct work_queue *q)
{
	struct work *w = STAILQ_FIRST(q);
	if (w)
		STAILQ_REMOVE_HEAD(q, link);
	return w;
}

/* The calling thread, for good. */
static void become_idle(void)
{
	const struct sched_param none = {.sched_priority = 0};
	(void)sched_setscheduler(0, SCHED_IDLE, &none);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static void *worker_main(void *arg)
{
	struct workers *ws = arg;
	if (ws->is_idle)
		become_idle();
	(void)pthread_mutex_lock(&ws->mutex);
	for (;;) {
		struct work *w = queue_take(&ws->waiting);
		if (!w && ws->ending)
			break;
		if (!w) {
			(void)pthread_cond_wait(&ws->filled, &ws->mutex);
			continue;
		}
		(void)pthread_mutex_unlock(&ws->mutex);
		w->run(w);
		(void)pthread_mutex_lock(&ws->mutex);
		STAILQ_INSERT_TAIL(&ws->finished, w, link);
		(void)pthread_cond_signal(&ws->drained);
		loop_wake_send(&ws->wake);
	}
	(void)pthread_mutex_unlock(&ws->mutex);
	return NULL;
}

static struct work *finished_take(struct workers *ws, bool wait)
{
	(void)pthread_mutex_lock(&ws->mutex);
	while (wait && STAILQ_EMPTY(&ws->finished))
		(void)pthread_cond_wait(&ws->drained, &ws->mutex);
	struct work *w = queue_take(&ws->finished);
	(void)pthread_mutex_unlock(&ws->mutex);
	return w;
}

static void on_wake(void *self)
{
	struct workers *ws = self;
	struct work *w;
	while ((w = finished_take(ws, false))) {
		ws->pending--;
		w->done(w);
	}
}

static void threads_end(struct workers *ws)
{
	(void)pthread_mutex_lock(&ws->mutex);
	ws->ending = true;
	(void)pthread_cond_broadcast(&ws->filled);
	(void)pthread_mutex_unlock(&ws->mutex);
	for (unsigned i = 0; i < ws->threads_len; i++)
		(void)pthread_join(ws->threads[i], NULL);
}

static void workers_release(struct workers *ws)
{
	threads_end(ws);
	loop_wake_stop(&ws->wake);
	(void)pthread_cond_destroy(&ws->drained);
	(void)pthread_cond_destroy(&ws->filled);
	(void)pthread_mutex_destroy(&ws->mutex);
	free(ws);
}

/* With all signals blocked, so that they go to the thread that has the loop. */
static int threads_start(struct workers *ws, unsigned threads)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = 0;
	while (r == 0 && ws->threads_len < threads) {
		r = -pthread_create(&ws->threads[ws->threads_len], NULL, worker_main, ws);
		if (r == 0)
			ws->threads_len++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static int pool_new(struct loop *loop, unsigned threads, bool is_idle, struct workers **ret_workers)
{
	assert(threads > 0);
	struct workers *ws = calloc(1, sizeof *ws + threads * sizeof ws->threads[0]);
	if (!ws)
		return -ENOMEM;
	ws->is_idle = is_idle;
	STAILQ_INIT(&ws->waiting);
	STAILQ_INIT(&ws->finished);
	(void)pthread_mutex_init(&ws->mutex, NULL);
	(void)pthread_cond_init(&ws->filled, NULL);
	(void)pthread_cond_init(&ws->drained, NULL);
	loop_wake_start(&ws->wake, loop, on_wake, ws);
	int r = threads_start(ws, threads);
	if (r < 0) {
		workers_release(ws);
		return r;
	}
	*ret_workers = ws;
	return 0;
}

int workers_new(struct loop *loop, unsigned threads, struct workers **ret_workers)
{
	return pool_new(loop, threads, false, ret_workers);
}

int workers_new_idle(struct loop *loop, unsigned threads, struct workers **ret_workers)
{
	return pool_new(loop, threads, true, ret_workers);
}

void workers_submit(struct workers *ws, struct work *w)
{
	ws->pending++;
	(void)pthread_mutex_lock(&ws->mutex);
	STAILQ_INSERT_TAIL(&ws->waiting, w, link);
	(void)pthread_cond_signal(&ws->filled);
	(void)pthread_mutex_unlock(&ws->mutex);
}

void workers_free(struct workers *ws)
{
	if (!ws)
		return;
	while (ws->pending > 0) {
		struct work *w = finished_take(ws, true);
		ws->pending--;
		w->done(w);
	}
	workers_release(ws);
}
