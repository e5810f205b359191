/*
 * Numbers and texts as people read them: sizes, durations, refs, wrapped text and aligned columns.
 */
#ifndef SLUICE_SLUICE_SHOW_TEXT_H
#define SLUICE_SLUICE_SHOW_TEXT_H

/* System */
#include <stdint.h>
#include <stdio.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/cleanup.h"

#define HUMAN_SIZE_ROOM     8  /* "1023MiB" */
#define HUMAN_DURATION_ROOM 8  /* "59m59s" */
#define HUMAN_LABEL_ROOM    13 /* 12 hex digits */

#define HUMAN_ETA_UNKNOWN   UINT64_MAX

/* At most 7 characters: "0B", "12.3MiB", "1023KiB". */
void human_size(uint64_t bytes, char ret_text[static HUMAN_SIZE_ROOM]);

/* At most 6 characters: "5s", "59m59s", "23h59m", "99d23h", ">99d". */
void human_duration(uint64_t seconds, char ret_text[static HUMAN_DURATION_ROOM]);

/* Seconds until `total` is there at `rate` bytes a second, rounded up, or HUMAN_ETA_UNKNOWN. */
uint64_t human_eta_s(uint64_t offset, uint64_t total, uint64_t rate);

/* A ref in a few characters: the first digits of a digest, the name of a URL's file, or "manifest". */
void human_label(const char *ref, char ret_label[static HUMAN_LABEL_ROOM]);

/*
 * At most how many columns a line takes on a terminal: a character beyond ASCII may be wide. And how many bytes of it
 * fit into so many, whole characters only.
 */
size_t human_columns(struct span line);
size_t human_fit(const char *line, size_t columns);

/*
 * Append `text` as lines with a newline each, all indented by two and at most `width` columns wide, broken at blanks
 * where it can be. Of more than `lines_max` the last one ends with "..". 0 or -ENOMEM.
 */
int human_wrap(const char *text, unsigned width, unsigned lines_max, struct buf *out);

/* Rows of texts that are printed in columns as wide as their widest cell. */
struct table;

/* 0 or -ENOMEM; `columns` is the number of cells of each row. */
int table_new(unsigned columns, struct table **ret_table);
void table_free(struct table *t);

/* Add a row; the cells are copied, with control bytes as \xNN: a name from a file cannot colour a terminal. */
int table_add(struct table *t, const char *const *cells);

/* A column is at least so wide, whatever its cells are: so that it stays where it is when they change. */
void table_widen(struct table *t, unsigned column, size_t width);

/* Write all rows, two spaces between columns and none at the end of a line. */
void table_print(const struct table *t, FILE *out);

/*
 * Append row `number` without its newline: those of the columns, from the left, that fit into `width` together; the
 * first one is cut if it does not. 0 or -ENOMEM.
 */
int table_row(const struct table *t, size_t number, size_t width, struct buf *out);

static inline void table_cleanup(struct table **t)
{
	table_free(*t);
}
#define AUTO_TABLE CLEANUP(table_cleanup) struct table *

#endif
