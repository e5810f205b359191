/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK: reads a blob back and, if it is damaged, moves it away from its name. Each request goes
 *
 *   look     committer   what has the name? Was it found good lately?
 *   read     checkers    hash it, from the disk; these threads yield to all others
 *   judge    committer   note it as good; or move it to quarantine/, durably, if it still is the file that was read
 *
 * The committer's thread is the one that commits, names, leases and unlinks, so nobody sees a half state: a blob is there,
 * or is missing and its next commit gives the name to other bytes. What cannot be read stays where it is: the bytes may be
 * right, and the disk or its cable to blame.
 *
 * Crashing anywhere is harmless: what was not moved is found again.
 */
#ifndef SLUICE_COMMITD_CHECK_H
#define SLUICE_COMMITD_CHECK_H

#include "common/base/workers.h"
#include "common/store/layout.h"
#include "common/wire/ctl.h"

#define CHECK_READERS 4u
#define CHECK_SAVE_MS 5000u /* how often what was found good is written down */

struct checks;

struct checks_env {
	struct loop *loop;
	struct layout *layout;
	struct workers *committer;
	void (*idle)(void *self); /* after checks_stop(): none is pending; may be called again */
	void *self;
};

/* `env` is copied, what it points to is borrowed. 0 or -errno. */
int checks_new(const struct checks_env *env, struct checks **ret_checks);

/* Answer on that socket. Borrowed. */
void checks_use_ctl(struct checks *cs, struct ctl *ctl);

/* A CHECK, answered later. */
void checks_take(struct checks *cs, const struct ctl_asker *who, const struct message *m);

/* A client is gone: what was found good is written down. */
void checks_gone(struct checks *cs);

/* End what is pending soon; its clients hear FAIL_AGAIN. */
void checks_stop(struct checks *cs);
bool checks_are_pending(const struct checks *cs);

/* checks_halt() before the committer's pool is freed, checks_free() after that. NULL is fine. */
void checks_halt(struct checks *cs);
void checks_free(struct checks *cs);

#endif
