/* SPDX-License-Identifier: Apache-2.0 */
/* System */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/text.h"

/* OCI */
#include "common/oci/json.h"
#include "common/oci/transfer.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/job.h"

#define AGE_MAX_MS (100ull * 365 * 24 * 3600 * 1000)

static const struct opt options[] = {
    {.name = "dry-run",
     .letter = 'n',
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, gc_dry_run),
     .def = "no",
     .help = "remove nothing, and list what would be removed"},
    {.name = "grace",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, gc_grace_ms),
     .max = AGE_MAX_MS,
     .arg = "TIME",
     .help = "what an earlier gc, so long ago, found unneeded; else 1h"},
    {.name = "older-than",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, gc_older_ms),
     .max = AGE_MAX_MS,
     .arg = "AGE",
     .help = "the same, and what interrupted pulls left; else 14d"},
    {.name = "free",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, gc_free),
     .max = INT64_MAX,
     .arg = "BYTES",
     .help = "the oldest first, until so much is freed"},
    {.name = NULL},
};

/* What both stages have removed, or would. */
struct sums {
	uint64_t blobs, transfers, bytes;
	uint64_t waiting_blobs, waiting_transfers, waiting_bytes;
	uint64_t leased_bytes;
	struct json_t *items; /* owned; NULL unless JSON is wanted */
};

static void format_age(uint64_t age_s, char *out, size_t size)
{
	if (age_s < 120)
		(void)snprintf(out, size, "%" PRIu64 "s", age_s);
	else if (age_s < 7200)
		(void)snprintf(out, size, "%" PRIu64 "m", age_s / 60);
	else if (age_s < 172800)
		(void)snprintf(out, size, "%" PRIu64 "h", age_s / 3600);
	else
		(void)snprintf(out, size, "%" PRIu64 "d", age_s / 86400);
}

static void add_item(struct sums *sums, const struct message *m)
{
	static const char *const fates[] = {[GC_REMOVED] = "removed", [GC_WAITS] = "waiting", [GC_LEASED] = "leased"};
	struct json_t *item = json_object_make();
	char text[TEXT_MAX + 1];

	if (!item)
		return;
	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->digest.len > 0 ? m->digest : m->text));
	(void)json_set_text(item, "fate", fates[m->fate]);
	(void)json_set_text(item, m->fate == GC_LEASED ? "for" : m->digest.len > 0 ? "digest" : "ref", text);
	(void)json_set_u64(item, "size", m->size);
	(void)json_set_u64(item, "age", m->age_s);
	(void)json_append(sums->items, item);
}

/* A line for each: "would remove  12.3MiB  sha256:...  unneeded for 3h". */
static void print_item(const struct message *m, bool dry_run)
{
	char size[TEXT_SIZE_ROOM], age[24];
	bool is_blob = m->digest.len > 0;
	const char *fate = m->fate == GC_LEASED  ? "keep"
			   : m->fate == GC_WAITS ? "wait"
			   : dry_run             ? "would remove"
						 : "removed";

	text_size(m->size, size);
	format_age(m->age_s, age, sizeof(age));
	if (m->fate != GC_LEASED)
		(void)printf("%-12s  %7s  %.*s  %s for %s\n", fate, size, SPAN_ARG(is_blob ? m->digest : m->text),
			     is_blob ? "unneeded" : "unfinished", age);
	else if (m->age_s == 0)
		(void)printf("%-12s  %7s  %.*s, which is in progress\n", fate, size, SPAN_ARG(m->text));
	else
		(void)printf("%-12s  %7s  %.*s, not finished, last seen %s ago\n", fate, size, SPAN_ARG(m->text), age);
}

static int list_items(struct job *j, enum stage_id stage, const struct context *ctx, struct sums *sums, bool dry_run,
		      struct reason *why)
{
	struct message m;
	int code = 0;

	for (uint64_t i = 0; code == 0; i++) {
		const struct message next = {.type = MSG_GC_ITEM, .number = i};
		code = client_ask(j->client, stage, &next, &m, why);
		if (code != 0 || m.type != MSG_ITEM)
			return code;
		if (ctx->json)
			add_item(sums, &m);
		else
			print_item(&m, dry_run);
	}
	return code;
}

static void add_sums(struct sums *sums, enum stage_id stage, const struct message *m)
{
	bool is_commitd = stage == STAGE_COMMITD;

	*(is_commitd ? &sums->blobs : &sums->transfers) += m->removed;
	*(is_commitd ? &sums->waiting_blobs : &sums->waiting_transfers) += m->waiting;
	sums->bytes += m->removed_bytes;
	sums->waiting_bytes += m->waiting_bytes;
	sums->leased_bytes += m->leased_bytes;
}

/* One stage's part. */
static int collect(struct job *j, enum stage_id stage, const struct settings *s, struct sums *sums, struct reason *why)
{
	bool said = s->gc_older_ms != GC_UNSAID;
	uint64_t age_ms = said ? s->gc_older_ms : s->gc_grace_ms;
	const struct message gc = {
	    .type = MSG_GC,
	    .flags = (uint8_t)((s->gc_dry_run ? GC_FLAG_DRY_RUN : 0) | (said ? GC_FLAG_ENDS_IDLE : 0)),
	    .age_s = age_ms == GC_UNSAID ? GC_GRACE_S : age_ms / 1000,
	    .size = s->gc_free == SIZE_UNKNOWN ? SIZE_UNKNOWN
					       : s->gc_free - (sums->bytes < s->gc_free ? sums->bytes : s->gc_free),
	};
	struct message m;
	int code = client_demand(j->client, stage, &gc, MSG_COLLECTED, &m, why);

	if (code != 0)
		return code;
	add_sums(sums, stage, &m);
	if (m.fail_class != FAIL_NONE) {
		reason_set(why, "%.*s", SPAN_ARG(m.text));
		code = fail_exit_code((enum fail_class)m.fail_class);
	}
	if (code == 0 && (s->gc_dry_run || s->context.verbose) && !s->context.quiet)
		code = list_items(j, stage, &s->context, sums, s->gc_dry_run, why);
	return code;
}

static void print_json(const struct settings *s, struct sums *sums)
{
	AUTO_JSON line = json_object_make();

	if (!line)
		return;
	(void)json_set_text(line, "event", "done");
	(void)json_set_bool(line, "dry_run", s->gc_dry_run);
	(void)json_set_u64(line, "removed", sums->blobs + sums->transfers);
	(void)json_set_u64(line, "removed_transfers", sums->transfers);
	(void)json_set_u64(line, "removed_bytes", sums->bytes);
	(void)json_set_u64(line, "waiting", sums->waiting_blobs + sums->waiting_transfers);
	(void)json_set_u64(line, "waiting_transfers", sums->waiting_transfers);
	(void)json_set_u64(line, "waiting_bytes", sums->waiting_bytes);
	(void)json_set_u64(line, "leased_bytes", sums->leased_bytes);
	if (s->gc_dry_run || s->context.verbose)
		(void)json_set(line, "items", take_ptr(sums->items));
	report_json(line);
}

/* "5 blobs, 1 unfinished transfer" */
static void print_counts(uint64_t blobs, uint64_t transfers)
{
	(void)printf("%" PRIu64 " blob%s", blobs, blobs == 1 ? "" : "s");
	if (transfers > 0)
		(void)printf(", %" PRIu64 " unfinished transfer%s", transfers, transfers == 1 ? "" : "s");
}

static void print_sums(const struct settings *s, struct sums *sums)
{
	char removed[TEXT_PROSE_ROOM], waiting[TEXT_PROSE_ROOM], leased[TEXT_PROSE_ROOM];

	if (s->context.json) {
		print_json(s, sums);
		return;
	}
	if (s->context.quiet)
		return;
	text_size_prose(sums->bytes, removed);
	text_size_prose(sums->waiting_bytes, waiting);
	text_size_prose(sums->leased_bytes, leased);
	(void)printf("%s %s: ", s->gc_dry_run ? "would free" : "freed", removed);
	print_counts(sums->blobs, sums->transfers);
	(void)printf("\n");
	if (sums->waiting_blobs + sums->waiting_transfers > 0) {
		(void)printf("kept for now %s: ", waiting);
		print_counts(sums->waiting_blobs, sums->waiting_transfers);
		(void)printf("; 'sluice gc --%s 0' removes %s\n", sums->waiting_transfers > 0 ? "older-than" : "grace",
			     sums->waiting_blobs + sums->waiting_transfers == 1 ? "it" : "them");
	}
	if (sums->leased_bytes > 0)
		(void)printf("kept for pulls that have not finished: %s\n", leased);
}

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	struct job j = {.stages = NULL};
	struct sums sums = {.items = s->context.json ? json_array_make() : NULL};
	struct reason why = {""};
	int code = 0;

	if (s->gc_grace_ms != GC_UNSAID && s->gc_older_ms != GC_UNSAID) {
		reason_set(&why, "--grace and --older-than exclude each other");
		code = EX_USAGE;
	}
	if (code == 0)
		code = job_begin(&j, &s->context, PROGRESS_NONE, &why);
	if (code == 0)
		code = collect(&j, STAGE_COMMITD, s, &sums, &why);
	if (code == 0)
		code = collect(&j, STAGE_INGESTD, s, &sums, &why);
	job_end_progress(&j);
	if (code == 0 || sums.blobs > 0)
		print_sums(s, &sums);
	if (code == 0 && s->gc_free != SIZE_UNKNOWN && sums.bytes < s->gc_free) {
		reason_set(&why, "less than that is unneeded for long enough");
		code = EX_TEMPFAIL;
	}
	if (code != 0)
		report_error("clean", s->context.places.store, code, NULL, &why);
	json_free(sums.items);
	return report_stdout(job_end(&j, code));
}

const struct verb command_gc = {
    .name = "gc",
    .usage = "[OPTION...]",
    .summary = "remove stored content that no name needs, and abandoned transfers",
    .help = "Content stays while a name needs it, or a pull that has not finished. The rest\n"
	    "goes if an earlier gc found it unneeded, too: other programs write to a store\n"
	    "before they name. Transfers that nobody goes on with are kept for 14 days, those\n"
	    "that failed without a byte for one.\n",
    .options = options,
    .hides_globals = true,
    .run = run,
};
