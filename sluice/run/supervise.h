/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three stages as children: started, restarted whenever one dies, and stopped together. `sluice up` does this in
 * the foreground, and for other commands in the background.
 *
 * Each child gets SIGTERM when the supervisor dies, however it dies. If a stage fails at its first start with an exit
 * code that a retry would not change, the supervisor ends with that code.
 */
#ifndef SLUICE_SLUICE_RUN_SUPERVISE_H
#define SLUICE_SLUICE_RUN_SUPERVISE_H

/* System */
#include <stdbool.h>
#include <stdint.h>

/* Sluice */
#include "sluice/run/context.h"

/* Recent deaths of a child, which decide when it is started again. */
struct respawn {
	unsigned quick_deaths; /* consecutive ones, each within RESPAWN_QUICK_MS of its start */
	uint64_t started_ms;
};

#define RESPAWN_QUICK_MS     1000u
#define RESPAWN_DELAY_MIN_MS 10u
#define RESPAWN_DELAY_MAX_MS 1000u

/* Note a death at `now_ms`; returns how long to wait before the next start: 0 for the first, then more and more. */
unsigned respawn_delay_ms(struct respawn *r, uint64_t now_ms);

struct supervise_options {
	bool no_resume;  /* do not resume unfinished transfers at start */
	bool until_idle; /* end when nobody holds the users lock any more */
	bool remove;     /* remove the runtime directory at the end */
	bool has_log;    /* standard error is a log file of our own (logfile.h), open for reading, too */
};

/*
 * Run until SIGTERM or SIGINT, or until idle. The caller owns the descriptor of the runtime directory, and holds
 * up.lock in it. Returns an exit code after logging what went wrong; leftovers in the runtime directory are removed,
 * except the log after a failure.
 */
int supervise_run(const struct context *ctx, const struct supervise_options *options, int dir_fd);

/* "DIR/name" in the directory of our own program; NULL: there is no such program. The caller frees it. */
char *supervise_find_beside(const char *name);

#endif
