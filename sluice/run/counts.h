/*
 * What the stages have counted, asked of each of them: for `metrics`, `stats` and `doctor`.
 */
#ifndef SLUICE_SLUICE_RUN_COUNTS_H
#define SLUICE_SLUICE_RUN_COUNTS_H

/* System */
#include <stdbool.h>

/* Base */
#include "common/base/reason.h"

/* Wire */
#include "common/wire/counters.h"

struct figures_stage {
	bool runs; /* it holds its lock */
	bool up;   /* it has answered, fetchd through ingestd; else `why`, and the rest is empty */
	struct reason why;
	uint64_t incarnation;
	uint64_t started_s; /* wall clock */
	uint64_t updated_s; /* when it counted; by its own clock */
	char version[VERSION_TEXT_MAX + 1];
};

struct figures {
	struct figures_stage stages[STAGE_COMMITD + 1]; /* by enum stage_id */
	uint64_t values[COUNTERS];                      /* 0 for a stage that is not up */
};

#define FIGURES_PATIENCE_MS 3000u /* a stage that holds its lock and says nothing for so long is not up */

/* Ask all stages. Blocks up to FIGURES_PATIENCE_MS for each that runs and does not answer. */
void figures_gather(const char *runtime_dir, struct figures *ret_figures);

bool figures_any_up(const struct figures *f);

/* "fetchd" */
const char *figures_stage_name(enum stage_id stage);

/* Whose number it is. */
enum stage_id figures_stage_of(enum counter c);

/* How often something took how long: the sum of a timer's buckets. */
uint64_t figures_timer_count(const struct figures *f, enum counter timer);

#endif
