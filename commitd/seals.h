/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of `seals` and `receipts`: takes seals, has them committed in batches, answers each with a receipt.
 *
 * Starting is recovering, and there is nothing to scan for it: ingestd sends SEALED again for whatever it has no
 * receipt for, and the commit resumes where the last run was cut off (commit.c).
 */
#ifndef SLUICE_COMMITD_SEALS_H
#define SLUICE_COMMITD_SEALS_H

#include "common/base/workers.h"
#include "common/store/layout.h"
#include "common/wire/stage.h"

#define SEALS_IN_HAND_MAX 1024 /* seals taken whose receipt is not sent; more wait in the pipe */
#define READERS           2    /* threads that read back, so that a large blob does not delay others */

struct loop;
struct seals;

struct seals_env {
	struct loop *loop;
	const char *runtime_dir;
	struct layout *layout;
	struct workers *committer; /* the one thread that names things */
	const struct stage_self *identity;
	bool verify_always;       /* read back everything */
	void (*idle)(void *self); /* after seals_stop(): nothing is in hand any more; may be called again */
	void *self;
};

/* Open `seals` and `receipts`, begin. `env` is copied, what it points to borrowed. 0 or -errno. */
int seals_new(const struct seals_env *env, struct seals **ret_seals);

/*
 * Take no more seals, give up read-backs and seals not begun (they are asked for again), finish the batch that is on
 * its way; then `idle` is called, perhaps before this returns.
 */
void seals_stop(struct seals *s);

/* After seals_stop(), and after the committer's pool is freed, so that it has no batch of ours. NULL is fine. */
void seals_free(struct seals *s);

/* Refresh the gauges of both pipes (counters.h). */
void seals_count(const struct seals *s);

#endif
