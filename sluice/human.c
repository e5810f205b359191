/* Own header */
#include "sluice/human.h"

/* System */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/escape.h"

/* OCI */
#include "common/oci/digest.h"

#define UNIT_STEP 1024.0

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

struct table {
	unsigned columns;
	char **cells; /* owned, row after row */
	size_t len;
	size_t room;
};

int table_new(unsigned columns, struct table **ret_table)
{
	struct table *t = calloc(1, sizeof(*t));

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
	}
	return 0;
}

static size_t column_width(const struct table *t, unsigned column)
{
	size_t width = 0;

	for (size_t i = column; i < t->len; i += t->columns) {
		size_t len = strlen(t->cells[i]);
		width = len > width ? len : width;
	}
	return width;
}

void table_print(const struct table *t, FILE *out)
{
	AUTO_FREE size_t *widths = calloc(t->columns, sizeof(*widths));

	if (!widths)
		return;
	for (unsigned c = 0; c < t->columns; c++)
		widths[c] = column_width(t, c);
	for (size_t row = 0; row < t->len; row += t->columns) {
		unsigned last = t->columns;
		while (last > 0 && !*t->cells[row + last - 1])
			last--;
		for (unsigned c = 0; c < last; c++) {
			int pad = c + 1 < last ? (int)widths[c] + 2 : 0;
			(void)fprintf(out, "%-*s", pad, t->cells[row + c]);
		}
		(void)fputc('\n', out);
	}
}
