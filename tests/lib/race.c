/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A race that check-tsan must find: a job reads in its thread what the loop writes. ThreadSanitizer must report it, or
 * it would not report ours either.
 */

/* System */
#include <stdatomic.h>

/* Base */
#include "common/base/loop.h"
#include "common/base/workers.h"

struct job {
	struct work work; /* first, so that a job is found from it */
	unsigned offset;  /* written by the loop */
	unsigned seen;
	/* Makes both sides run at the same time without ordering them, because these are relaxed. */
	atomic_bool reads, is_over;
};

static void run(struct work *w)
{
	struct job *j = (struct job *)w;

	atomic_store_explicit(&j->reads, true, memory_order_relaxed);
	do {
		j->seen += j->offset; /* at least once, even if the loop is over already */
	} while (!atomic_load_explicit(&j->is_over, memory_order_relaxed));
}

static void done(struct work *w)
{
	(void)w;
}

int main(void)
{
	struct job j = {.work = {.run = run, .done = done}};
	struct loop *loop;
	struct workers *workers;

	if (loop_new(&loop) < 0 || workers_new(loop, 1, &workers) < 0)
		return 1;
	workers_submit(workers, &j.work);
	while (!atomic_load_explicit(&j.reads, memory_order_relaxed))
		;
	j.offset++;
	atomic_store_explicit(&j.is_over, true, memory_order_relaxed);
	workers_free(workers);
	loop_free(loop);
	return 0;
}
