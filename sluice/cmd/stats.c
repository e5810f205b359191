/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats: the counters of the stages, for people. Every line fits 80 columns.
 */

/* System */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/date.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Wire */
#include "common/wire/stage.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/counts.h"
#include "sluice/show/text.h"

#define COLUMNS      78
#define HEAD_COLUMNS 11
#define PHRASE_ROOM  64
#define NAME_ROOM    128

/* How to write a number. */
enum unit {
	UNIT_COUNT,
	UNIT_COUNT_IF_ANY, /* left out if it is 0 */
	UNIT_BYTES,
	UNIT_BYTES_PER_S,
};

struct phrase {
	enum counter counter;
	enum unit unit;
	const char *words;
};

/* A subject, followed by phrases separated by commas, on as many lines as necessary. */
struct subject {
	const char *head;
	const struct phrase *phrases; /* or, without any, */
	size_t phrases_len;
	enum counter timer;
	enum stage_id stage; /* shown if that is up */
};

static const struct phrase network[] = {
    {COUNT_FETCHED_BYTES, UNIT_BYTES, "received"},
    {COUNT_WASTED_BYTES, UNIT_BYTES, "wasted"},
    {COUNT_REQUESTS, UNIT_COUNT, "requests"},
    {COUNT_FETCHES_DONE, UNIT_COUNT, "fetched"},
    {COUNT_FETCHES_FAILED, UNIT_COUNT, "failed"},
    {COUNT_RANGES_REFUSED, UNIT_COUNT, "ranges refused"},
    {COUNT_MIRRORS_LEFT, UNIT_COUNT, "mirrors abandoned"},
    {COUNT_PAUSES_PIPE, UNIT_COUNT, "pauses for ingestd"},
    {COUNT_PAUSES_BANDWIDTH, UNIT_COUNT, "pauses for the bandwidth limit"},
};
static const struct phrase fetching[] = {
    {COUNT_FETCHES_BUSY, UNIT_COUNT, "busy"},
    {COUNT_FETCHES_IN_LINE, UNIT_COUNT, "waiting for a connection"},
    {COUNT_FETCHES_WAITING, UNIT_COUNT, "waiting to retry"},
    {COUNT_BREAKERS_OPEN, UNIT_COUNT_IF_ANY, "servers unavailable"},
};
static const struct phrase retries[] = {
    {COUNT_RETRIES_ADDRESS, UNIT_COUNT_IF_ANY, "no address"},
    {COUNT_RETRIES_CONNECTION, UNIT_COUNT_IF_ANY, "no connection"},
    {COUNT_RETRIES_TLS, UNIT_COUNT_IF_ANY, "TLS"},
    {COUNT_RETRIES_BROKEN, UNIT_COUNT_IF_ANY, "broken off"},
    {COUNT_RETRIES_STALLED, UNIT_COUNT_IF_ANY, "stalled"},
    {COUNT_RETRIES_BUSY, UNIT_COUNT_IF_ANY, "server busy"},
    {COUNT_RETRIES_STATUS, UNIT_COUNT_IF_ANY, "status"},
    {COUNT_RETRIES_SHORT, UNIT_COUNT_IF_ANY, "short"},
    {COUNT_RETRIES_OTHER, UNIT_COUNT_IF_ANY, "other"},
};
static const struct phrase bytes[] = {
    {COUNT_RECEIVED_BYTES, UNIT_BYTES, "received"}, {COUNT_WRITTEN_BYTES, UNIT_BYTES, "written"},
    {COUNT_REHASHED_BYTES, UNIT_BYTES, "rehashed"}, {COUNT_DUPLICATE_BYTES, UNIT_BYTES, "duplicate"},
    {COUNT_RATE, UNIT_BYTES_PER_S, "now"},
};
static const struct phrase transfers[] = {
    {COUNT_INGESTS_QUEUED, UNIT_COUNT_IF_ANY, "queued"},
    {COUNT_INGESTS_FETCHING, UNIT_COUNT_IF_ANY, "fetching"},
    {COUNT_INGESTS_SEALED, UNIT_COUNT_IF_ANY, "sealed"},
    {COUNT_INGESTS_FAILED, UNIT_COUNT_IF_ANY, "failed"},
    {COUNT_INGESTS_FOR_SPACE, UNIT_COUNT_IF_ANY, "waiting for space"},
    {COUNT_INGESTS_FOR_LOCK, UNIT_COUNT_IF_ANY, "waiting for a lock"},
    {COUNT_INGESTS_FOR_TIME, UNIT_COUNT_IF_ANY, "waiting to retry"},
    {COUNT_INGESTS_FOR_ASKER, UNIT_COUNT_IF_ANY, "idle"},
};
static const struct phrase ended[] = {
    {COUNT_ENDED_COMMITTED, UNIT_COUNT, "committed"},
    {COUNT_ENDED_FAILED, UNIT_COUNT, "failed"},
    {COUNT_STARTED_OVER, UNIT_COUNT, "started over"},
    {COUNT_ORDERS, UNIT_COUNT, "orders"},
    {COUNT_GAPS, UNIT_COUNT, "gaps"},
    {COUNT_SILENT, UNIT_COUNT, "silences"},
    {COUNT_INGESTS_COLLECTED, UNIT_COUNT_IF_ANY, "removed by gc"},
};
static const struct phrase disk[] = {
    {COUNT_SPACE_FREE, UNIT_BYTES, "free"},
    {COUNT_SPACE_SIZE, UNIT_BYTES, "in all"},
    {COUNT_INODES_FREE, UNIT_COUNT, "inodes free"},
};
static const struct phrase commits[] = {
    {COUNT_COMMITS, UNIT_COUNT, "blobs"},
    {COUNT_COMMITTED_BYTES, UNIT_BYTES, "in all"},
    {COUNT_READ_BACK_BYTES, UNIT_BYTES, "read back"},
    {COUNT_SEALS_IN_HAND, UNIT_COUNT, "pending"},
    {COUNT_REJECTED_DATA, UNIT_COUNT_IF_ANY, "rejected for wrong data"},
    {COUNT_REJECTED_MISSING, UNIT_COUNT_IF_ANY, "rejected as missing"},
    {COUNT_REJECTED_IO, UNIT_COUNT_IF_ANY, "rejected for I/O errors"},
    {COUNT_REJECTED_SPACE, UNIT_COUNT_IF_ANY, "rejected for lack of space"},
    {COUNT_REJECTED_OTHER, UNIT_COUNT_IF_ANY, "rejected for other reasons"},
};
static const struct phrase names[] = {
    {COUNT_NAMES_SET, UNIT_COUNT, "set"},
    {COUNT_NAMES_REMOVED, UNIT_COUNT, "removed"},
};
static const struct phrase collected[] = {
    {COUNT_GC_RUNS, UNIT_COUNT, "runs"},
    {COUNT_GC_REMOVED, UNIT_COUNT, "blobs removed"},
    {COUNT_GC_REMOVED_BYTES, UNIT_BYTES, "freed"},
    {COUNT_LEASES, UNIT_COUNT, "leases"},
};
static const struct phrase backlog[] = {
    {COUNT_BACKLOG_ORDERS, UNIT_COUNT, "orders"},
    {COUNT_BACKLOG_CHUNKS, UNIT_COUNT, "chunks"},
    {COUNT_BACKLOG_SEALS, UNIT_COUNT, "seals"},
    {COUNT_BACKLOG_RECEIPTS, UNIT_COUNT, "receipts"},
};
static const struct phrase refused[] = {
    {COUNT_REFUSED_ORDERS, UNIT_COUNT_IF_ANY, "orders"},
    {COUNT_REFUSED_CHUNKS, UNIT_COUNT_IF_ANY, "chunks"},
    {COUNT_REFUSED_RECEIPTS, UNIT_COUNT_IF_ANY, "receipts"},
    {COUNT_REFUSED_SEALS, UNIT_COUNT_IF_ANY, "seals"},
    {COUNT_REFUSED_INGEST_CTL, UNIT_COUNT_IF_ANY, "requests to ingestd"},
    {COUNT_REFUSED_COMMIT_CTL, UNIT_COUNT_IF_ANY, "requests to commitd"},
};
static const struct phrase restarts[] = {
    {COUNT_INGESTD_SAW_FETCHD, UNIT_COUNT, "of fetchd"},
    {COUNT_COMMITD_SAW_INGESTD, UNIT_COUNT, "of ingestd"},
    {COUNT_INGESTD_SAW_COMMITD, UNIT_COUNT, "of commitd"},
};

#define ANY_STAGE     ((enum stage_id)0)
#define PHRASES(rows) .phrases = (rows), .phrases_len = sizeof(rows) / sizeof((rows)[0])

static const struct subject subjects[] = {
    {.stage = STAGE_FETCHD, .head = "network", PHRASES(network)},
    {.stage = STAGE_FETCHD, .head = "fetching", PHRASES(fetching)},
    {.stage = STAGE_FETCHD, .head = "retries", PHRASES(retries)},
    {.stage = STAGE_INGESTD, .head = "bytes", PHRASES(bytes)},
    {.stage = STAGE_INGESTD, .head = "transfers", PHRASES(transfers)},
    {.stage = STAGE_INGESTD, .head = "ended", PHRASES(ended)},
    {.stage = STAGE_INGESTD, .head = "checkpoint", .timer = COUNT_CHECKPOINT_TIME},
    {.stage = STAGE_INGESTD, .head = "seal", .timer = COUNT_SEAL_TIME},
    {.stage = STAGE_INGESTD, .head = "disk", PHRASES(disk)},
    {.stage = STAGE_COMMITD, .head = "commits", PHRASES(commits)},
    {.stage = STAGE_COMMITD, .head = "batches", .timer = COUNT_BATCH_TIME},
    {.stage = STAGE_COMMITD, .head = "names", PHRASES(names)},
    {.stage = STAGE_COMMITD, .head = "gc", PHRASES(collected)},
    {.stage = ANY_STAGE, .head = "backlog", PHRASES(backlog)},
    {.stage = ANY_STAGE, .head = "refused", PHRASES(refused)},
    {.stage = ANY_STAGE, .head = "restarts", PHRASES(restarts)},
};

/* The line being written. */
struct line {
	size_t used;
	bool begun;
};

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

static void say_phrase(struct line *l, uint64_t value, const struct phrase *p)
{
	char text[PHRASE_ROOM], size[TEXT_PROSE_ROOM];

	text_size_prose(value, size);
	switch (p->unit) {
	case UNIT_COUNT_IF_ANY:
		if (value == 0)
			return;
		/* fall through */
	case UNIT_COUNT:
		(void)snprintf(text, sizeof(text), "%" PRIu64 " %s", value, p->words);
		break;
	case UNIT_BYTES:
	case UNIT_BYTES_PER_S:
		(void)snprintf(text, sizeof(text), "%s%s %s", size, p->unit == UNIT_BYTES ? "" : "/s", p->words);
		break;
	}
	say(l, text);
}

/* "12 times, 13 ms on average, all within 30 ms" */
static void say_timer(struct line *l, const struct counts *f, enum counter timer)
{
	char text[PHRASE_ROOM];
	uint64_t count = counts_timer_count(f, timer);
	unsigned worst = TIMER_BUCKETS;

	while (worst > 0 && f->values[timer + worst - 1] == 0)
		worst--;
	(void)snprintf(text, sizeof(text), "%" PRIu64 " times", count);
	say(l, text);
	if (count > 0) {
		(void)snprintf(text, sizeof(text), "%" PRIu64 " ms on average",
			       f->values[timer + TIMER_BUCKETS] / count);
		say(l, text);
	}
	if (worst == TIMER_BUCKETS)
		(void)snprintf(text, sizeof(text), "some over %" PRIu64 " ms", timer_bounds_ms[TIMER_BUCKETS - 2]);
	else if (worst > 0)
		(void)snprintf(text, sizeof(text), "all within %" PRIu64 " ms", timer_bounds_ms[worst - 1]);
	if (worst > 0)
		say(l, text);
}

static void show_subject(const struct counts *f, const struct subject *s)
{
	struct line l = {.used = HEAD_COLUMNS};

	(void)printf("%-*s", HEAD_COLUMNS, s->head);
	for (size_t i = 0; i < s->phrases_len; i++)
		say_phrase(&l, f->values[s->phrases[i].counter], &s->phrases[i]);
	if (s->phrases_len == 0)
		say_timer(&l, f, s->timer);
	if (!l.begun)
		say(&l, "none");
	(void)putchar('\n');
}

static void show_stages(const struct counts *f)
{
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const struct counts_stage *s = &f->stages[i];
		char since[DATE_TEXT_SIZE];
		date_format(s->started_s, since);
		if (s->up)
			(void)printf("%-*sup since %s, version %s\n", HEAD_COLUMNS, stage_name(i), since, s->version);
		else
			(void)printf("%-*sdown: %s\n", HEAD_COLUMNS, stage_name(i), s->why.text);
	}
}

static void show(const struct counts *f)
{
	show_stages(f);
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (subjects[i].stage == ANY_STAGE || f->stages[subjects[i].stage].up)
			show_subject(f, &subjects[i]);
}

static struct json_t *stage_json(const struct counts *f, enum stage_id i)
{
	const struct counts_stage *s = &f->stages[i];
	struct json_t *object = json_object_make();
	char started[DATE_TEXT_SIZE];

	if (!object)
		return NULL;
	date_format(s->started_s, started);
	(void)json_set_text(object, "stage", stage_name(i));
	(void)json_set_bool(object, "up", s->up);
	(void)json_set_text(object, s->up ? "started" : "error", s->up ? started : s->why.text);
	if (s->up)
		(void)json_set_text(object, "version", s->version);
	return object;
}

/* Uses the names of the metrics, with labels, so that there is one set of names to learn; for a timer, its count. */
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
