/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers without threads, linked in place of common/base/workers.c. A job waits until the test runs it. Include it in
 * one file of a program.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_WORKERS_H
#define SLUICE_TESTS_UNIT_STAND_IN_WORKERS_H

/* Own */
#include "tests/unit/unit.h"

/* What it stands in for */
#include "common/base/workers.h"

struct workers {
	STAILQ_HEAD(, work) waiting;
};

static struct workers stand_in_workers;

int workers_new(struct loop *loop, unsigned threads, struct workers **ret_workers)
{
	(void)loop;
	(void)threads;
	STAILQ_INIT(&stand_in_workers.waiting);
	*ret_workers = &stand_in_workers;
	return 0;
}

int workers_new_idle(struct loop *loop, unsigned threads, struct workers **ret_workers)
{
	return workers_new(loop, threads, ret_workers);
}

void workers_submit(struct workers *ws, struct work *w)
{
	STAILQ_INSERT_TAIL(&ws->waiting, w, link);
}

/* Run the oldest job and report that it is done. False: there is none. */
static inline bool stand_in_workers_run(struct workers *ws)
{
	struct work *w = STAILQ_FIRST(&ws->waiting);
	if (!w)
		return false;
	STAILQ_REMOVE_HEAD(&ws->waiting, link);
	w->run(w);
	w->done(w);
	return true;
}

void workers_free(struct workers *ws)
{
	while (ws && stand_in_workers_run(ws))
		;
}

#endif
