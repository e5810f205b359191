/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from sluice on ingestd's ctl socket. */
#ifndef SLUICE_INGESTD_CONTROL_H
#define SLUICE_INGESTD_CONTROL_H

#include "common/wire/ctl.h"
#include "ingestd/chunks.h"
#include "ingestd/flow.h"

#define TRANSFERS_A_USER 4096 /* unfinished ones: each has a directory and uses memory, even without bytes */

struct loop;
struct control;

struct control_env {
	struct loop *loop;
	const char *runtime_dir;
	const struct stage_self *who; /* we are */
	struct flow *flow;
	const struct chunks *chunks; /* has fetchd's counters */
	void (*refresh)(void *self); /* updates the gauges of counters.h before they are reported */
	void *self;
};

/*
 * Bind the socket and answer requests; the flow's events go there too. `env` is copied, what it points to is borrowed.
 * 0, or -errno with a reason.
 */
int control_new(const struct control_env *env, struct control **ret_control, struct reason *why);
void control_free(struct control *c);

/* Accept nothing more. */
void control_stop(struct control *c);

#endif
