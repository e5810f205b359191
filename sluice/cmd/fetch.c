/* SPDX-License-Identifier: Apache-2.0 */
/* System */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* OCI */
#include "common/oci/json.h"
#include "common/oci/source.h"
#include "common/oci/transfer.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/report.h"
#include "sluice/run/job.h"
#include "sluice/run/wait.h"

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

static int get(struct job *j, const struct settings *s, struct blob *like, struct span policy, struct wait **ret_wait,
	       struct reason *why)
{
	const struct context *ctx = &s->context;
	static const struct wait_hooks hooks = {.stored = NULL};
	size_t number;
	int code = job_begin(j, ctx, progress_mode_for(ctx->json, ctx->quiet), why);

	if (code != 0)
		return code;
	like->doubt = doubt_of(j->layout, like);
	if (wait_new(j->client, j->layout, j->progress, &hooks, ret_wait) < 0 ||
	    wait_add(*ret_wait, like, &number) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	wait_use_policy(*ret_wait, policy);
	if (s->timeout_ms > 0)
		wait_limit(*ret_wait, s->timeout_ms);
	code = wait_run(*ret_wait, why);
	return code != 0 ? code : report_failures(*ret_wait, why);
}

static void print_result(const struct context *ctx, const struct blob *b)
{
	char digest[DIGEST_TEXT_SIZE];
	AUTO_JSON line = ctx->json ? json_object_make() : NULL;

	digest_format(&b->content.digest, digest);
	if (line) {
		(void)json_set_text(line, "event", "done");
		(void)json_set_text(line, "digest", digest);
		(void)json_set_u64(line, "size", b->content.size);
		report_json(line);
	} else if (ctx->quiet) {
		(void)printf("%s\n", digest);
	} else {
		(void)printf("%s  %" PRIu64 "\n", digest, b->content.size);
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

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	const struct context *ctx = &s->context;
	const char *typed = call->argv[0];
	AUTO_BUF url = BUF_INIT;
	struct buf policy = BUF_INIT;
	struct job j = {.stages = NULL};
	struct wait *w = NULL;
	struct blob like;
	char ref[REF_MAX + 1];
	struct reason why = {""};
	char *source = source_of_typed(typed, &url) == 0 ? url.data : NULL;
	int code = !source ? EX_OSERR : parse(s, source, &like, ref, &why);

	like.source = source;
	if (code == 0)
		code = read_policy(call, source, &policy, &why);
	if (code == 0)
		code = get(&j, s, &like, buf_span(&policy), &w, &why);
	job_end_progress(&j);
	if (code == 0)
		print_result(ctx, wait_at(w, 0));
	else
		report_error("fetch", typed, code, w, &why);
	wait_free(w);
	buf_wipe(&policy);
	return job_end(&j, code);
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
