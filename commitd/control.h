/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests from sluice on commitd's ctl socket, and its events. A request that has to wait for the disk runs on the
 * committer's thread, in order, and is answered when it is done. Those that come meanwhile run together after it.
 */
#ifndef SLUICE_COMMITD_CONTROL_H
#define SLUICE_COMMITD_CONTROL_H

#include "commitd/upkeep.h"
#include "common/base/workers.h"
#include "common/store/layout.h"
#include "common/wire/ctl.h"

struct control;

struct control_env {
	struct loop *loop;
	const char *runtime_dir;
	struct layout *layout;
	struct workers *committer; /* the one thread that names things */
	struct upkeep *upkeep;
	const struct stage_self *identity;
	void (*refresh)(void *self); /* updates the gauges of counters.h before they are reported */
	void (*idle)(void *self);    /* after control_stop(): no request is pending; may be called again */
	void *self;
};

/* Bind and start. `env` is copied, what it points to is borrowed. 0 or -errno with a reason. */
int control_new(const struct control_env *env, struct control **ret_control, struct reason *why);

/* Accept no more requests; `idle` is called when none is pending, perhaps before this returns. */
void control_stop(struct control *c);

/* Only after the committer's pool is freed, so that it has no request of ours. NULL is fine. */
void control_free(struct control *c);

#endif
