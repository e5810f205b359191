/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from sluice on ingestd's ctl socket. */
#ifndef SLUICE_INGESTD_CONTROL_H
#define SLUICE_INGESTD_CONTROL_H

#include "common/wire/ctl.h"
#include "ingestd/chunks.h"
#include "ingestd/flow.h"

#define TRANSFERS_A_USER 4096 /* that are not over: each has a directory and memory, also where it has no bytes */

struct loop;
struct control;

struct control_env {
	struct loop *loop;
	const char *runtime_dir;
	const struct stage_self *who; /* we are */
	struct flow *flow;
	const struct chunks *chunks; /* who knows fetchd's counts */
	void (*refresh)(void *self); /* the gauges of counters.h, before they are told */
	void *self;
};

/*
 * Bind the socket and answer what comes; the flow's events go there, too. `env` is copied, what it points to borrowed.
 * 0, or -errno with a reason.
 */
int control_new(const struct control_env *env, struct control **ret_control, struct reason *why);
void control_free(struct control *c);

/* Take nothing any more. */
void control_stop(struct control *c);

#endif
