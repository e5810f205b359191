/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and texts as people read them: durations, refs, wrapped text; sizes are in common/base/text.h.
 */
#ifndef SLUICE_SLUICE_SHOW_TEXT_H
#define SLUICE_SLUICE_SHOW_TEXT_H

/* System */
#include <stdint.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/text.h"

#define TEXT_DURATION_ROOM 8  /* "59m59s" */
#define TEXT_LABEL_ROOM    13 /* 12 hex digits */
#define TEXT_AGE_ROOM      8  /* "9999y" */

#define TEXT_MIDDLE_MIN    4 /* columns: "a..b" */

#define TEXT_ETA_UNKNOWN   UINT64_MAX

/* At most 6 characters: "5s", "59m59s", "23h59m", "99d23h", ">99d". */
void text_duration(uint64_t seconds, char ret_text[static TEXT_DURATION_ROOM]);

/* An age in one unit, at most 6 characters: "59s", "59m", "47h", "729d", "2y". */
void text_age(uint64_t seconds, char ret_text[static TEXT_AGE_ROOM]);

/* Seconds until `total` is reached at `rate` bytes per second, rounded up, or TEXT_ETA_UNKNOWN. */
uint64_t text_eta_s(uint64_t offset, uint64_t total, uint64_t rate);

/* A ref in a few characters: the first digits of a digest, the file name in a URL, or "manifest". */
void text_label(const char *ref, char ret_label[static TEXT_LABEL_ROOM]);

/*
 * The most columns that a line takes on a terminal, where a non-ASCII character may be wide; and how many bytes of it,
 * in whole characters, fit into a number of columns.
 */
size_t text_columns(struct span line);
size_t text_fit(const char *line, size_t columns);

/*
 * Append `line` in at most `columns` (TEXT_MIDDLE_MIN or more); if it takes more, ".." replaces its middle: beginning and
 * end tell names apart. 0 or -ENOMEM.
 */
int text_middle(const char *line, size_t columns, struct buf *out);

/*
 * Append `text` as lines, each with a newline, indented by two and at most `width` columns wide, broken at blanks where
 * possible. If there are more than `lines_max`, the last one ends with "..". 0 or -ENOMEM.
 */
int text_wrap(const char *text, unsigned width, unsigned lines_max, struct buf *out);

#endif
