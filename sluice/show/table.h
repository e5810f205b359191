/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of texts in columns as wide as their widest cell.
 */
#ifndef SLUICE_SLUICE_SHOW_TABLE_H
#define SLUICE_SLUICE_SHOW_TABLE_H

/* System */
#include <stdio.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/cleanup.h"

struct table;

/* 0 or -ENOMEM; `columns` is the number of cells of each row. */
int table_new(unsigned columns, struct table **ret_table);
void table_free(struct table *t);

/* Add a row; the cells are copied, with control characters as \xNN: a name from a file cannot colour a terminal. */
int table_add(struct table *t, const char *const *cells);

/* Set a minimum width for a column, so that it does not move when its cells change. */
void table_widen(struct table *t, unsigned column, size_t width);

/*
 * Make all rows fit into `width`, as far as possible: first by shortening cells of `column` in the middle, to no less than
 * `least` columns of the terminal; then by leaving out whole columns, in the order of `dispensable`. 0 or -ENOMEM. Before
 * it no column may have been left out, and after it no row is added.
 */
struct table_fitting {
	size_t width; /* table_show() knows it */
	unsigned column;
	size_t least; /* TEXT_MIDDLE_MIN or more */
	const unsigned *dispensable;
	size_t dispensable_len;
};
int table_fit(struct table *t, const struct table_fitting *how);

/* Write all rows as table_row() makes them, two spaces between columns and none at the end of a line. */
void table_print(const struct table *t, size_t width, FILE *out);

/*
 * Write all rows to stdout; if that is a terminal, fitted into it as `how` says, unless it is NULL. 0 or -ENOMEM.
 */
int table_show(struct table *t, const struct table_fitting *how);

/*
 * Append row `number` without a newline: as many columns, from the left, as fit into `width`; if even the first does
 * not fit, it is cut. 0 or -ENOMEM.
 */
int table_row(const struct table *t, size_t number, size_t width, struct buf *out);

static inline void table_cleanup(struct table **t)
{
	table_free(*t);
}
#define AUTO_TABLE CLEANUP(table_cleanup) struct table *

#endif
