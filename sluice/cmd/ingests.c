/*
 * abort and reset: what people do to transfers. ingestd does it.
 */

/* System */
#include <stdio.h>
#include <sysexits.h>

/* OCI */
#include "common/oci/transfer.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/interrupt.h"
#include "sluice/run/job.h"

struct verb {
	const char *word;
	enum message_type request;
	enum message_type answer;
};

static int check_refs(int argc, char **argv, const struct verb *verb)
{
	struct reason why;

	for (int i = 0; i < argc; i++) {
		if (ref_check(span_str(argv[i]), &why) < 0) {
			report_error(verb->word, argv[i], EX_USAGE, NULL, &why);
			return EX_USAGE;
		}
	}
	return 0;
}

/* All of them are tried; the first failure is the exit code. */
static int run_each(struct job *j, const struct context *ctx, int argc, char **argv, const struct verb *verb)
{
	struct message answer;
	struct reason why;
	int first = 0;

	for (int i = 0; i < argc; i++) {
		const struct message request = {.type = verb->request, .ref = span_str(argv[i])};
		int code = client_demand(j->client, CLIENT_INGESTD, &request, verb->answer, &answer, &why);
		if (code != 0)
			report_error(verb->word, argv[i], code, NULL, &why);
		else if (!ctx->quiet)
			(void)printf("%s\n", argv[i]);
		first = first ? first : code;
		if (code == EXIT_INTERRUPTED)
			break;
	}
	return first;
}

static int run_verb(const struct context *ctx, int argc, char **argv, const struct verb *verb)
{
	struct job j;
	struct reason why = {""};
	int code = check_refs(argc, argv, verb);

	if (code != 0)
		return code;
	code = job_begin(&j, ctx, ctx->quiet ? PROGRESS_NONE : PROGRESS_LINES, &why);
	job_end_progress(&j);
	if (code == 0)
		code = run_each(&j, ctx, argc, argv, verb);
	else
		report_error(verb->word, argv[0], code, NULL, &why);
	return job_end(&j, code);
}

static int run_abort(struct context *ctx, int argc, char **argv)
{
	static const struct verb verb = {"abort", MSG_ABORT, MSG_OK};
	return run_verb(ctx, argc, argv, &verb);
}

static int run_reset(struct context *ctx, int argc, char **argv)
{
	static const struct verb verb = {"reset", MSG_RESET, MSG_RECORD};
	return run_verb(ctx, argc, argv, &verb);
}

const struct command command_abort = {
    .name = "abort",
    .usage = "REF...",
    .summary = "drop transfers with all that arrived",
    .help = "REF as status shows it. One that is not there is fine.\n",
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run_abort,
};

const struct command command_reset = {
    .name = "reset",
    .usage = "REF...",
    .summary = "drop the bytes and digest states of transfers, and keep these",
    .help = "REF as status shows it.\n",
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run_reset,
};
