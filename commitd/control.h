/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests from sluice on commitd's ctl socket, and the events there. A request that has to wait for the disk runs on
 * the committer's thread, in order, and is answered when that is done.
 */
#ifndef SLUICE_COMMITD_CONTROL_H
#define SLUICE_COMMITD_CONTROL_H

#include "common/base/workers.h"
#include "common/store/layout.h"
#include "common/wire/ctl.h"

struct control;

struct control_env {
	struct loop *loop;
	const char *runtime_dir;
	struct layout *layout;
	struct workers *committer; /* the one thread that names things */
	const struct stage_self *identity;
	void (*refresh)(void *self); /* the gauges of counters.h, before they are told */
	void (*idle)(void *self);    /* after control_stop(): no request is in hand any more; may be called again */
	void *self;
};

/* Bind and begin. `env` is copied, what it points to borrowed. 0 or -errno with a reason. */
int control_new(const struct control_env *env, struct control **ret_control, struct reason *why);

/* Take no more requests; `idle` is called when none is in hand, perhaps before this returns. */
void control_stop(struct control *c);

/* After the committer's pool is freed, so that it has no request of ours. NULL is fine. */
void control_free(struct control *c);

#endif
