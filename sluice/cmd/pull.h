/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling what a name lacks, for commands other than 'pull'. */
#ifndef SLUICE_SLUICE_CMD_PULL_H
#define SLUICE_SLUICE_CMD_PULL_H

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/run/job.h"

/* Whether a name of index.json is the reference that it was pulled by: names can be anything. */
bool pull_knows_source(const char *name);

/*
 * Fetch what a name of index.json, which stands for `d`, lacks: everything by its digest, whatever its tag stands for by now.
 * 0, or an exit code with a reason. Within a job; `call` is that of the command.
 */
int pull_again(const struct call *call, struct job *job, const char *name, const struct descriptor *d,
	       struct reason *why);

#endif
