/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tag and rm: the names of images, which only commitd writes.
 */

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/shown.h"

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/report.h"
#include "sluice/run/job.h"

/* Look up a name, or for `tag` a digest. 0, or an exit code with a reason. */
static int resolve(const struct context *ctx, const char *text, bool digests, char full[static REFERENCE_TEXT_SIZE],
		   const char **ret_name, struct descriptor *ret_descriptor, struct reason *why)
{
	struct layout *l;
	struct names *n;
	int r = layout_open(ctx->places.store, LAYOUT_READER, &l, why);

	if (r < 0)
		return exit_code_of(r);
	r = names_load(l, &n, why);
	if (r == 0) {
		r = image_find(l, n, text, digests, full, ret_name, ret_descriptor, why);
		names_free(n);
	}
	layout_free(l);
	return r == -EINVAL || r == -EFBIG ? EX_DATAERR : r < 0 ? exit_code_of(r) : 0;
}

/* Send the request to commitd, and start our own stages if none serve. */
static int demand_ok(const struct context *ctx, const struct message *request, struct reason *why)
{
	struct job j;
	struct message answer;
	int code = job_begin(&j, ctx, ctx->quiet ? PROGRESS_NONE : PROGRESS_LINES, why);

	if (code == 0)
		code = client_demand(j.client, STAGE_COMMITD, request, MSG_OK, &answer, why);
	job_end_progress(&j);
	return job_end(&j, code);
}

static void print_result(const struct context *ctx, const char *name, const struct descriptor *d)
{
	char digest[DIGEST_TEXT_SIZE];
	AUTO_JSON line = ctx->json ? json_object_make() : NULL;

	digest_format(&d->digest, digest);
	if (line) {
		(void)json_set_text(line, "name", name);
		(void)json_set_text(line, "digest", digest);
		report_json(line);
	} else if (!ctx->quiet) {
		(void)printf("%s  %s\n", name, digest);
	}
}

static int tag(const struct context *ctx, const char *text, const char *new_name, struct descriptor *ret_descriptor,
	       struct reason *why)
{
	char full[REFERENCE_TEXT_SIZE], digest[DIGEST_TEXT_SIZE], platform[PLATFORM_TEXT_SIZE] = "";
	char shown[SHOWN_SIZE];
	const char *name;

	if (!name_is_valid(span_str(new_name))) {
		shown_of(span_str(new_name), shown);
		reason_set(why, "'%s' is not a valid name for an image", shown);
		return EX_USAGE;
	}
	int code = resolve(ctx, text, true, full, &name, ret_descriptor, why);
	if (code != 0)
		return code;
	digest_format(&ret_descriptor->digest, digest);
	if (ret_descriptor->has_platform)
		platform_format(&ret_descriptor->platform, platform);
	const struct message request = {
	    .type = MSG_SET_NAME,
	    .name = span_str(new_name),
	    .digest = span_str(digest),
	    .media_type = span_str(ret_descriptor->media_type),
	    .size = ret_descriptor->size,
	    .platform = span_str(platform),
	};
	return demand_ok(ctx, &request, why);
}

static int run_tag(const struct call *call)
{
	const struct context *ctx = command_context(call);
	const char *text = call->argv[0], *new_name = call->argv[1];
	struct descriptor d;
	struct reason why = {""};
	int code = tag(ctx, text, new_name, &d, &why);

	if (code == 0)
		print_result(ctx, new_name, &d);
	else
		report_error("tag", text, code, NULL, &why);
	return code;
}

const struct verb command_tag = {
    .name = "tag",
    .usage = "NAME NEWNAME",
    .summary = "give an image another name, or a stored manifest a name",
    .help = "NAME may be the digest of a stored manifest. NEWNAME is taken literally; an\n"
	    "image that had it loses it.\n",
    .operands_min = 2,
    .operands_max = 2,
    .run = run_tag,
};

static int run_rm(const struct call *call)
{
	const struct context *ctx = command_context(call);
	const char *text = call->argv[0];
	char full[REFERENCE_TEXT_SIZE];
	const char *name;
	struct descriptor d;
	struct reason why = {""};
	int code = resolve(ctx, text, false, full, &name, &d, &why);

	if (code == 0) {
		const struct message request = {.type = MSG_REMOVE_NAME, .name = span_str(name)};
		code = demand_ok(ctx, &request, &why);
	}
	if (code != 0) {
		report_error("remove", text, code, NULL, &why);
		return code;
	}
	print_result(ctx, name, &d);
	if (!ctx->quiet && !ctx->json)
		(void)printf("removed the name; its content stays in the store\n");
	return 0;
}

const struct verb command_rm = {
    .name = "rm",
    .usage = "NAME",
    .summary = "remove a name; its content stays in the store",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_rm,
};
