/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The display of a running pull: on a terminal, bars on stderr that are redrawn in place; elsewhere, a line for each
 * change on stdout, before the result, so that stderr is for errors; the same as JSON, one object per line; or nothing.
 */
#ifndef SLUICE_SLUICE_SHOW_PROGRESS_H
#define SLUICE_SLUICE_SHOW_PROGRESS_H

/* System */
#include <stdbool.h>
#include <stdint.h>

/* Sluice */
#include "sluice/show/bar.h"

#define PROGRESS_DRAW_MS 100u

enum progress_mode {
	PROGRESS_NONE,
	PROGRESS_LINES,
	PROGRESS_BARS,
	PROGRESS_JSON,
};

struct progress;

/* Depends on the options and on whether stderr is a terminal. */
enum progress_mode progress_mode_for(bool json, bool quiet);

int progress_new(enum progress_mode mode, struct progress **ret_progress);

/* What was drawn last stays on the terminal. NULL is fine. */
void progress_free(struct progress *p);

/* A new blob: its number is `ret_id`. 0 or -ENOMEM. */
int progress_add(struct progress *p, const char *ref, uint64_t total, size_t *ret_id);

/* What is known about blob `id`; the caller may change it and then calls progress_changed(). */
struct bar *progress_bar(struct progress *p, size_t id);
void progress_changed(struct progress *p, size_t id);

/* Draw again if that is due. */
void progress_tick(struct progress *p);

/* Print a line that stays: above the bars, or among the lines. */
void progress_note(struct progress *p, const char *text);

/* Draw for the last time: what is written to the terminal next appears below. */
void progress_finish(struct progress *p);

#endif
