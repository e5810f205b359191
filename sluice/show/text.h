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

#define TEXT_ETA_UNKNOWN   UINT64_MAX

/* At most 6 characters: "5s", "59m59s", "23h59m", "99d23h", ">99d". */
void text_duration(uint64_t seconds, char ret_text[static TEXT_DURATION_ROOM]);

/* Seconds until `total` is there at `rate` bytes a second, rounded up, or TEXT_ETA_UNKNOWN. */
uint64_t text_eta_s(uint64_t offset, uint64_t total, uint64_t rate);

/* A ref in a few characters: the first digits of a digest, the name of a URL's file, or "manifest". */
void text_label(const char *ref, char ret_label[static TEXT_LABEL_ROOM]);

/*
 * At most how many columns a line takes on a terminal: a character beyond ASCII may be wide. And how many bytes of it
 * fit into so many, whole characters only.
 */
size_t text_columns(struct span line);
size_t text_fit(const char *line, size_t columns);

/*
 * Append `text` as lines with a newline each, all indented by two and at most `width` columns wide, broken at blanks
 * where it can be. Of more than `lines_max` the last one ends with "..". 0 or -ENOMEM.
 */
int text_wrap(const char *text, unsigned width, unsigned lines_max, struct buf *out);

#endif
