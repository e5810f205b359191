/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for blocking calls (syncs, renames, read-backs), so that an event loop never blocks. A job is a struct that
 * the caller embeds in its own; it belongs to the pool from submit until `done` is called, and `done` runs on the loop.
 */
#ifndef SLUICE_BASE_WORKERS_H
#define SLUICE_BASE_WORKERS_H

#include <sys/queue.h>

struct loop;
struct workers;

struct work {
	void (*run)(
	    struct work *w); /* on a worker thread; may block; touches nothing that the loop touches meanwhile */
	void (*done)(struct work *w); /* on the loop, once, after run */
	STAILQ_ENTRY(work) link;      /* the pool's */
};

/* `threads` is 1 or more; one thread keeps jobs in order. 0 or -errno. Freed by workers_free. */
int workers_new(struct loop *loop, unsigned threads, struct workers **ret_workers);

/*
 * The same, of threads that get the processor and the disk only when nobody else wants them (SCHED_IDLE, and the idle class
 * of I/O). Where a sandbox does not allow that they are like others.
 */
int workers_new_idle(struct loop *loop, unsigned threads, struct workers **ret_workers);

void workers_submit(struct workers *ws, struct work *w);

/* Wait for all jobs, call their `done`, end the threads. NULL is fine. Blocks. */
void workers_free(struct workers *ws);

#endif
