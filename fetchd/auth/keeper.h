/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: a process of our own that looks up credentials. fetchd restricts itself before it talks to anybody
 * (confine.h) and can then neither open files of the user's nor start a program; so it forks the keeper first, which
 * can.
 *
 *   fetchd ── host, repository ──► keeper: credentials_find(), and docker-credential-NAME where a file names one
 *          ◄── a credential ──────
 *
 * What fetchd asks for is a host and nothing else: which files are read and which programs run is the keeper's own
 * configuration. It reads that again whenever fetchd has.
 *
 *   keeper_start() ─► keeper_watch() ─► it serves ─► keeper_free(): it ends
 *                                          └─► it ends by itself, killed by somebody: it cannot be started again
 *
 * It holds no socket, lock or output of fetchd's, and ends with it, however that ends.
 */
#ifndef SLUICE_FETCHD_AUTH_KEEPER_H
#define SLUICE_FETCHD_AUTH_KEEPER_H

#include "common/base/program.h"
#include "common/oci/credentials.h"

struct keeper;
struct keeper_ask;
struct loop;

/*
 * Fork it. Before there are threads, an event loop, or descriptors that it must not have; after process_hide(). The
 * call is borrowed by the keeper for its life, with settings that are read. 0 or -errno.
 */
int keeper_start(const struct call *call, struct keeper **ret_keeper);

/*
 * From now on questions can be asked. `gone` is called from the loop, once, if the keeper ends by itself; those who
 * wait hear nothing then. Where it is NULL they get -EPIPE.
 */
void keeper_watch(struct keeper *k, struct loop *loop, void (*gone)(void *self), void *self);

/* The configuration was read again: from the next question on it is the keeper's, too. */
void keeper_reread(struct keeper *k);

/*
 * Nobody waits any more. Let it end, with the helpers that it has; waits for that, a few seconds at most. NULL is fine.
 */
void keeper_free(struct keeper *k);

/*
 * What was found. 0: the credential, of kind BASIC or IDENTITY, which the caller may take (and zero) or leave; -ENOENT:
 * there is none; -ENOMEM; -EPIPE: there is no keeper; another -errno: those in one place cannot be used, and `next` is
 * where to go on. A reason with each but the first two.
 */
struct keeper_answer {
	int result;
	unsigned next;
	struct credential credential;
	struct reason why;
};

/* Called from the loop, once; the question is gone then. */
typedef void keeper_done(void *self, struct keeper_answer *answer);

/*
 * Look for the credential for `name` at `host`, from place `next` on (0: the first); see credentials_find(). The texts
 * are borrowed for the call. 0, or -errno: too long, too many questions at once, no memory or no keeper. Does not
 * block.
 */
int keeper_find(struct keeper *k, const char *host, const char *name, unsigned next, keeper_done *done, void *self,
		struct keeper_ask **ret_ask);

/* Forget the question, and end its helper. NULL is fine. */
void keeper_cancel(struct keeper_ask *a);

#endif
