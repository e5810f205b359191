/* Own header */
#include "sluice/show/text.h"

/* System */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/escape.h"

/* OCI */
#include "common/oci/digest.h"

#define UNIT_STEP  1024.0
#define INDENT     2
#define MORE       2 /* ".." */
#define COLUMN_GAP 2

void human_size(uint64_t bytes, char ret_text[static HUMAN_SIZE_ROOM])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / UNIT_STEP;
	unsigned unit = 0;

	if (bytes < 1024) {
		(void)snprintf(ret_text, HUMAN_SIZE_ROOM, "%uB", (unsigned)bytes);
		return;
	}
	/* A value that would be written as 1024 is 1.0 of the next unit. */
	while (value >= UNIT_STEP - 0.5) {
		value /= UNIT_STEP;
		unit++;
	}
	(void)snprintf(ret_text, HUMAN_SIZE_ROOM, value < 99.95 ? "%.1f%ciB" : "%.0f%ciB", value, units[unit]);
}

void human_duration(uint64_t seconds, char ret_text[static HUMAN_DURATION_ROOM])
{
	unsigned s = (unsigned)(seconds % 60);
	unsigned m = (unsigned)(seconds / 60 % 60);
	unsigned h = (unsigned)(seconds / 3600 % 24);
	uint64_t d = seconds / 86400;

	if (seconds < 60)
		(void)snprintf(ret_text, HUMAN_DURATION_ROOM, "%us", s);
	else if (seconds < 3600)
		(void)snprintf(ret_text, HUMAN_DURATION_ROOM, "%um%02us", m, s);
	else if (d == 0)
		(void)snprintf(ret_text, HUMAN_DURATION_ROOM, "%uh%02um", h, m);
	else if (d < 100)
		(void)snprintf(ret_text, HUMAN_DURATION_ROOM, "%ud%02uh", (unsigned)d % 100, h);
	else
		(void)snprintf(ret_text, HUMAN_DURATION_ROOM, ">99d");
}

uint64_t human_eta_s(uint64_t offset, uint64_t total, uint64_t rate)
{
	if (total == UINT64_MAX || rate == 0 || offset > total)
		return HUMAN_ETA_UNKNOWN;
	uint64_t left = total - offset;
	return left / rate + (left % rate ? 1 : 0);
}

/* The last part of a URL's path. */
static struct span name_of_file(const char *url)
{
	size_t len = strcspn(url, "?#");
	const char *slash = memrchr(url, '/', len);
	size_t skip = slash ? (size_t)(slash + 1 - url) : 0;

	return skip < len ? span_of(url + skip, len - skip) : span_str("file");
}

void human_label(const char *ref, char ret_label[static HUMAN_LABEL_ROOM])
{
	struct digest digest;
	struct span text = span_str("manifest");

	if (digest_parse(span_str(ref), &digest, NULL) == 0)
		text = span_str(strchr(ref, ':') + 1);
	else if (strncmp(ref, "http", 4) == 0)
		text = name_of_file(ref);
	size_t len = text.len < HUMAN_LABEL_ROOM ? text.len : HUMAN_LABEL_ROOM - 1;
	(void)snprintf(ret_label, HUMAN_LABEL_ROOM, "%.*s", (int)len, (const char *)text.data);
}

/* Bytes of the character at `text`: escaped text is UTF-8. */
static size_t character_len(const char *text)
{
	size_t len = 1;

	while (((unsigned char)text[len] & 0xc0) == 0x80)
		len++;
	return len;
}

static size_t character_columns(const char *text)
{
	return (unsigned char)*text < 0x80 ? 1 : 2;
}

size_t human_columns(struct span line)
{
	size_t columns = 0;

	for (size_t i = 0; i < line.len; i++)
		columns += line.data[i] < 0x80 ? 1 : (line.data[i] & 0xc0) == 0xc0 ? 2 : 0;
	return columns;
}

size_t human_fit(const char *line, size_t columns)
{
	size_t len = 0;

	while (line[len] && character_columns(line + len) <= columns) {
		columns -= character_columns(line + len);
		len += character_len(line + len);
	}
	return len;
}

/* How much of it to put into a line of so many columns: up to a blank if there is one. */
static size_t wrap_at(const char *text, size_t columns)
{
	size_t fits = human_fit(text, columns), at = fits;

	if (!text[fits])
		return fits;
	while (at > 0 && text[at] != ' ')
		at--;
	return at > 0 ? at : fits > 0 ? fits : character_len(text);
}

int human_wrap(const char *text, unsigned width, unsigned lines_max, struct buf *out)
{
	size_t columns = width > INDENT + MORE ? width - INDENT : INDENT + MORE;
	int r = 0;

	for (unsigned n = 1; r == 0 && *text && n <= lines_max; n++) {
		size_t len = wrap_at(text, columns);
		bool cut = n == lines_max && text[len];
		if (cut)
			len = human_fit(text, columns - MORE);
		while (len > 1 && text[len - 1] == ' ')
			len--;
		r = buf_appendf(out, "%*s%.*s%s\n", INDENT, "", (int)len, text, cut ? ".." : "");
		text += len;
		text += strspn(text, " ");
	}
	return r;
}

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

static int table_reserve(struct table *t)
{
	if (t->len + t->columns <= t->room)
		return 0;
	size_t room = t->room ? 2 * t->room : 16 * (size_t)t->columns;
	char **cells = reallocarray(t->cells, room, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	t->cells = cells;
	t->room = room;
	return 0;
}

void table_widen(struct table *t, unsigned column, size_t width)
{
	assert(column < t->columns);
	if (t->widths[column] < width)
		t->widths[column] = width;
}

int table_add(struct table *t, const char *const *cells)
{
	size_t before = t->len;

	if (table_reserve(t) < 0)
		return -ENOMEM;
	for (unsigned i = 0; i < t->columns; i++) {
		size_t len = strlen(cells[i]);
		char *copy = malloc(4 * len + 1);
		if (!copy) {
			while (t->len > before)
				free(t->cells[--t->len]);
			return -ENOMEM;
		}
		(void)escape_line(cells[i], len, copy, 4 * len + 1);
		t->cells[t->len++] = copy;
		table_widen(t, i, human_columns(span_str(copy)));
	}
	return 0;
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
		size_t len = human_fit(cells[c], width), columns = human_columns(span_of(cells[c], len));
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
