/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of `seals` and `receipts`: receives seals, has them committed in batches, answers each with a
 * receipt.
 *
 * Starting is recovering, without a scan: ingestd sends SEALED again for everything without a receipt, and each commit
 * resumes where the last run was cut off (commit.c).
 */
#ifndef SLUICE_COMMITD_SEALS_H
#define SLUICE_COMMITD_SEALS_H

#include "commitd/upkeep.h"
#include "common/base/workers.h"
#include "common/store/layout.h"
#include "common/wire/stage.h"

#define SEALS_IN_HAND_MAX 1024 /* seals received whose receipt is not sent; more wait in the pipe */
#define READERS           2    /* threads that read back, so that a large blob does not delay others */

struct loop;
struct seals;

struct seals_env {
	struct loop *loop;
	const char *runtime_dir;
	struct layout *layout;
	struct workers *committer; /* the one thread that names things */
	struct upkeep *upkeep;
	const struct stage_self *identity;
	bool verify_always;       /* read back everything */
	void (*idle)(void *self); /* after seals_stop(): nothing is pending; may be called again */
	void *self;
};

/* Open `seals` and `receipts` and start. `env` is copied, what it points to is borrowed. 0 or -errno. */
int seals_new(const struct seals_env *env, struct seals **ret_seals);

/*
 * Receive no more seals, give up read-backs and seals not yet started (they will be sent again), finish the current
 * batch; then `idle` is called, perhaps before this returns.
 */
void seals_stop(struct seals *s);

/* Only after seals_stop() and after the committer's pool is freed, so that it has no batch of ours. NULL is fine. */
void seals_free(struct seals *s);

/* Refresh the gauges of both pipes (counters.h). */
void seals_count(const struct seals *s);

#endif
