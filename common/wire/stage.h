/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three stages: their names, the identity of this process, and their places in the runtime directory:
 *
 *   RUNTIME/fetchd     lock, holder
 *   RUNTIME/ingestd    lock, holder, ctl
 *   RUNTIME/commitd    lock, holder, ctl
 *   RUNTIME/fetch      orders, chunks: bound by ingestd, for fetchd
 *   RUNTIME/seal       seals, receipts: bound by commitd, for ingestd
 *
 * Each directory is writable only by the process that binds there; its creator decides who else may enter. If it does
 * not exist, a stage creates it for its own user alone. No other user can open a lock file, so nobody can keep a stage
 * from locking it; `holder` beside it says which process has it, and since when.
 */
#ifndef SLUICE_WIRE_STAGE_H
#define SLUICE_WIRE_STAGE_H

#include <sys/un.h>

#include "common/base/reason.h"
#include "common/wire/message.h"

/* "fetchd" */
const char *stage_name(enum stage_id stage);

/* ── identity ── */

/* How a stage identifies itself. */
struct stage_self {
	enum stage_id stage;
	uint64_t incarnation; /* unique for each start; never 0 */
	uint64_t started_s;   /* wall clock */
};

/* A fresh incarnation. */
void stage_self_init(struct stage_self *self, enum stage_id stage);

/* Fill in what HELLO, PING and PONG say about our release and protocol versions. */
void stage_introduce(struct message *m);

enum stage_talk {
	TALK_SAME,
	TALK_NEIGHBOUR, /* its versions differ from ours, but we have one in common: stage_version_for() */
	TALK_OTHER,     /* no version in common: ignore whatever else it says */
};

/*
 * What such a message says about its sender. Unless that is TALK_SAME, `ret_words` is a line about both, which calls
 * them `theirs` and `ours`.
 */
enum stage_talk stage_talk_of(const struct message *m, const char *theirs, const char *ours, struct reason *ret_words);

/* The version to write to the sender of such a message, unless that is TALK_OTHER: the highest that both understand. */
uint8_t stage_version_for(const struct message *m);

/* ── places ── */

#define STAGE_FETCH_DIR "fetch"
#define STAGE_SEAL_DIR  "seal"
#define STAGE_CTL       "ctl"
#define STAGE_LOCK      "lock"
#define STAGE_HOLDER    "holder"

/*
 * A directory of sockets in the runtime directory, created for our user alone if it does not exist. -EPERM with a
 * reason: it belongs to another user, or others may write in it. `why` may be NULL.
 */
int stage_dir_make(const char *runtime_dir, const char *name, struct reason *why);

/*
 * Create the stage's directories and take its lock. 0; -EWOULDBLOCK, -EOPNOTSUPP where locks do nothing, or another
 * -errno, with a reason.
 */
int stage_claim(const char *runtime_dir, enum stage_id stage, int *ret_lock_fd, struct reason *why);

/* The reason for which a lock in the runtime directory was refused with -EOPNOTSUPP, which is returned. */
int stage_no_locks(const char *runtime_dir, struct reason *why);

/* 0 or -ENAMETOOLONG. */
int stage_ctl_address(const char *runtime_dir, enum stage_id stage, struct sockaddr_un *ret_address);

/* In all of these, `runtime_fd` is the runtime directory. */

/*
 * Whether the stage runs: its lock is held. If we may not check that: it accepts connections, or, for fetchd, which has
 * no ctl, the process named in `holder` exists.
 */
bool stage_runs(int runtime_fd, enum stage_id stage);

/* What `holder` says: "fetchd 4711 since 2026-01-31T12:34:56Z", or "another process". */
void stage_holder(int runtime_fd, enum stage_id stage, struct reason *ret_holder);

/* Whether a dead stage left a socket: `ret_name` is the first one, relative to the runtime directory. */
bool stage_left_over(int runtime_fd, enum stage_id stage, struct reason *ret_name);

/*
 * Whether something is in the way of the stage that it does not replace: a directory in place of a socket, or anything
 * else in place of its lock or of a directory. `ret_name`: which, in the runtime directory.
 */
bool stage_obstacle(int runtime_fd, enum stage_id stage, struct reason *ret_name);

/* Remove the sockets, the lock and the directories of a stage, unless it runs. */
void stage_sweep(int runtime_fd, enum stage_id stage);

#endif
