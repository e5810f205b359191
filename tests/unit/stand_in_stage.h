/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage without a process, linked in place of common/wire/stage_run.c and common/base/daemon.c, together with
 * stand_in_loop.h. The stage starts and the test's script runs beside it. When the script returns, the stage ends as it
 * is; cleanly only if the script stopped it and let it finish. Include it in one file of a program.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_STAGE_H
#define SLUICE_TESTS_UNIT_STAND_IN_STAGE_H

/* Own */
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_pipe.h"

/* What it stands in for */
#include "common/wire/stage_run.h"

static struct {
	void (*script)(void); /* the test's */
	const struct daemon_hooks *hooks;
	void *self;
} stand_in_stage;

int stage_run(enum stage_id stage, const char *runtime_dir, const struct daemon_hooks *hooks, void *self)
{
	struct loop *loop = stand_in_loop_begin(stand_in_pipe_is_ready);
	(void)stage;
	(void)runtime_dir;
	stand_in_stage.hooks = hooks;
	stand_in_stage.self = self;
	int code = hooks->start(self, loop);
	if (code == 0)
		stand_in_stage.script();
	hooks->release(self);
	stand_in_loop_end();
	return code;
}

void daemon_end(struct loop *loop)
{
	loop_break(loop);
}

/* SIGTERM; and SIGHUP. */
static inline void stand_in_stage_stop(void)
{
	stand_in_stage.hooks->stop(stand_in_stage.self);
}

static inline void stand_in_stage_reload(void)
{
	stand_in_stage.hooks->reload(stand_in_stage.self);
}

/* Whether the stage has ended. */
static inline bool stand_in_stage_ended(void)
{
	return stand_in_loop.broken;
}

#endif
