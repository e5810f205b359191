/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/table.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/array.h"
#include "common/base/escape.h"

/* Sluice */
#include "sluice/show/text.h"

#define COLUMN_GAP 2

struct table {
	unsigned columns;
	char **cells; /* owned, row after row */
	size_t len;
	size_t room;
	size_t widths[]; /* of the widest cell of each column */
};

int table_new(unsigned columns, struct table **ret_table)
{
	struct table *t = calloc(1, sizeof(*t) + columns * sizeof(t->widths[0]));

	assert(columns > 0);
	if (!t)
		return -ENOMEM;
	t->columns = columns;
	*ret_table = t;
	return 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->len; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void table_widen(struct table *t, unsigned column, size_t width)
{
	assert(column < t->columns);
	if (t->widths[column] < width)
		t->widths[column] = width;
}

/* A copy in harmless characters. */
static int add_cell(struct table *t, const char *cell)
{
	size_t len = strlen(cell);
	char **cells = array_room(t->cells, t->len, &t->room, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	t->cells = cells;
	char *copy = malloc(4 * len + 1);
	if (!copy)
		return -ENOMEM;
	(void)escape_line(cell, len, copy, 4 * len + 1);
	cells[t->len++] = copy;
	return 0;
}

int table_add(struct table *t, const char *const *cells)
{
	size_t before = t->len;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < t->columns; i++) {
		r = add_cell(t, cells[i]);
		if (r == 0)
			table_widen(t, i, text_columns(span_str(t->cells[t->len - 1])));
	}
	while (r < 0 && t->len > before)
		free(t->cells[--t->len]);
	return r;
}

int table_row(const struct table *t, size_t number, size_t width, struct buf *out)
{
	char *const *cells = t->cells + number * t->columns;
	size_t used = 0, pad = 0;
	int r = 0;

	for (unsigned c = 0; r == 0 && c < t->columns; c++) {
		size_t gap = c > 0 ? COLUMN_GAP : 0;
		if (c > 0 && (width < used + gap || width - used - gap < t->widths[c]))
			break;
		size_t len = text_fit(cells[c], width), columns = text_columns(span_of(cells[c], len));
		if (len > 0) {
			r = buf_appendf(out, "%*s%.*s", (int)(pad + gap), "", (int)len, cells[c]);
			pad = t->widths[c] - columns;
		} else {
			pad += gap + t->widths[c];
		}
		used += gap + t->widths[c];
	}
	return r;
}

void table_print(const struct table *t, FILE *out)
{
	AUTO_BUF line = BUF_INIT;

	for (size_t row = 0; row < t->len / t->columns; row++) {
		buf_clear(&line);
		if (table_row(t, row, SIZE_MAX, &line) < 0)
			return;
		(void)fprintf(out, "%s\n", line.data ? line.data : "");
	}
}
