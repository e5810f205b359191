/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/text.h"

/* System */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Base */
#include "common/base/escape.h"

/* OCI */
#include "common/oci/digest.h"

#define INDENT 2
#define MORE   2 /* ".." */

void text_duration(uint64_t seconds, char ret_text[static TEXT_DURATION_ROOM])
{
	unsigned s = (unsigned)(seconds % 60);
	unsigned m = (unsigned)(seconds / 60 % 60);
	unsigned h = (unsigned)(seconds / 3600 % 24);
	uint64_t d = seconds / 86400;

	if (seconds < 60)
		(void)snprintf(ret_text, TEXT_DURATION_ROOM, "%us", s);
	else if (seconds < 3600)
		(void)snprintf(ret_text, TEXT_DURATION_ROOM, "%um%02us", m, s);
	else if (d == 0)
		(void)snprintf(ret_text, TEXT_DURATION_ROOM, "%uh%02um", h, m);
	else if (d < 100)
		(void)snprintf(ret_text, TEXT_DURATION_ROOM, "%ud%02uh", (unsigned)d % 100, h);
	else
		(void)snprintf(ret_text, TEXT_DURATION_ROOM, ">99d");
}

void text_age(uint64_t seconds, char ret_text[static TEXT_AGE_ROOM])
{
	static const struct {
		uint64_t below_s, unit_s;
		char letter;
	} units[] = {{60, 1, 's'}, {3600, 60, 'm'}, {48 * 3600, 3600, 'h'}, {730 * 86400, 86400, 'd'}};
	uint64_t years = seconds / (365 * 86400);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (seconds < units[i].below_s) {
			(void)snprintf(ret_text, TEXT_AGE_ROOM, "%u%c", (unsigned)(seconds / units[i].unit_s),
				       units[i].letter);
			return;
		}
	}
	(void)snprintf(ret_text, TEXT_AGE_ROOM, "%uy", (unsigned)(years < 9999 ? years : 9999));
}

uint64_t text_eta_s(uint64_t offset, uint64_t total, uint64_t rate)
{
	if (total == UINT64_MAX || rate == 0 || offset > total)
		return TEXT_ETA_UNKNOWN;
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

void text_label(const char *ref, char ret_label[static TEXT_LABEL_ROOM])
{
	struct digest digest;
	struct span text = span_str("manifest");

	if (digest_parse(span_str(ref), &digest, NULL) == 0)
		text = span_str(strchr(ref, ':') + 1);
	else if (strncmp(ref, "http", 4) == 0)
		text = name_of_file(ref);
	size_t len = text.len < TEXT_LABEL_ROOM ? text.len : TEXT_LABEL_ROOM - 1;
	(void)snprintf(ret_label, TEXT_LABEL_ROOM, "%.*s", (int)len, (const char *)text.data);
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

size_t text_columns(struct span line)
{
	size_t columns = 0;

	for (size_t i = 0; i < line.len; i++)
		columns += line.data[i] < 0x80 ? 1 : (line.data[i] & 0xc0) == 0xc0 ? 2 : 0;
	return columns;
}

size_t text_fit(const char *line, size_t columns)
{
	size_t len = 0;

	while (line[len] && character_columns(line + len) <= columns) {
		columns -= character_columns(line + len);
		len += character_len(line + len);
	}
	return len;
}

int text_middle(const char *line, size_t columns, struct buf *out)
{
	size_t room = columns - MORE, head = text_fit(line, (room + 1) / 2);
	const char *tail = line + head;

	assert(columns >= TEXT_MIDDLE_MIN);
	if (text_columns(span_str(line)) <= columns)
		return buf_append_str(out, line);
	room -= text_columns(span_of(line, head));
	while (text_columns(span_str(tail)) > room)
		tail += character_len(tail);
	return buf_appendf(out, "%.*s..%s", (int)head, line, tail);
}

/* How much of it to put into a line of so many columns: up to a blank if there is one. */
static size_t wrap_at(const char *text, size_t columns)
{
	size_t fits = text_fit(text, columns), at = fits;

	if (!text[fits])
		return fits;
	while (at > 0 && text[at] != ' ')
		at--;
	return at > 0 ? at : fits > 0 ? fits : character_len(text);
}

int text_wrap(const char *text, unsigned width, unsigned lines_max, struct buf *out)
{
	size_t columns = width > INDENT + MORE ? width - INDENT : INDENT + MORE;
	int r = 0;

	for (unsigned n = 1; r == 0 && *text && n <= lines_max; n++) {
		size_t len = wrap_at(text, columns);
		bool cut = n == lines_max && text[len];
		if (cut)
			len = text_fit(text, columns - MORE);
		while (len > 1 && text[len - 1] == ' ')
			len--;
		r = buf_appendf(out, "%*s%.*s%s\n", INDENT, "", (int)len, text, cut ? ".." : "");
		text += len;
		text += strspn(text, " ");
	}
	return r;
}
