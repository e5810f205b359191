/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/table.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/array.h"
#include "common/base/escape.h"

/* Sluice */
#include "sluice/show/screen.h"
#include "sluice/show/text.h"

#define COLUMN_GAP 2

struct table {
	unsigned columns;
	char **cells; /* owned, row after row */
	size_t len;
	size_t room;
	struct column {
		size_t width; /* of its widest cell */
		bool left_out;
	} columns_of[];
};

int table_new(unsigned columns, struct table **ret_table)
{
	struct table *t = calloc(1, sizeof(*t) + columns * sizeof(t->columns_of[0]));

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
	if (t->columns_of[column].width < width)
		t->columns_of[column].width = width;
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

static bool is_shown(const struct column *c)
{
	return !c->left_out && c->width > 0;
}

/* As wide as all that are not left out need. */
static size_t width_of(const struct table *t)
{
	size_t width = 0;

	for (unsigned c = 0; c < t->columns; c++)
		if (is_shown(&t->columns_of[c]))
			width += t->columns_of[c].width + (width > 0 ? COLUMN_GAP : 0);
	return width;
}

static int shorten(struct table *t, unsigned column, size_t width)
{
	for (size_t i = column; i < t->len; i += t->columns) {
		AUTO_BUF text = BUF_INIT;
		if (text_middle(t->cells[i], width, &text) < 0)
			return -ENOMEM;
		char *copy = strdup(text.data ? text.data : "");
		if (!copy)
			return -ENOMEM;
		free(t->cells[i]);
		t->cells[i] = copy;
	}
	t->columns_of[column].width = width;
	return 0;
}

int table_fit(struct table *t, const struct table_fitting *how)
{
	struct column *column = &t->columns_of[how->column];
	size_t least = column->width < how->least ? column->width : how->least;

	assert(how->least >= TEXT_MIDDLE_MIN);
	/* As narrow as it can get: do the others fit beside that? */
	size_t excess = column->width - least;
	for (size_t i = 0; i < how->dispensable_len && width_of(t) - excess > how->width; i++)
		t->columns_of[how->dispensable[i]].left_out = true;
	size_t width = width_of(t), over = width > how->width ? width - how->width : 0;
	over = over < excess ? over : excess;
	return over > 0 ? shorten(t, how->column, column->width - over) : 0;
}

int table_row(const struct table *t, size_t number, size_t width, struct buf *out)
{
	char *const *cells = t->cells + number * t->columns;
	size_t used = 0, pad = 0, gap = 0;
	int r = 0;

	for (unsigned c = 0; r == 0 && c < t->columns; c++) {
		const struct column *column = &t->columns_of[c];
		if (!is_shown(column))
			continue;
		if (gap > 0 && (width < used + gap || width - used - gap < column->width))
			break;
		size_t len = text_fit(cells[c], width), columns = text_columns(span_of(cells[c], len));
		if (len > 0) {
			r = buf_appendf(out, "%*s%.*s", (int)(pad + gap), "", (int)len, cells[c]);
			pad = column->width - columns;
		} else {
			pad += gap + column->width;
		}
		used += gap + column->width;
		gap = COLUMN_GAP;
	}
	return r;
}

void table_print(const struct table *t, size_t width, FILE *out)
{
	AUTO_BUF line = BUF_INIT;

	for (size_t row = 0; row < t->len / t->columns; row++) {
		buf_clear(&line);
		if (table_row(t, row, width, &line) < 0)
			return;
		(void)fprintf(out, "%s\n", line.data ? line.data : "");
	}
}

int table_show(struct table *t, const struct table_fitting *how)
{
	unsigned width, lines;

	if (!how || !isatty(STDOUT_FILENO)) {
		table_print(t, SIZE_MAX, stdout);
		return 0;
	}
	screen_size(STDOUT_FILENO, &width, &lines);
	struct table_fitting fitting = *how;
	fitting.width = width;
	int r = table_fit(t, &fitting);
	if (r == 0)
		table_print(t, width, stdout);
	return r;
}
