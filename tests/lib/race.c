/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A race of the kind that check-tsan looks for: a job reads on its thread what the loop writes meanwhile. ThreadSanitizer
 * has to report it, or it would report nothing of ours.
 */

/* System */
#include <stdatomic.h>

/* Base */
#include "common/base/loop.h"
#include "common/base/workers.h"

struct job {
	struct work work; /* first: a job leads back from it */
	unsigned offset;  /* the loop's */
	unsigned seen;
	/* Both sides are there at once, and nothing orders what they do: relaxed, these order nothing either. */
	atomic_bool reads, is_over;
};

static void run(struct work *w)
{
	struct job *j = (struct job *)w;

	atomic_store_explicit(&j->reads, true, memory_order_relaxed);
	while (!atomic_load_explicit(&j->is_over, memory_order_relaxed))
		j->seen += j->offset;
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
