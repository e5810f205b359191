/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/tables.h"

/* System */
#include <stdbool.h>
#include <string.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define FILE_MAX (1u << 20)
#define BLANKS   " \t\r"

static void cut_blanks(char *text)
{
	size_t len = strlen(text);
	while (len > 0 && strchr(BLANKS, text[len - 1]))
		len--;
	text[len] = '\0';
}

/* A value without its quotes and what follows them, or without the comment after it. */
static char *value_of(char *text)
{
	bool quoted = *text == '"' || *text == '\'';
	char quote[] = {quoted ? *text++ : '#', '\0'};

	text[strcspn(text, quote)] = '\0';
	if (!quoted)
		cut_blanks(text);
	return text;
}

/* The name of a table: up to the last ']' before a comment, without a second pair of brackets. */
static const char *table_of(char *line)
{
	char *close = strrchr(line, ']');

	if (!close)
		return NULL;
	*close = '\0';
	line++;
	if (*line == '[' && close > line && close[-1] == ']') {
		close[-1] = '\0';
		line++;
	}
	return line;
}

static bool is_printable(const char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < ' ' && !strchr(BLANKS, *line))
			return false;
	return true;
}

static void line_take(char *line, const char **table, tables_visit *visit, void *self)
{
	const char *name;
	char *equals;

	line += strspn(line, BLANKS);
	if (*line == '[') {
		name = table_of(line);
		if (!name)
			return;
		*table = name;
		visit(self, *table, NULL, NULL);
		return;
	}
	equals = strchr(line, '=');
	if (*line == '#' || *line == ';' || !equals)
		return;
	*equals++ = '\0';
	cut_blanks(line);
	visit(self, *table, line, value_of(equals + strspn(equals, BLANKS)));
}

void tables_read(const char *path, tables_visit *visit, void *self)
{
	AUTO_BUF text = {0};
	const char *table = "";
	char *next;

	if (file_load(path, FILE_MAX, &text) < 0 || buf_append(&text, "", 1) < 0)
		return;
	next = (char *)text.data;
	while (next) {
		char *line = strsep(&next, "\n");
		if (is_printable(line))
			line_take(line, &table, visit, self);
	}
}
