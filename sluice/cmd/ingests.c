/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abort and reset: requests to ingestd.
 */

/* System */
#include <stdio.h>
#include <sysexits.h>

/* OCI */
#include "common/oci/transfer.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/refs.h"
#include "sluice/cmd/report.h"
#include "sluice/run/interrupt.h"
#include "sluice/run/job.h"

struct act {
	const char *word;
	enum message_type request;
	enum message_type answer;
};

static int check_refs(const struct call *call, const struct act *act)
{
	struct reason why;
	char ref[REF_MAX + 1];

	for (int i = 0; i < call->argc; i++) {
		if (!refs_are_digits(call->argv[i]) && ref_meant(call->argv[i], ref, &why) < 0) {
			report_error(act->word, call->argv[i], EX_USAGE, NULL, &why);
			return EX_USAGE;
		}
	}
	return 0;
}

/* All of them are tried; the first failure is the exit code. */
static int run_each(struct job *j, const struct call *call, const struct act *act)
{
	struct message answer;
	struct reason why;
	char ref[REF_MAX + 1];
	int first = 0;

	for (int i = 0; i < call->argc; i++) {
		int code = refs_find_served(j->client, call->argv[i], ref, &why);
		const struct message request = {.type = act->request, .ref = span_str(ref)};
		if (code == 0)
			code = client_demand(j->client, STAGE_INGESTD, &request, act->answer, &answer, &why);
		if (code != 0)
			report_error(act->word, call->argv[i], code, NULL, &why);
		else if (!command_context(call)->quiet)
			(void)printf("%s\n", ref);
		first = first ? first : code;
		if (code == EXIT_INTERRUPTED)
			break;
	}
	return first;
}

static int run_act(const struct call *call, const struct act *act)
{
	const struct context *ctx = command_context(call);
	struct job j;
	struct reason why = {""};
	int code = check_refs(call, act);

	if (code != 0)
		return code;
	code = job_begin(&j, ctx, ctx->quiet ? PROGRESS_NONE : PROGRESS_LINES, &why);
	job_end_progress(&j);
	if (code == 0)
		code = run_each(&j, call, act);
	else
		report_error(act->word, call->argv[0], code, NULL, &why);
	return job_end(&j, code);
}

static int run_abort(const struct call *call)
{
	static const struct act act = {"abort", MSG_ABORT, MSG_OK};
	return run_act(call, &act);
}

static int run_reset(const struct call *call)
{
	static const struct act act = {"reset", MSG_RESET, MSG_RECORD};
	return run_act(call, &act);
}

const struct verb command_abort = {
    .name = "abort",
    .usage = "REF...",
    .summary = "drop transfers and everything that arrived",
    .help = "REF as shown by status, at least 6 digits of its digest, or a URL as given to\n"
	    "fetch. One that does not exist is not an error.\n",
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run_abort,
};

const struct verb command_reset = {
    .name = "reset",
    .usage = "REF...",
    .summary = "discard what arrived, keep the transfers",
    .help = "REF as shown by status, at least 6 digits of its digest, or a URL as given to\n"
	    "fetch.\n",
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run_reset,
};
