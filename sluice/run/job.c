/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/job.h"

/* System */
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/exit.h"

/* Sluice */
#include "sluice/run/interrupt.h"

#define LEAVE_WAIT_MS       12000u /* for stages that write their last checkpoint */
#define INTERRUPTED_WAIT_MS 2000u  /* the user wants the prompt back; the supervisor continues without us */

static void note(void *self, const char *text)
{
	progress_note(self, text);
}

int job_begin(struct job *j, const struct context *ctx, enum progress_mode mode, struct reason *why)
{
	*j = (struct job){.stages = NULL};
	interrupt_catch();
	if (progress_new(mode, &j->progress) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	int code = stages_enter(ctx, &j->stages, why);
	if (code != 0)
		return code;
	const struct client_options options = {
	    .runtime_dir = ctx->places.runtime,
	    .store = ctx->places.store,
	    .stages = j->stages,
	    .patience_ms = CLIENT_PATIENCE_MS,
	    .says_versions = !ctx->quiet,
	    .note = note,
	    .self = j->progress,
	};
	code = client_open(&options, &j->client, why);
	if (code != 0)
		return code;
	/* By now the stages have created it. */
	int r = layout_open(ctx->places.store, LAYOUT_READER, &j->layout, why);
	return r < 0 ? exit_code_of(r) : 0;
}

void job_end_progress(struct job *j)
{
	if (j->progress)
		progress_finish(j->progress);
}

int job_end(struct job *j, int code)
{
	client_close(j->client);
	layout_free(j->layout);
	progress_free(j->progress);
	stages_leave(j->stages, code == EXIT_INTERRUPTED ? INTERRUPTED_WAIT_MS : LEAVE_WAIT_MS);
	*j = (struct job){.stages = NULL};
	return code;
}
