/*
 * Numbers and texts as people read them: sizes, durations, refs, and aligned columns.
 */
#ifndef SLUICE_SLUICE_HUMAN_H
#define SLUICE_SLUICE_HUMAN_H

/* System */
#include <stdint.h>
#include <stdio.h>

/* Base */
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

/* A ref in a few characters: the first digits of a digest, or "manifest". */
void human_label(const char *ref, char ret_label[static HUMAN_LABEL_ROOM]);

/* Rows of texts that are printed in columns as wide as their widest cell. */
struct table;

/* 0 or -ENOMEM; `columns` is the number of cells of each row. */
int table_new(unsigned columns, struct table **ret_table);
void table_free(struct table *t);

/* Add a row; the cells are copied, with control bytes as \xNN: a name from a file cannot colour a terminal. */
int table_add(struct table *t, const char *const *cells);

/* Write all rows, two spaces between columns and none at the end of a line. */
void table_print(const struct table *t, FILE *out);

static inline void table_cleanup(struct table **t)
{
	table_free(*t);
}
#define AUTO_TABLE CLEANUP(table_cleanup) struct table *

#endif
