/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/collect.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Base */
#include "common/base/array.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/text.h"

/* Store */
#include "common/store/ages.h"

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/queue.h"

#define BLOCK_BYTES 512u /* of st_blocks */

enum stage { STAGE_NONE, STAGE_MEASURE, STAGE_CLOSE, STAGE_NOTE };

/* An unfinished transfer, as the run found it. */
struct row {
	char *ref; /* owned */
	uint64_t offset, orders, age_s;
	uint64_t phase_s; /* whether it is still the same rest */
	uint64_t bytes;   /* on disk */
	bool rests, is_removed;
};

struct collect {
	struct flow *flow;
	const struct collect_hooks *hooks;
	void *self;
	struct loop_timer hourly;
	struct work work;
	enum stage stage;
	bool is_stopping;
	struct collect_report report;

	struct row *rows; /* owned; those that rest come first, and of them those that have rested longest */
	size_t len, room, next;
	uint64_t total; /* bytes of all ingests */
	int data_fd;    /* of the one that was removed last: the last link to its data */

	struct collect_item *items; /* owned */
	size_t items_len, items_room;
};

void collect_key(struct span ref, uint64_t offset, uint64_t orders, struct digest *ret_key)
{
	char id[INGEST_ID_SIZE], text[INGEST_ID_SIZE + 48];

	layout_ingest_id(ref, id);
	int len = snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64, id, offset, orders);
	digest_of(HASH_SHA256, text, (size_t)len, ret_key);
}

static void fail(struct collect *c, enum fail_class f, const char *text)
{
	if (c->report.outcome != FAIL_NONE)
		return;
	c->report.outcome = f;
	reason_set(&c->report.why, "%s", text);
}

/* ── what is there ── */

/* Whether nothing works on it, and nobody waits for it. What waits for space holds space, too. */
static bool is_left(const struct collect *c, const struct transfer *t)
{
	bool rests = transfer_rests(t) && !t->in;

	return (rests || t->phase == PHASE_FOR_SPACE) && !c->hooks->is_heard(c->self, span_str(t->ref));
}

static int list_one(struct collect *c, const struct transfer *t)
{
	struct row *rows = array_room(c->rows, c->len, &c->room, sizeof(*rows));
	char *ref = strdup(t->ref);

	if (rows)
		c->rows = rows;
	if (!rows || !ref) {
		free(ref);
		return -ENOMEM;
	}
	rows[c->len++] = (struct row){
	    .ref = ref,
	    .offset = t->offset,
	    .orders = t->orders,
	    .age_s = transfer_age_s(t),
	    .phase_s = t->phase_s,
	    .rests = is_left(c, t),
	};
	return 0;
}

static int list_all(struct collect *c)
{
	const struct transfers *ts = c->flow->transfers;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ts->len; i++)
		if (ts->by_ref[i]->phase != PHASE_COMMITTED)
			r = list_one(c, ts->by_ref[i]);
	return r;
}

static uint64_t measure(const struct layout *l, const char *ref)
{
	static const char *const names[] = {INGEST_TRANSFER, INGEST_DATA, INGEST_CHECKPOINT, INGEST_LOCK};
	char id[INGEST_ID_SIZE];
	AUTO_FD dir_fd = -1;
	uint64_t bytes = 0;
	struct stat st;

	layout_ingest_id(span_str(ref), id);
	if (dir_open_at(layout_ingest_fd(l), id, false, &dir_fd) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (fstatat(dir_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			bytes += (uint64_t)st.st_blocks * BLOCK_BYTES;
	return bytes;
}

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->rests != y->rests)
		return x->rests ? -1 : 1;
	if (x->age_s != y->age_s)
		return x->age_s > y->age_s ? -1 : 1;
	return strcmp(x->ref, y->ref);
}

static void run_measure(struct collect *c)
{
	for (size_t i = 0; i < c->len; i++) {
		c->rows[i].bytes = measure(c->flow->home->layout, c->rows[i].ref);
		c->total += c->rows[i].bytes;
	}
	if (c->len > 1)
		qsort(c->rows, c->len, sizeof(*c->rows), compare);
}

/* ── what goes ── */

static void note(struct collect *c, const struct row *row, enum gc_fate fate)
{
	c->report.count[fate]++;
	c->report.bytes[fate] += row->bytes;
	if (c->items_len >= COLLECT_ITEMS_MAX)
		return;
	struct collect_item *items = array_room(c->items, c->items_len, &c->items_room, sizeof(*items));
	if (!items)
		return;
	c->items = items;
	char *ref = strdup(row->ref);
	if (ref)
		items[c->items_len++] =
		    (struct collect_item){.fate = fate, .bytes = row->bytes, .age_s = row->age_s, .ref = ref};
}

static bool may_go(const struct collect *c, const struct row *row)
{
	const struct collect_order *order = &c->report.order;
	uint64_t max = c->flow->settings->ingest_max_bytes;
	uint64_t keep_s = row->offset > 0 ? TRANSFER_KEEP_S : TRANSFER_KEEP_EMPTY_S;

	if (order->has_age && (row->offset > 0 || order->older_s < keep_s))
		keep_s = order->older_s;
	return (row->age_s >= keep_s || (max > 0 && c->total > max)) && c->report.bytes[GC_REMOVED] < order->want;
}

/* Keep the data open, so that a worker gives its space back. */
static void hold_data(struct collect *c, const char *ref)
{
	char id[INGEST_ID_SIZE];
	AUTO_FD dir_fd = -1;

	layout_ingest_id(span_str(ref), id);
	if (dir_open_at(layout_ingest_fd(c->flow->home->layout), id, false, &dir_fd) == 0)
		(void)file_open_read_at(dir_fd, INGEST_DATA, &c->data_fd, NULL);
}

static void remove_one(struct collect *c, struct row *row)
{
	struct reason why = {"out of memory"};

	hold_data(c, row->ref);
	int r = FAILPOINT(NAME, "collect.remove", queue_abort(c->flow, span_str(row->ref), &why));
	if (r == -EWOULDBLOCK) { /* 'ingestd put' feeds it */
		note(c, row, GC_WAITS);
	} else if (r < 0 && r != -ENOENT) {
		fail(c, FAIL_IO, why.text);
		note(c, row, GC_WAITS);
	} else {
		row->is_removed = true;
		c->total -= row->bytes;
		note(c, row, GC_REMOVED);
	}
}

static void submit(struct collect *c, enum stage stage);

/* One of the rows. True: it was removed, or that was tried. */
static bool decide(struct collect *c, struct row *row)
{
	const struct transfer *t = transfers_find(c->flow->transfers, span_str(row->ref));

	row->rests = t && t->phase_s == row->phase_s && is_left(c, t); /* else somebody asked for it meanwhile */
	if (!row->rests)
		return false;
	if (!may_go(c, row)) {
		note(c, row, GC_WAITS);
		return false;
	}
	if (!c->report.order.dry_run) {
		remove_one(c, row);
		return true;
	}
	c->total -= row->bytes;
	note(c, row, GC_REMOVED);
	return false;
}

/* No more than one is removed in a turn of the loop. */
static void step(struct collect *c)
{
	enum stage next = STAGE_NOTE;

	for (; next == STAGE_NOTE && c->next < c->len && c->rows[c->next].rests; c->next++)
		if (decide(c, &c->rows[c->next]))
			next = STAGE_CLOSE;
	submit(c, next);
}

/* ── what stays ── */

static int keep_ages(const struct collect *c, struct ages *ages, bool *ret_any)
{
	struct digest key;
	int r = 0;

	*ret_any = false;
	for (size_t i = 0; r == 0 && i < c->len; i++) {
		const struct row *row = &c->rows[i];
		if (!row->rests || row->is_removed)
			continue;
		collect_key(span_str(row->ref), row->offset, row->orders, &key);
		r = ages_put(ages, &key, row->age_s);
		*ret_any = true;
	}
	return r;
}

/* If it cannot be written, as on a full disk, a later run or a restart begins from the former ages. */
static void run_note(const struct collect *c)
{
	const struct layout *l = c->flow->home->layout;
	struct ages *ages = NULL;
	bool any = false;

	if (c->report.order.dry_run)
		return;
	int r = ages_load(layout_ingest_fd(l), LAYOUT_AGES, c->flow->home->boot_id, &ages);
	if (r == 0)
		r = keep_ages(c, ages, &any);
	if (r == 0)
		r = any ? ages_store(ages, layout_ingest_fd(l), LAYOUT_AGES)
			: FAILPOINT(NAME, "collect.forget", name_remove_at(layout_ingest_fd(l), LAYOUT_AGES));
	if (r < 0)
		log_errno(r, "cannot write '%s/" LAYOUT_INGEST "/" LAYOUT_AGES "'", layout_path(l));
	ages_free(ages);
}

/* ── the run ── */

static void work_run(struct work *w)
{
	struct collect *c = (struct collect *)((char *)w - offsetof(struct collect, work));

	switch (c->stage) {
	case STAGE_MEASURE:
		run_measure(c);
		break;
	case STAGE_CLOSE:
		c->data_fd = close_fd(c->data_fd);
		break;
	case STAGE_NOTE:
		run_note(c);
		break;
	case STAGE_NONE:
		break;
	}
}

static void release_rows(struct collect *c)
{
	for (size_t i = 0; i < c->len; i++)
		free(c->rows[i].ref);
	free(c->rows);
	c->rows = NULL;
	c->len = c->room = c->next = 0;
}

static void log_report(const struct collect_report *report)
{
	char removed[TEXT_PROSE_ROOM], waiting[TEXT_PROSE_ROOM];

	text_size_prose(report->bytes[GC_REMOVED], removed);
	text_size_prose(report->bytes[GC_WAITS], waiting);
	if (report->outcome != FAIL_NONE)
		log_warning("gc: removed %" PRIu64 " transfers (%s), but not all: %s", report->count[GC_REMOVED],
			    removed, report->why.text);
	else if (report->order.is_asked || report->count[GC_REMOVED] > 0)
		log_info("gc: removed %" PRIu64 " transfers (%s); %" PRIu64 " more rest (%s)",
			 report->count[GC_REMOVED], removed, report->count[GC_WAITS], waiting);
}

static void end(struct collect *c)
{
	const struct collect_report *report = &c->report;

	c->stage = STAGE_NONE;
	release_rows(c);
	if (!report->order.dry_run) {
		count_add(COUNT_INGESTS_COLLECTED, report->count[GC_REMOVED]);
		count_add(COUNT_INGESTS_COLLECTED_BYTES, report->bytes[GC_REMOVED]);
		log_report(report);
	}
	c->hooks->done(c->self, report);
}

static void work_done(struct work *w)
{
	struct collect *c = (struct collect *)((char *)w - offsetof(struct collect, work));

	if (c->is_stopping)
		return;
	if (c->stage == STAGE_NOTE)
		end(c);
	else
		step(c);
}

static void submit(struct collect *c, enum stage stage)
{
	c->stage = stage;
	c->work = (struct work){.run = work_run, .done = work_done};
	workers_submit(c->flow->workers, &c->work);
}

bool collect_start(struct collect *c, const struct collect_order *order)
{
	if (c->stage != STAGE_NONE || c->is_stopping)
		return false;
	while (c->items_len > 0)
		free(c->items[--c->items_len].ref);
	c->report = (struct collect_report){.order = *order, .outcome = FAIL_NONE};
	c->total = 0;
	if (list_all(c) < 0) {
		fail(c, FAIL_AGAIN, "out of memory");
		end(c);
		return true;
	}
	submit(c, STAGE_MEASURE);
	return true;
}

/* ── life ── */

static void on_hour(void *self)
{
	(void)collect_start(self, &(struct collect_order){.want = SIZE_UNKNOWN});
}

int collect_new(struct loop *loop, struct flow *f, const struct collect_hooks *hooks, void *self,
		struct collect **ret_collect)
{
	struct collect *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->flow = f;
	c->hooks = hooks;
	c->self = self;
	c->data_fd = -1;
	loop_timer_init(&c->hourly, loop, on_hour, c);
	loop_timer_every(&c->hourly, COLLECT_EVERY_MS, COLLECT_EVERY_MS);
	*ret_collect = c;
	return 0;
}

void collect_stop(struct collect *c)
{
	if (c->is_stopping)
		return;
	loop_timer_stop(&c->hourly);
	c->is_stopping = true;
	if (c->stage == STAGE_NONE)
		return;
	fail(c, FAIL_AGAIN, "ingestd stops");
	c->hooks->done(c->self, &c->report);
}

void collect_free(struct collect *c)
{
	if (!c)
		return;
	loop_timer_stop(&c->hourly);
	(void)close_fd(c->data_fd);
	release_rows(c);
	while (c->items_len > 0)
		free(c->items[--c->items_len].ref);
	free(c->items);
	free(c);
}

const struct collect_item *collect_item(const struct collect *c, size_t number)
{
	return c->stage == STAGE_NONE && number < c->items_len ? &c->items[number] : NULL;
}
