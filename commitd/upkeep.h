/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps content and what removes it, as the daemon runs it: pins, leases, gc and checks, and the requests about them.
 */
#ifndef SLUICE_COMMITD_UPKEEP_H
#define SLUICE_COMMITD_UPKEEP_H

#include "commitd/leases.h"
#include "common/base/workers.h"
#include "common/wire/ctl.h"

struct upkeep;

struct upkeep_env {
	struct loop *loop;
	struct layout *layout;
	struct workers *committer;
	void (*idle)(void *self); /* after upkeep_stop(): nothing is pending; may be called again */
	void *self;
};

/* Read the leases. `env` is copied, what it points to is borrowed. 0 or -errno with a reason. */
int upkeep_new(const struct upkeep_env *env, struct upkeep **ret_upkeep, struct reason *why);

/* Answer requests on that socket from now on, and tell its subscribers of each gc. Borrowed. */
void upkeep_use_ctl(struct upkeep *u, struct ctl *ctl);

/* A request, answered on the ctl now or later. False: it is not one of ours. */
bool upkeep_take(struct upkeep *u, const struct ctl_asker *who, const struct message *m);

/* A client is gone. */
void upkeep_gone(struct upkeep *u, const struct ctl_asker *who);

/* For whoever commits or names, on the committer's thread. */
struct pins *upkeep_pins(struct upkeep *u);
struct leases *upkeep_leases(struct upkeep *u);

/* Update the gauges of counters.h. */
void upkeep_count(const struct upkeep *u);

/* A gc and checks in progress end soon; then `idle` is called, perhaps before this returns. */
void upkeep_stop(struct upkeep *u);

/* upkeep_halt() before the committer's pool is freed, upkeep_free() after that. NULL is fine. */
void upkeep_halt(struct upkeep *u);
void upkeep_free(struct upkeep *u);

#endif
