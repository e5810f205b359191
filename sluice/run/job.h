/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command that needs the stages holds from start to end.
 */
#ifndef SLUICE_SLUICE_RUN_JOB_H
#define SLUICE_SLUICE_RUN_JOB_H

/* OCI */
#include "common/store/layout.h"

/* Sluice */
#include "sluice/run/client.h"
#include "sluice/run/stages.h"
#include "sluice/show/progress.h"

struct job {
	struct stages *stages;
	struct client *client;
	struct layout *layout;
	struct progress *progress;
};

/*
 * Become a user of the stages, wait until they answer, open the store and start to show progress. 0, or an exit code
 * with a reason. Call job_end() in any case.
 */
int job_begin(struct job *j, const struct context *ctx, enum progress_mode mode, struct reason *why);

/* Draw the progress for the last time, before the command's own last line. */
void job_end_progress(struct job *j);

/* Release everything. Returns `code`, the command's exit code. */
int job_end(struct job *j, int code);

#endif
