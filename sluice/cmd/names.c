/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tag and rm: names, which only commitd writes.
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
#include "sluice/cmd/extracted.h"
#include "sluice/cmd/find.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/report.h"
#include "sluice/run/interrupt.h"
#include "sluice/run/job.h"

#define NAMES_SHOWN 3

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

/* Only manifests and indexes have names. 0, or -errno with a reason. */
static int describe(struct layout *l, struct descriptor *d, struct reason *why)
{
	struct digest digest = d->digest;
	int r = image_describe(l, &digest, d, why);

	if (r == -EINVAL || r == -EFBIG)
		reason_set(why, "%s; names are for images and artifacts", why->text);
	return r;
}

/* What is to be named. 0, or an exit code with a reason. */
static int resolve(const struct context *ctx, const char *text, struct descriptor *ret_descriptor, struct reason *why)
{
	struct layout *l;
	struct names *n = NULL;
	struct found f;
	int r = layout_open(ctx->places.store, LAYOUT_READER, &l, why);

	if (r < 0)
		return exit_code_of(r);
	r = names_load(l, &n, why);
	if (r == 0)
		r = find(l, n, text, FIND_CONTENT, &f, why);
	if (r == 0 && f.entry == SIZE_MAX)
		r = describe(l, &f.descriptor, why);
	names_free(n);
	layout_free(l);
	if (r == 0)
		*ret_descriptor = f.descriptor;
	return find_exit_code(r);
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

static int tag(const struct context *ctx, const char *text, const char *new_name, struct descriptor *ret_descriptor,
	       struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE], platform[PLATFORM_TEXT_SIZE] = "";
	char shown[SHOWN_SIZE];

	if (!name_is_valid(span_str(new_name))) {
		shown_of(span_str(new_name), shown);
		reason_set(why, "'%s' is not a valid name for an image", shown);
		return EX_USAGE;
	}
	int code = resolve(ctx, text, ret_descriptor, why);
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
    .usage = "NAME|DIGEST NEWNAME",
    .summary = "give an image, artifact or file another name",
    .help = "DIGEST: of a stored manifest; at least 6 digits of it suffice. NEWNAME is taken\n"
	    "literally; what had it loses it.\n",
    .operands_min = 2,
    .operands_max = 2,
    .run = run_tag,
};

/* A digest stands for the one name that has it. 0, or -ENOTUNIQ or -ENOENT with a reason. */
static int only_name(const struct names *n, struct found *f, struct reason *why)
{
	struct descriptor d;
	const char *name;
	size_t count = 0;

	f->name = NULL;
	reason_set(why, "several names have this digest:");
	for (size_t i = 0; i < names_len(n); i++) {
		if (names_at(n, i, &name, &d) < 0 || !name || !digest_eq(&d.digest, &f->descriptor.digest))
			continue;
		if (++count <= NAMES_SHOWN)
			reason_set(why, "%s%s %s", why->text, count > 1 ? "," : "", name);
		f->name = name;
	}
	if (count > NAMES_SHOWN)
		reason_set(why, "%s, and %zu more", why->text, count - NAMES_SHOWN);
	if (count > 1)
		return -ENOTUNIQ;
	if (!f->name)
		reason_set(why, "what has this digest has no name");
	return f->name ? 0 : -ENOENT;
}

struct removal {
	const struct context *ctx;
	struct layout *layout;
	struct names *names;
	struct job job;
	bool begun; /* the job */
	size_t removed;
};

static int remove_one(struct removal *rm, const char *text, struct reason *why)
{
	struct found f;
	struct message answer;
	int r = find(rm->layout, rm->names, text, FIND_NAMES, &f, why);

	if (r == 0 && !f.by_name)
		r = only_name(rm->names, &f, why);
	if (r < 0)
		return find_exit_code(r);
	if (!rm->begun) {
		rm->begun = true;
		int code = job_begin(&rm->job, rm->ctx, rm->ctx->quiet ? PROGRESS_NONE : PROGRESS_LINES, why);
		job_end_progress(&rm->job);
		if (code != 0)
			return code;
	}
	const struct message request = {.type = MSG_REMOVE_NAME, .name = span_str(f.name)};
	int code = client_demand(rm->job.client, STAGE_COMMITD, &request, MSG_OK, &answer, why);
	if (code != 0)
		return code;
	print_result(rm->ctx, f.name, &f.descriptor);
	rm->removed++;
	return 0;
}

/* All of them are tried; the first failure is the exit code. */
static int remove_each(struct removal *rm, int argc, char **argv)
{
	int first = 0;

	for (int i = 0; i < argc; i++) {
		struct reason why = {""};
		int code = remove_one(rm, argv[i], &why);
		if (code != 0)
			report_error("remove", argv[i], code, NULL, &why);
		first = first ? first : code;
		if (code == EXIT_INTERRUPTED || (rm->begun && !rm->job.layout))
			break;
	}
	return rm->begun ? job_end(&rm->job, first) : first;
}

static int run_rm(const struct call *call)
{
	struct removal rm = {.ctx = command_context(call)};

	if (((const struct settings *)call->settings)->rm_extracted)
		return extracted_remove(call);
	int code = find_open(rm.ctx->places.store, &rm.layout, &rm.names);

	if (code != 0)
		return code;
	code = remove_each(&rm, call->argc, call->argv);
	if (rm.removed > 0 && !rm.ctx->quiet && !rm.ctx->json)
		(void)printf("removed %zu name%s; content that no other name needs stays until 'sluice gc'\n",
			     rm.removed, rm.removed > 1 ? "s" : "");
	names_free(rm.names);
	layout_free(rm.layout);
	return code;
}

static const struct opt rm_options[] = {
    {.name = "extracted",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, rm_extracted),
     .def = "no",
     .help = "the record of a directory whose files are links"},
    {.name = NULL},
};

const struct verb command_rm = {
    .name = "rm",
    .usage = "NAME... | --extracted DIR...",
    .summary = "remove names; content that no other name needs stays until 'gc'",
    .help = "NAME may be a digest, or at least 6 digits of one, that one name alone has. If\n"
	    "one cannot be removed, the others still are. With --extracted: forget that the\n"
	    "files in DIR are links, which need the content that they lead to.\n",
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .options = rm_options,
    .run = run_rm,
};
