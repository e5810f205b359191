/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three stages as children: started, restarted whenever one dies, and stopped together. `sluice up` does this in
 * the foreground, and for other commands in the background.
 *
 * Each child gets SIGTERM when the supervisor dies, however it dies. A stage that ends at its very first start with an
 * exit code that another try would not change ends the supervisor with that code.
 */
#ifndef SLUICE_SLUICE_RUN_SUPERVISE_H
#define SLUICE_SLUICE_RUN_SUPERVISE_H

/* System */
#include <stdbool.h>
#include <stdint.h>

/* Sluice */
#include "sluice/run/context.h"

/* How a child ended, and so when it is started again. */
struct respawn {
	unsigned quick_deaths; /* in a row, each within RESPAWN_QUICK_MS of its start */
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
	bool remove;     /* the runtime directory goes at the end */
};

/*
 * Run until SIGTERM or SIGINT, or until idle. The caller has the descriptor of the runtime directory, and the lock
 * up.lock in it. Returns an exit code after logging what went wrong; what is left in the runtime directory is removed,
 * except the log after a failure.
 */
int supervise_run(const struct context *ctx, const struct supervise_options *options, int dir_fd);

/* "DIR/name" for the directory of our own program, NULL when there is no such program. The caller frees it. */
char *supervise_find_beside(const char *name);

#endif
