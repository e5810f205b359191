/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of gc that is ingestd's: it removes transfers that nobody works on and no client waits for. One run at a
 * time, on request and once an hour:
 *
 *   measure   worker   how much space each ingest takes
 *   remove    loop     one, as ABORT does; so a request comes before, and keeps it, or after, and begins anew
 *   close     worker   gives the space of its data back, which may take long; then the next one
 *   note      worker   writes ingest/ages: for how long the others have rested
 *
 * How long a transfer has rested counts from when it failed or was left, for as long as the machine ran. In the file an
 * age belongs to an ID, an offset and a number of orders: if any of them changes while we do not look, it is new.
 */
#ifndef SLUICE_INGESTD_COLLECT_H
#define SLUICE_INGESTD_COLLECT_H

#include "ingestd/flow.h"

#define COLLECT_EVERY_MS  3600000u
#define COLLECT_ITEMS_MAX 10000 /* listed one by one; all are counted */

struct loop;
struct collect;

struct collect_order {
	bool dry_run;
	bool has_age; /* `older_s` holds instead of TRANSFER_KEEP_S; also of TRANSFER_KEEP_EMPTY_S, if it is less */
	uint64_t older_s;
	uint64_t want;   /* bytes: remove those that rested longest until so much is freed; SIZE_UNKNOWN: all */
	bool is_asked;   /* false: the hour has come */
	uint64_t client; /* who asked */
};

struct collect_item {
	enum gc_fate fate; /* GC_REMOVED or GC_WAITS */
	uint64_t bytes;
	uint64_t age_s;
	char *ref; /* owned */
};

struct collect_report {
	struct collect_order order;
	enum fail_class outcome; /* FAIL_NONE; else `why`; what was removed is counted */
	struct reason why;
	uint64_t count[GC_FATES + 1], bytes[GC_FATES + 1]; /* by enum gc_fate */
};

struct collect_hooks {
	/* Whether a client waits to hear of that ref. */
	bool (*is_heard)(void *self, struct span ref);
	/* A run has ended. */
	void (*done)(void *self, const struct collect_report *report);
};

/* `f` and `hooks` are borrowed; the first run is due in an hour. 0 or -ENOMEM. */
int collect_new(struct loop *loop, struct flow *f, const struct collect_hooks *hooks, void *self,
		struct collect **ret_collect);

/* Only when the workers are freed. NULL is fine. */
void collect_free(struct collect *c);

/* Start a run. False: one is in progress, or we stop. */
bool collect_start(struct collect *c, const struct collect_order *order);

/* No more runs; one in progress removes nothing more, and is reported now. */
void collect_stop(struct collect *c);

/* What the last run found, by number from 0. NULL: no more, or a run is in progress. Borrowed until the next run. */
const struct collect_item *collect_item(const struct collect *c, size_t number);

/* What an age in ingest/ages belongs to. */
void collect_key(struct span ref, uint64_t offset, uint64_t orders, struct digest *ret_key);

#endif
