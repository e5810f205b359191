/*
 * stats: what the stages have counted, for people. Every line fits 80 columns.
 */

/* System */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/counts.h"
#include "sluice/show/text.h"

#define COLUMNS      78
#define HEAD_COLUMNS 11
#define PHRASE_ROOM  64
#define NAME_ROOM    128

/* One subject: its name, then phrases with commas between them, over as many lines as it takes. */
struct line {
	size_t used;
	bool begun;
};

static void line_begin(struct line *l, const char *head)
{
	(void)printf("%-*s", HEAD_COLUMNS, head);
	*l = (struct line){.used = HEAD_COLUMNS};
}

static void line_end(void)
{
	(void)putchar('\n');
}

static void say(struct line *l, const char *phrase)
{
	size_t len = strlen(phrase);

	if (l->begun && l->used + 2 + len > COLUMNS) {
		(void)printf(",\n%*s", HEAD_COLUMNS, "");
		*l = (struct line){.used = HEAD_COLUMNS};
	} else if (l->begun) {
		(void)printf(", ");
		l->used += 2;
	}
	(void)printf("%s", phrase);
	l->used += len;
	l->begun = true;
}

static void say_count(struct line *l, const struct counts *f, enum counter c, const char *what)
{
	char phrase[PHRASE_ROOM];

	(void)snprintf(phrase, sizeof(phrase), "%" PRIu64 " %s", f->values[c], what);
	say(l, phrase);
}

static void say_bytes(struct line *l, const struct counts *f, enum counter c, const char *what)
{
	char phrase[PHRASE_ROOM], size[TEXT_SIZE_ROOM];

	text_size(f->values[c], size);
	(void)snprintf(phrase, sizeof(phrase), "%s %s", size, what);
	say(l, phrase);
}

/* Those of several that are not 0, or that none is. */
static void say_some(struct line *l, const struct counts *f, enum counter first, enum counter last,
		     const char *const *words)
{
	bool any = false;

	for (enum counter c = first; c <= last; c++) {
		if (f->values[c] > 0)
			say_count(l, f, c, words[c - first]);
		any = any || f->values[c] > 0;
	}
	if (!any)
		say(l, "none");
}

/* "checkpoint 12 times, 13 ms on average, at most 30 ms" */
static void say_timer(const struct counts *f, enum counter timer, const char *head)
{
	struct line l;
	char phrase[PHRASE_ROOM];
	uint64_t count = counts_timer_count(f, timer);
	unsigned worst = TIMER_BUCKETS;

	while (worst > 0 && f->values[timer + worst - 1] == 0)
		worst--;
	line_begin(&l, head);
	(void)snprintf(phrase, sizeof(phrase), "%" PRIu64 " times", count);
	say(&l, phrase);
	if (count > 0) {
		(void)snprintf(phrase, sizeof(phrase), "%" PRIu64 " ms on average",
			       f->values[timer + TIMER_BUCKETS] / count);
		say(&l, phrase);
	}
	if (worst == TIMER_BUCKETS)
		(void)snprintf(phrase, sizeof(phrase), "some over %" PRIu64 " ms", timer_bounds_ms[TIMER_BUCKETS - 2]);
	else if (worst > 0)
		(void)snprintf(phrase, sizeof(phrase), "all within %" PRIu64 " ms", timer_bounds_ms[worst - 1]);
	if (worst > 0)
		say(&l, phrase);
	line_end();
}

static void show_stages(const struct counts *f)
{
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const struct counts_stage *s = &f->stages[i];
		char since[CLOCK_TEXT_SIZE];
		clock_format(s->started_s, since);
		if (s->up)
			(void)printf("%-*sup since %s, version %s\n", HEAD_COLUMNS, counts_stage_name(i), since,
				     s->version);
		else
			(void)printf("%-*sdown: %.*s\n", HEAD_COLUMNS, counts_stage_name(i), COLUMNS - HEAD_COLUMNS - 6,
				     s->why.text);
	}
}

static void show_fetchd(const struct counts *f)
{
	static const char *const reasons[] = {
	    "without an address", "without a connection", "without TLS", "broken off",       "stalled",
	    "for a busy server",  "for a status",         "short",       "for other reasons"};
	struct line l;

	line_begin(&l, "network");
	say_bytes(&l, f, COUNT_FETCHED_BYTES, "received");
	say_bytes(&l, f, COUNT_WASTED_BYTES, "of no use");
	say_count(&l, f, COUNT_REQUESTS, "requests");
	say_count(&l, f, COUNT_FETCHES_DONE, "fetched");
	say_count(&l, f, COUNT_FETCHES_FAILED, "failed");
	say_count(&l, f, COUNT_RANGES_REFUSED, "ranges refused");
	say_count(&l, f, COUNT_MIRRORS_LEFT, "mirrors left");
	say_count(&l, f, COUNT_PAUSES_PIPE, "pauses");
	say_count(&l, f, COUNT_PAUSES_BANDWIDTH, "pauses for a limit");
	line_end();
	line_begin(&l, "fetching");
	say_count(&l, f, COUNT_FETCHES_BUSY, "busy");
	say_count(&l, f, COUNT_FETCHES_IN_LINE, "in line for a connection");
	say_count(&l, f, COUNT_FETCHES_WAITING, "waiting to try again");
	line_end();
	line_begin(&l, "retries");
	say_some(&l, f, COUNT_RETRIES_ADDRESS, COUNT_RETRIES_OTHER, reasons);
	line_end();
}

static void show_ingestd(const struct counts *f)
{
	static const char *const states[] = {"queued",    "fetching",   "sealed",         "failed",
					     "for space", "for a lock", "for a next try", "for somebody to ask"};
	struct line l;

	line_begin(&l, "bytes");
	say_bytes(&l, f, COUNT_RECEIVED_BYTES, "received");
	say_bytes(&l, f, COUNT_WRITTEN_BYTES, "written");
	say_bytes(&l, f, COUNT_REHASHED_BYTES, "hashed again");
	say_bytes(&l, f, COUNT_DUPLICATE_BYTES, "twice");
	say_bytes(&l, f, COUNT_RATE, "a second now");
	line_end();
	line_begin(&l, "transfers");
	say_some(&l, f, COUNT_INGESTS_QUEUED, COUNT_INGESTS_FOR_ASKER, states);
	line_end();
	line_begin(&l, "ended");
	say_count(&l, f, COUNT_ENDED_COMMITTED, "committed");
	say_count(&l, f, COUNT_ENDED_FAILED, "failed");
	say_count(&l, f, COUNT_STARTED_OVER, "started over");
	say_count(&l, f, COUNT_ORDERS, "orders");
	say_count(&l, f, COUNT_GAPS, "gaps");
	say_count(&l, f, COUNT_SILENT, "silent");
	line_end();
	say_timer(f, COUNT_CHECKPOINT_TIME, "checkpoint");
	say_timer(f, COUNT_SEAL_TIME, "seal");
	line_begin(&l, "disk");
	say_bytes(&l, f, COUNT_SPACE_FREE, "free");
	say_bytes(&l, f, COUNT_SPACE_SIZE, "in all");
	say_count(&l, f, COUNT_INODES_FREE, "files free");
	line_end();
}

static void show_commitd(const struct counts *f)
{
	static const char *const classes[] = {"rejected for wrong data", "rejected as missing", "rejected for I/O",
					      "rejected for space", "rejected"};
	struct line l;

	line_begin(&l, "commits");
	say_count(&l, f, COUNT_COMMITS, "blobs");
	say_bytes(&l, f, COUNT_COMMITTED_BYTES, "in all");
	say_bytes(&l, f, COUNT_READ_BACK_BYTES, "read back");
	say_count(&l, f, COUNT_SEALS_IN_HAND, "in hand");
	for (enum counter c = COUNT_REJECTED_DATA; c <= COUNT_REJECTED_OTHER; c++)
		if (f->values[c] > 0)
			say_count(&l, f, c, classes[c - COUNT_REJECTED_DATA]);
	line_end();
	say_timer(f, COUNT_BATCH_TIME, "batches");
	line_begin(&l, "names");
	say_count(&l, f, COUNT_NAMES_SET, "set");
	say_count(&l, f, COUNT_NAMES_REMOVED, "removed");
	line_end();
}

static void show_pipes(const struct counts *f)
{
	static const enum counter refused[] = {COUNT_REFUSED_ORDERS,   COUNT_REFUSED_CHUNKS,
					       COUNT_REFUSED_RECEIPTS, COUNT_REFUSED_INGEST_CTL,
					       COUNT_REFUSED_SEALS,    COUNT_REFUSED_COMMIT_CTL};
	struct line l;
	char phrase[PHRASE_ROOM];
	uint64_t sum = 0;

	line_begin(&l, "backlog");
	say_count(&l, f, COUNT_BACKLOG_ORDERS, "orders");
	say_count(&l, f, COUNT_BACKLOG_CHUNKS, "chunks");
	say_count(&l, f, COUNT_BACKLOG_SEALS, "seals");
	say_count(&l, f, COUNT_BACKLOG_RECEIPTS, "receipts");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		sum += f->values[refused[i]];
	(void)snprintf(phrase, sizeof(phrase), "%" PRIu64 " messages refused", sum);
	say(&l, phrase);
	line_end();
	line_begin(&l, "restarts");
	say_count(&l, f, COUNT_INGESTD_SAW_FETCHD, "of fetchd");
	say_count(&l, f, COUNT_COMMITD_SAW_INGESTD, "of ingestd");
	say_count(&l, f, COUNT_INGESTD_SAW_COMMITD, "of commitd");
	line_end();
}

static void show(const struct counts *f)
{
	show_stages(f);
	if (f->stages[STAGE_FETCHD].up)
		show_fetchd(f);
	if (f->stages[STAGE_INGESTD].up)
		show_ingestd(f);
	if (f->stages[STAGE_COMMITD].up)
		show_commitd(f);
	show_pipes(f);
}

static struct json_t *stage_json(const struct counts *f, enum stage_id i)
{
	const struct counts_stage *s = &f->stages[i];
	struct json_t *object = json_object_make();
	char started[CLOCK_TEXT_SIZE];

	if (!object)
		return NULL;
	clock_format(s->started_s, started);
	(void)json_set_text(object, "stage", counts_stage_name(i));
	(void)json_set_bool(object, "up", s->up);
	(void)json_set_text(object, s->up ? "started" : "error", s->up ? started : s->why.text);
	if (s->up)
		(void)json_set_text(object, "version", s->version);
	return object;
}

/* The names of the metrics, labels and all, so that there is one set of names to learn; of a timer its count. */
static void set_count(const struct counts *f, enum counter c, struct json_t *counts)
{
	const struct counter_row *row = &counter_rows[c];
	const char *suffix = row->kind == COUNTER_TOTAL ? "_total" : row->kind == COUNTER_TIMER ? "_count" : "";
	char name[NAME_ROOM];

	(void)snprintf(name, sizeof(name), row->labels ? "%s%s{%s}" : "%s%s", row->name, suffix, row->labels);
	(void)json_set_u64(counts, name, row->kind == COUNTER_TIMER ? counts_timer_count(f, c) : f->values[c]);
}

static void show_json(const struct counts *f)
{
	AUTO_JSON object = json_object_make();
	struct json_t *stages = json_array_make(), *counts = json_object_make();

	for (enum stage_id i = STAGE_FETCHD; stages && i <= STAGE_COMMITD; i++)
		(void)json_append(stages, stage_json(f, i));
	for (enum counter c = 0; counts && c < COUNTERS; c++)
		if (counter_rows[c].kind != 0 && f->stages[counts_stage_of(c)].up)
			set_count(f, c, counts);
	(void)json_set(object, "stages", stages);
	(void)json_set(object, "counts", counts);
	report_json(object);
}

static int run(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct counts f;

	counts_gather(ctx->places.runtime, &f);
	if (!counts_any_up(&f)) {
		log_error("cannot show the counts of '%s': ingestd: %s; see 'sluice doctor'", ctx->places.store,
			  f.stages[STAGE_INGESTD].why.text);
		return EX_UNAVAILABLE;
	}
	if (ctx->json)
		show_json(&f);
	else
		show(&f);
	return report_stdout(0);
}

const struct verb command_stats = {
    .name = "stats",
    .usage = "",
    .summary = "show what the stages have counted since they started",
    .help = "With --json: an object with stages (stage, up, started, version) and counts,\n"
	    "under the names that metrics gives them.\n",
    .run = run,
};
