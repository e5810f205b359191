/* SPDX-License-Identifier: Apache-2.0 */
/* System */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/shown.h"

/* OCI */
#include "common/oci/json.h"
#include "common/oci/source.h"
#include "common/oci/transfer.h"

/* Store */
#include "common/store/lease.h"
#include "common/store/name.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/report.h"
#include "sluice/run/hold.h"
#include "sluice/run/job.h"
#include "sluice/run/output.h"
#include "sluice/run/wait.h"

#define OUTPUT_MAX 4095 /* bytes of a path */

/* A file on its way: from its URL to the store, to a name, and perhaps to another place. */
struct fetch {
	struct job job;
	struct wait *wait;
	struct hold *hold; /* from the first request until the file has its name */
	struct buf policy; /* wiped */
	char name[NAME_MAX_BYTES + 1], manifest[DIGEST_TEXT_SIZE]; /* as commitd answered */
	enum outfile_link how;                                     /* it was put to --output */
};

static const struct opt options[] = {
    {.name = "digest",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, fetch_digest),
     .min = 1,
     .max = DIGEST_TEXT_MAX,
     .arg = "DIGEST",
     .help = "what the file must hash to: sha256:... or sha512:..."},
    {.name = "size",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, fetch_size),
     .max = INT64_MAX,
     .arg = "BYTES",
     .help = "the size that it must have"},
    {.name = "name",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, fetch_name),
     .min = 1,
     .max = NAME_MAX_BYTES,
     .arg = "NAME",
     .help = "its name, else HOST/PATH of the URL"},
    {.name = "output",
     .letter = 'o',
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, fetch_output),
     .min = 1,
     .max = OUTPUT_MAX,
     .arg = "FILE",
     .help = "put it there, too: a reflink if possible, else a copy"},
    SOURCE_OPTIONS,
    {.name = NULL},
};

/*
 * If there is a digest, it is the ref, so that another command that needs the same content joins the transfer.
 * Otherwise commands that fetch the same URL join.
 */
static int parse(const struct settings *s, const char *url, struct blob *ret_like, char ret_ref[static REF_MAX + 1],
		 struct reason *why)
{
	struct source source;

	*ret_like = (struct blob){
	    .ref = ret_ref,
	    .content = {.size = s->fetch_size},
	    .digest = s->fetch_digest ? BLOB_DIGEST_GIVEN : BLOB_DIGEST_UNKNOWN,
	};
	if ((s->fetch_digest && digest_parse(span_str(s->fetch_digest), &ret_like->content.digest, why) < 0) ||
	    source_parse(span_str(url), &source, why) < 0)
		return EX_USAGE;
	if (source.kind != SOURCE_URL) {
		reason_set(why, "a URL must begin with http:// or https://");
		return EX_USAGE;
	}
	return ref_of_source(span_str(url), s->fetch_digest ? &ret_like->content.digest : NULL, ret_ref, why) < 0
		   ? EX_USAGE
		   : 0;
}

/* Whether what is stored may be damaged, as far as its size tells. */
static enum blob_doubt doubt_of(struct layout *l, const struct blob *like)
{
	uint64_t size, described = SIZE_UNKNOWN;
	struct names *n;

	if (like->digest != BLOB_DIGEST_GIVEN || like->content.size != SIZE_UNKNOWN ||
	    layout_blob_size(l, &like->content.digest, &size) < 0)
		return BLOB_DOUBT_NONE;
	if (names_load(l, &n, NULL) == 0) {
		described = image_described_size(l, n, &like->content.digest);
		names_free(n);
	}
	return described == SIZE_UNKNOWN ? BLOB_DOUBT_UNREAD : described != size ? BLOB_DOUBT_SIZE : BLOB_DOUBT_NONE;
}

/* Otherwise a gc might remove what has no name yet. */
static int take_lease(struct fetch *f, const char *url, struct reason *why)
{
	AUTO_BUF purpose = BUF_INIT;

	if (buf_appendf(&purpose, "fetch %s", url) < 0 ||
	    hold_new(f->job.client, purpose.data, LEASE_ASKED_S, &f->hold) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	wait_use_hold(f->wait, f->hold);
	return 0;
}

static int get(struct fetch *f, const struct settings *s, struct blob *like, struct reason *why)
{
	const struct context *ctx = &s->context;
	static const struct wait_hooks hooks = {.stored = NULL};
	struct source source;
	size_t number;
	int code = job_begin(&f->job, ctx, progress_mode_for(ctx->json, ctx->quiet), why);

	if (code != 0)
		return code;
	like->doubt = doubt_of(f->job.layout, like);
	if (wait_new(f->job.client, f->job.layout, f->job.progress, &hooks, &f->wait) < 0 ||
	    wait_add(f->wait, like, &number) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	wait_use_policy(f->wait, buf_span(&f->policy));
	if (s->timeout_ms > 0)
		wait_limit(f->wait, s->timeout_ms);
	(void)source_parse(span_str(like->source), &source, NULL);
	AUTO_BUF plain = BUF_INIT;
	code = buf_append(&plain, source.url.data, source_plain(&source).len) == 0 ? 0 : EX_OSERR;
	if (code == 0)
		code = take_lease(f, plain.data, why);
	if (code == 0)
		code = wait_run(f->wait, why);
	return code != 0 ? code : report_failures(f->wait, why);
}

/* The last part of the URL's path; empty if it is no name for a file. */
static struct span title_of(struct span url)
{
	const uint8_t *slash = memrchr(url.data, '/', url.len);
	struct span title = span_of(slash + 1, (size_t)(url.data + url.len - slash - 1));
	bool is_host = slash[-1] == '/';

	if (is_host || title.len > TEXT_MAX || span_eq(title, span_str(".")) || span_eq(title, span_str("..")))
		return span_str("");
	return title;
}

/* commitd wraps the file in a manifest, and chooses its name unless one was given. */
static int set_file(struct fetch *f, const struct settings *s, struct reason *why)
{
	const struct blob *b = wait_at(f->wait, 0);
	char digest[DIGEST_TEXT_SIZE];
	struct source source;
	struct message answer;

	(void)source_parse(span_str(b->source), &source, NULL);
	digest_format(&b->content.digest, digest);
	const struct message request = {
	    .type = MSG_SET_FILE,
	    .name = span_str(s->fetch_name),
	    .digest = span_str(digest),
	    .media_type = span_str(b->content.media_type),
	    .size = b->content.size,
	    .text = title_of(source_plain(&source)),
	    .source = source_plain(&source),
	};
	int code = client_demand(f->job.client, STAGE_COMMITD, &request, MSG_NAMED, &answer, why);
	if (code != 0)
		return code;
	(void)snprintf(f->name, sizeof(f->name), "%.*s", SPAN_ARG(answer.name));
	(void)snprintf(f->manifest, sizeof(f->manifest), "%.*s", SPAN_ARG(answer.digest));
	if (s->fetch_output)
		code = output_put(f->job.layout, &b->content.digest, b->content.size, s->fetch_output, &f->how, why);
	hold_release(f->hold);
	return code;
}

static void print_json(const struct fetch *f, const struct settings *s, const char *digest, const char *path)
{
	AUTO_JSON line = json_object_make();

	if (!line)
		return;
	(void)json_set_text(line, "event", "done");
	(void)json_set_text(line, "name", f->name);
	(void)json_set_text(line, "digest", digest);
	(void)json_set_u64(line, "size", wait_at(f->wait, 0)->content.size);
	(void)json_set_text(line, "manifest", f->manifest);
	(void)json_set_text(line, "path", path);
	if (s->fetch_output) {
		(void)json_set_text(line, "output", s->fetch_output);
		(void)json_set_text(line, "output_by", outfile_link_names[f->how]);
	}
	report_json(line);
}

static void print_result(const struct fetch *f, const struct settings *s)
{
	const struct blob *b = wait_at(f->wait, 0);
	AUTO_BUF path = BUF_INIT;
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&b->content.digest, digest);
	if (outfile_blob_path(f->job.layout, &b->content.digest, &path) < 0)
		return;
	if (s->context.json) {
		print_json(f, s, digest, path.data);
	} else if (s->context.quiet) {
		(void)printf("%s\n", digest);
	} else {
		(void)printf("%s  %s  %" PRIu64 "\n", f->name, digest, b->content.size);
		if (s->fetch_output)
			(void)printf("%s  (%s)\n", s->fetch_output, outfile_link_names[f->how]);
		else
			(void)printf("%s\n", path.data);
	}
}

/* The host with its port, as configuration and credentials have it. */
static int read_policy(const struct call *call, const char *url, struct buf *out, struct reason *why)
{
	const struct settings *s = call->settings;
	const char *scheme_end = strstr(url, "://"), *host = scheme_end ? scheme_end + strlen("://") : url;
	char text[REF_MAX + 1];
	struct reason trouble;

	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(host, "/?#"), host);
	int code = policy_options_read(&s->policy, text, "", call->words_len, call->words, out, &trouble, why);
	report_trouble(text, &trouble);
	return code;
}

/* What can be refused before anything is requested. */
static int check_options(const struct settings *s, struct reason *why)
{
	char shown[SHOWN_SIZE];

	if (s->fetch_name && !name_is_valid(span_str(s->fetch_name))) {
		shown_of(span_str(s->fetch_name), shown);
		reason_set(why, "'%s' is not a valid name for a file", shown);
		return EX_USAGE;
	}
	if (s->fetch_output && strcmp(s->fetch_output, "-") == 0) {
		reason_set(why, "-o - is not supported; 'sluice cat' writes a stored file to standard output");
		return EX_USAGE;
	}
	return s->fetch_output ? output_check(s->fetch_output, why) : 0;
}

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	const char *typed = call->argv[0];
	AUTO_BUF url = BUF_INIT;
	struct fetch f = {.wait = NULL};
	struct blob like;
	char ref[REF_MAX + 1];
	struct reason why = {""};
	char *source = source_of_typed(typed, &url) == 0 ? url.data : NULL;
	int code = !source ? EX_OSERR : parse(s, source, &like, ref, &why);

	like.source = source;
	if (code == 0)
		code = check_options(s, &why);
	if (code == 0)
		code = read_policy(call, source, &f.policy, &why);
	if (code == 0)
		code = get(&f, s, &like, &why);
	if (code == 0)
		code = set_file(&f, s, &why);
	job_end_progress(&f.job);
	if (code == 0)
		print_result(&f, s);
	else
		report_error("fetch", typed, code, f.wait, &why);
	wait_free(f.wait);
	hold_free(f.hold);
	buf_wipe(&f.policy);
	return job_end(&f.job, code);
}

const struct verb command_fetch = {
    .name = "fetch",
    .usage = "[OPTION...] URL",
    .summary = "get a file by its URL, verified by its digest if given",
    .help = "Without a digest the file is stored under its own; a partial file then resumes\n"
	    "only if a strong ETag or Last-Modified proves that it is unchanged. The\n"
	    "options of 'sluice --help' are understood, too.\n",
    .operands_min = 1,
    .operands_max = 1,
    .options = options,
    .hides_globals = true,
    .run = run,
};
