/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of blobs that a command wants stored (blob.h): requests each from ingestd, follows them, and tells the caller
 * about each that is stored. Content that is in the store already is requested too: its name may not be durable yet. What
 * is stored with another size or type than described is a case for commitd (CHECK), and fetched anew if it is damaged.
 *
 * At most WAIT_WINDOW blobs are open at a time. Events are hints: they say when to check, and a check is a STATUS. A
 * blob is STORED when it is in the store, and FAILED when an answer of ingestd says so or it was aborted. While
 * transfers run, nothing else is requested except one STATUS every WAIT_LOOK_MS, for the blob that has had no news for
 * longest. If the connection for events breaks, all blobs are checked once there is a new one.
 */
#ifndef SLUICE_SLUICE_RUN_WAIT_H
#define SLUICE_SLUICE_RUN_WAIT_H

/* Store */
#include "common/store/layout.h"

/* Sluice */
#include "sluice/run/blob.h"
#include "sluice/run/client.h"
#include "sluice/run/hold.h"
#include "sluice/show/progress.h"

#define WAIT_WINDOW    256u
#define WAIT_BLOBS_MAX 16384u /* of one command */
#define WAIT_LOOK_MS   2000u  /* between two checks for a lost event */

struct wait;

struct wait_hooks {
	/*
	 * Blob `number` is STORED; the hook may add others, and fail this one. 0, or an exit code with a reason: the
	 * whole command ends. May be NULL.
	 */
	int (*stored)(void *self, struct wait *w, size_t number, struct reason *why);
	void *self;
};

/* Borrows all of it. */
int wait_new(struct client *c, struct layout *l, struct progress *p, const struct wait_hooks *hooks,
	     struct wait **ret_wait);
void wait_free(struct wait *w);

/*
 * Add one, described by `like`: ref, source, content, digest, doubt, role, depth; everything is copied. 0: `ret_number` is its
 * number. 1: there is one with the same ref already, and `ret_number` is that. -ENOMEM; -E2BIG over WAIT_BLOBS_MAX.
 */
int wait_add(struct wait *w, const struct blob *like, size_t *ret_number);

/* Borrowed until the next wait_add(). */
size_t wait_len(const struct wait *w);
const struct blob *wait_at(const struct wait *w, size_t number);

/* How many blobs are in that state. */
size_t wait_count(const struct wait *w, enum blob_state state);

/* To be called from the hook: the blob is stored, but unusable. */
void wait_fail(struct wait *w, size_t number, enum fail_class fail_class, const char *why);

/*
 * To be called from the hook: the blob is stored, but its bytes are wrong. True: commitd has moved it away, and it is wanted
 * once more. False: there is nothing more to do for it, so fail it. 0, or an exit code with a reason.
 */
int wait_heal(struct wait *w, size_t number, bool *ret_healed, struct reason *why);

/*
 * After wait_run(): want once more whatever is no longer stored, or not as described, because a check beside us has found it
 * damaged. Returns the number of these.
 */
size_t wait_for_lost(struct wait *w);

/* What all of them are requested with: the policy of their source (common/wire/source_policy.h). Borrowed. */
void wait_use_policy(struct wait *w, struct span policy);

/* Hold each blob before it is requested or taken for stored (hold.h). Borrowed; without it, none is held. */
void wait_use_hold(struct wait *w, struct hold *hold);

/* wait_run() gives up when so much time has passed from now. */
void wait_limit(struct wait *w, uint64_t timeout_ms);

/*
 * Continue until every blob is DONE or FAILED. 0, or an exit code with a reason: interrupted, too late, no stage answers, or what
 * a hook returned. The caller looks for FAILED ones.
 */
int wait_run(struct wait *w, struct reason *why);

#endif
