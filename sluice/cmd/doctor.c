/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: is each stage up, do the pipes connect, can the stages write, is there space, do versions and clocks agree.
 * It changes nothing and starts nothing.
 */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/log.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/doctor_places.h"
#include "sluice/cmd/doctor_stages.h"
#include "sluice/cmd/report.h"
#include "sluice/run/stages.h"

static int run(const struct call *call)
{
	const struct context *ctx = command_context(call);
	AUTO_FD dir_fd = open(ctx->places.runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool denied = dir_fd < 0 && errno == EACCES;
	AUTO_JSON list = ctx->json ? json_array_make() : NULL;
	struct findings f = {.list = list, .quiet = ctx->quiet};
	bool services = dir_fd >= 0 && stages_are_services(dir_fd);
	struct counts counts;

	if (ctx->json && !list) {
		log_error("out of memory");
		return EX_OSERR;
	}
	counts_gather(ctx->places.runtime, &counts);
	doctor_check_runtime(ctx, dir_fd, &f);
	if (!denied) /* without access, we cannot know */
		doctor_check_stages(ctx, services, &counts, &f);
	doctor_check_store(ctx, counts_any_up(&counts), &f);
	doctor_check_programs(&f);
	doctor_check_config(ctx, services, &f);
	if (list)
		report_json(list);
	return report_stdout(f.worst == FINDING_FAIL ? EX_UNAVAILABLE : 0);
}

const struct verb command_doctor = {
    .name = "doctor",
    .usage = "",
    .summary = "check the installation and suggest fixes",
    .help = "A line for each check: ok, warn or fail, what was found, and what to do.\n"
	    "The exit code is 69 if a check fails. With --json: an array of objects with\n"
	    "check, state, text and advice. With -q: only what is not ok.\n",
    .run = run,
};
