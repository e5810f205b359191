/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages for as long as a command needs them: those that run already, or our own under a supervisor in the
 * background (`sluice up --background`), which ends with its last user.
 *
 * Files in the runtime directory:
 *
 *   users        flock'd shared by every command that needs the stages; the background supervisor waits for an
 *                exclusive lock, and whoever has that is alone
 *   up.lock      flock'd by the supervisor, background or not
 *   X/           the lock and the ctl socket of the daemon X, whoever started it (common/wire/stage.h)
 *   log          the log of the background supervisor and its stages (logfile.h)
 *   services     exists if the units are installed: only the service manager starts stages, so that a command does not
 *                start its own, as another user, while one of them restarts
 */
#ifndef SLUICE_SLUICE_RUN_STAGES_H
#define SLUICE_SLUICE_RUN_STAGES_H

/* System */
#include <stdbool.h>
#include <sys/types.h>

/* Base */
#include "common/base/reason.h"

/* Sluice */
#include "sluice/run/context.h"

#define STAGES_USERS    "users"
#define STAGES_UP_LOCK  "up.lock"
#define STAGES_LOG      "log"
#define STAGES_SERVICES "services"

struct stages;

/*
 * Become a user of the stages, starting them if necessary. 0, or an exit code with a reason. Does not wait for them to
 * answer; may wait for the end of a previous supervisor. Call it before a pipe is opened. `ctx` is borrowed.
 */
int stages_enter(const struct context *ctx, struct stages **ret_stages, struct reason *why);

/*
 * To be called when a stage does not answer: starts a supervisor if there is none (it was killed, or it was another
 * command's and ended). 0: ask again. Or an exit code with the reason from its log: the stages cannot be started.
 */
int stages_check(struct stages *s, struct reason *why);

/*
 * Stop being a user. If we are the last one and the supervisor is ours, wait until the stages have stopped, at most
 * `wait_ms`. NULL is fine.
 */
void stages_leave(struct stages *s, unsigned wait_ms);

/* Whether ingestd, or a supervisor that starts it, runs on that runtime directory, by their locks. Creates nothing. */
bool stages_serve(const char *runtime_dir);

/* Whether only the service manager starts stages on that runtime directory. */
bool stages_are_services(int dir_fd);

/* The same for a directory that need not exist. */
bool stages_of_services(const char *runtime_dir);

/* Whether there is a stale socket: `ret_name` is the first one. It does no harm. */
bool stages_left_over(int dir_fd, struct reason *ret_name);

/* Whether something is in the way of a stage, so that it cannot start: `ret_name` is the first (stage_obstacle()). */
bool stages_obstacle(int dir_fd, struct reason *ret_name);

/*
 * Remove what dead stages left in a runtime directory: sockets, locks and the log, but nothing of a running daemon. The
 * caller holds the users lock exclusively.
 */
void stages_sweep(int dir_fd);

#endif
