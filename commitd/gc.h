/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc: removes the blobs that no name and no lease needs. One run at a time, in steps on two threads:
 *
 *   begin    committer   from now on, whoever comes to need something pins it (pins.h); leases whose time is over end
 *   mark     collector   lists what is stored, then walks from every name and every lease
 *   sweep    committer   unlinks some, with the leases' lock, and none that was pinned meanwhile
 *   close    collector   gives their space back, which may take long; then the next sweep
 *   finish   collector   writes down what is unneeded, and since when
 *
 * The committer's thread is the one that commits, names and leases, so each of these comes before an unlink, and pins, or
 * after it, and finds the content absent.
 *
 * A blob goes only if a gc at least `older_s` earlier found it unneeded, too: other programs write to a layout before
 * they name, and take no leases. If the needs of a name or a lease cannot be known, because a manifest is damaged,
 * missing or unreadable, nothing goes.
 */
#ifndef SLUICE_COMMITD_GC_H
#define SLUICE_COMMITD_GC_H

#include "commitd/leases.h"
#include "common/base/workers.h"
#include "common/wire/message.h"

#define GC_ITEMS_MAX  10000  /* listed one by one; all are counted */
#define GC_SWEEP_STEP 64     /* unlinked before commits get their turn; each keeps a descriptor open meanwhile */
#define GC_LOCK_MS    30000u /* how long to wait for a 'commitd commit' that has the leases' lock */

struct gc;

struct gc_order {
	bool dry_run;
	bool ends_idle;   /* also end leases that were left, and have been idle for `older_s` */
	uint64_t older_s; /* the grace */
	uint64_t want;    /* bytes: remove the oldest until so much is freed; SIZE_UNKNOWN: all */
};

struct gc_item {
	enum gc_fate fate;
	struct digest digest; /* not of a lease */
	uint64_t bytes;
	uint64_t age_s;                   /* since it was first found unneeded; of a lease, since it was last renewed */
	char text[LEASE_PURPOSE_MAX + 1]; /* of a lease, its purpose */
};

struct gc_report {
	enum fail_class outcome; /* FAIL_NONE; else `why`; what was removed until then is counted */
	struct reason why;
	uint64_t count[GC_FATES + 1], bytes[GC_FATES + 1]; /* by enum gc_fate */
};

struct gc_env {
	struct layout *layout;
	struct workers *committer, *collector;
	struct pins *pins;
	struct leases *leases;
	/* A run has ended. On the loop. */
	void (*done)(void *self, const struct gc_report *report);
	void *self;
};

/* 0 or -ENOMEM. `env` is copied, what it points to is borrowed. */
int gc_new(const struct gc_env *env, struct gc **ret_gc);

/* Only while no run is in progress, or after gc_halt() and when both pools are freed. NULL is fine. */
void gc_free(struct gc *g);

/* Start a run. False: one is in progress. */
bool gc_start(struct gc *g, const struct gc_order *order);
bool gc_is_running(const struct gc *g);

/* End a run in progress soon; `done` is still called. */
void gc_stop(struct gc *g);

/* The pools are about to be freed: a run in progress ends with its present step, and `done` is not called. */
void gc_halt(struct gc *g);

/* What the last run found, by number from 0. NULL: no more, or a run is in progress. Borrowed until the next run. */
const struct gc_item *gc_item(const struct gc *g, size_t number);

#endif
