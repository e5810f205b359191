/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of all stages: for `metrics`, `stats` and `doctor`. */
#ifndef SLUICE_SLUICE_RUN_COUNTS_H
#define SLUICE_SLUICE_RUN_COUNTS_H

/* System */
#include <stdbool.h>

/* Base */
#include "common/base/reason.h"

/* Wire */
#include "common/wire/counters.h"

struct counts_stage {
	bool runs; /* it accepts connections; fetchd: its lock is held */
	bool up;   /* it has answered (fetchd through ingestd); else see `why`, and the rest is empty */
	struct reason why;
	uint64_t incarnation;
	uint64_t started_s; /* wall clock */
	uint64_t updated_s; /* when it counted; by its own clock */
	char version[VERSION_TEXT_MAX + 1];
};

struct counts {
	struct counts_stage stages[STAGE_COMMITD + 1]; /* by enum stage_id */
	uint64_t values[COUNTERS];                     /* 0 for a stage that is not up */
};

#define COUNTS_PATIENCE_MS 3000u /* a stage that does not answer for this long is not up */

/* Ask all stages. Blocks up to COUNTS_PATIENCE_MS for each that runs but does not answer. */
void counts_gather(const char *runtime_dir, struct counts *ret_counts);

bool counts_any_up(const struct counts *c);

/* The stage that a counter belongs to. */
enum stage_id counts_stage_of(enum counter counter);

/* How many events a timer has counted: the sum of its buckets. */
uint64_t counts_timer_count(const struct counts *c, enum counter timer);

#endif
