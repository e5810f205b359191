/*
 * doctor: is each stage up, do the pipes connect, may the stages write, is there space, do versions and clocks agree.
 * It changes nothing and starts nothing.
 */

/* Own header */
#include "sluice/cmd/doctor.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/log.h"

/* Sluice */
#include "sluice/cmd/report.h"
#include "sluice/run/stages.h"

static const char *const words[] = {[FINDING_OK] = "ok", [FINDING_WARN] = "warn", [FINDING_FAIL] = "fail"};

static void say_json(struct doctor *d, enum finding found, const char *check, const char *advice, const char *text)
{
	struct json_t *object = json_object_make();

	if (!object)
		return;
	(void)json_set_text(object, "check", check);
	(void)json_set_text(object, "state", words[found]);
	(void)json_set_text(object, "text", text);
	if (advice)
		(void)json_set_text(object, "advice", advice);
	(void)json_append(d->list, object);
}

void doctor_say(struct doctor *d, enum finding found, const char *check, const char *advice, const char *format, ...)
{
	char raw[REASON_MAX];
	struct reason text; /* names from the disk come as harmless text */
	va_list args;

	va_start(args, format);
	(void)vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	reason_set(&text, "%s", raw);
	d->worst = found > d->worst ? found : d->worst;
	if (d->list)
		say_json(d, found, check, advice, text.text);
	else if (found != FINDING_OK || !d->ctx->quiet)
		(void)printf("%-4s  %-9s  %s%s%s\n", words[found], check, text.text, advice ? " - " : "",
			     advice ? advice : "");
}

static void look(struct doctor *d)
{
	d->services = d->dir_fd >= 0 && stages_are_services(d->dir_fd);
	figures_gather(d->ctx->places.runtime, &d->figures);
	doctor_runtime(d);
	doctor_stages(d);
	doctor_pipes(d);
	doctor_versions(d);
	doctor_identity(d);
	doctor_store(d);
	doctor_writing(d);
	doctor_space(d);
	doctor_programs(d);
	doctor_config(d);
}

static int run(struct context *ctx, int argc, char **argv)
{
	AUTO_FD dir_fd = open(ctx->places.runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_JSON list = ctx->json ? json_array_make() : NULL;
	struct doctor d = {.ctx = ctx, .dir_fd = dir_fd, .list = list};

	(void)argc;
	(void)argv;
	if (ctx->json && !list) {
		log_error("out of memory");
		return EX_OSERR;
	}
	look(&d);
	if (list)
		report_json(list);
	return report_stdout(d.worst == FINDING_FAIL ? EX_UNAVAILABLE : 0);
}

const struct command command_doctor = {
    .name = "doctor",
    .usage = "",
    .summary = "whether everything is as it has to be, and what to do if not",
    .help = "A line for each check: ok, warn or fail, what was found, and what to do.\n"
	    "It exits with 69 when something fails. With --json: an array of objects with\n"
	    "check, state, text and advice. With -q: only what is not ok.\n",
    .operands_min = 0,
    .operands_max = 0,
    .run = run,
};
