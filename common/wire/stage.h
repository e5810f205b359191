/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three stages: what each is called, which start of which this process is, and their places in the runtime
 * directory:
 *
 *   RUNTIME/fetchd     lock, holder
 *   RUNTIME/ingestd    lock, holder, ctl
 *   RUNTIME/commitd    lock, holder, ctl
 *   RUNTIME/fetch      orders, chunks: bound by ingestd, for fetchd
 *   RUNTIME/seal       seals, receipts: bound by commitd, for ingestd
 *
 * Each directory is writable by the one process that binds there, and by nobody else; its creator decides whether
 * others may enter. A stage that finds none makes it for its own user alone. A lock is a file that no other user can
 * open, so that nobody can take it from a stage; `holder` beside it says which process has it and since when.
 */
#ifndef SLUICE_WIRE_STAGE_H
#define SLUICE_WIRE_STAGE_H

#include <sys/un.h>

#include "common/base/reason.h"
#include "common/wire/message.h"

/* "fetchd" */
const char *stage_name(enum stage_id stage);

/* ── which one we are ── */

/* How a stage identifies itself. */
struct stage_self {
	enum stage_id stage;
	uint64_t incarnation; /* unique for each start; never 0 */
	uint64_t started_s;   /* wall clock */
};

/* A fresh incarnation. */
void stage_self_init(struct stage_self *self, enum stage_id stage);

/* Fill in what HELLO, PING and PONG say of our program and of the protocol that it talks. */
void stage_introduce(struct message *m);

enum stage_talk {
	TALK_SAME,
	TALK_NEIGHBOUR, /* it supports other versions too, but one in common with us */
	TALK_OTHER,     /* no version in common: whatever else it says is to be ignored */
};

/*
 * What such a message says of its sender. Unless that is TALK_SAME, `ret_words` is a line about both: `theirs` and `ours`
 * are what to call them.
 */
enum stage_talk stage_talk_of(const struct message *m, const char *theirs, const char *ours, struct reason *ret_words);

/* ── places ── */

#define STAGE_FETCH_DIR "fetch"
#define STAGE_SEAL_DIR  "seal"
#define STAGE_CTL       "ctl"
#define STAGE_LOCK      "lock"
#define STAGE_HOLDER    "holder"

/*
 * A directory of sockets below the runtime directory: made for our user alone if it is not there. -EPERM with a reason:
 * it belongs to another user, or others may write in it. `why` may be NULL.
 */
int stage_dir_make(const char *runtime_dir, const char *name, struct reason *why);

/* Make the stage's directories, and take its lock. 0; -EWOULDBLOCK or another -errno with a reason. */
int stage_claim(const char *runtime_dir, enum stage_id stage, int *ret_lock_fd, struct reason *why);

/* 0 or -ENAMETOOLONG. */
int stage_ctl_address(const char *runtime_dir, enum stage_id stage, struct sockaddr_un *ret_address);

/* In all of these, `runtime_fd` is the runtime directory. */

/*
 * Whether the stage runs: its lock is held; where we may not look at that, whether it takes connections, or, of fetchd,
 * which has no ctl, whether the process that its note names is there.
 */
bool stage_runs(int runtime_fd, enum stage_id stage);

/* What `holder` says: "fetchd 4711 since 2026-01-31T12:34:56Z", or "another process". */
void stage_holder(int runtime_fd, enum stage_id stage, struct reason *ret_holder);

/* Whether a socket of a stage that is gone is there: `ret_name` is the first one, from the runtime directory on. */
bool stage_left_over(int runtime_fd, enum stage_id stage, struct reason *ret_name);

/* Remove the sockets, the lock and the directories of a stage, unless it lives. */
void stage_sweep(int runtime_fd, enum stage_id stage);

#endif
