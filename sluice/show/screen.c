/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/screen.h"

/* System */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Base */
#include "common/base/file.h"

/* Sluice */
#include "sluice/show/text.h"

#define WIDTH_ELSE      80
#define HEIGHT_ELSE     24
#define WIDTH_MIN       20 /* narrower than this it may wrap */
#define CURSOR_UP       "\x1b[%uA"
#define CLEAR_LINE_REST "\x1b[K"
#define CLEAR_BELOW     "\x1b[J"

bool screen_can(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

static unsigned size_of(unsigned told, const char *variable, unsigned otherwise)
{
	const char *text = getenv(variable);
	char *end;

	if (told > 0 || !text)
		return told > 0 ? told : otherwise;
	unsigned long value = strtoul(text, &end, 10);
	return value > 0 && value <= UINT16_MAX && *end == '\0' ? (unsigned)value : otherwise;
}

static void terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows)
{
	struct winsize ws = {0};

	(void)ioctl(fd, TIOCGWINSZ, &ws);
	*ret_columns = size_of(ws.ws_col, "COLUMNS", WIDTH_ELSE);
	*ret_rows = size_of(ws.ws_row, "LINES", HEIGHT_ELSE);
}

void screen_size(int fd, unsigned *ret_width, unsigned *ret_lines)
{
	unsigned columns, rows;

	terminal_size(fd, &columns, &rows);
	*ret_width = (columns > WIDTH_MIN ? columns : WIDTH_MIN) - 1;
	*ret_lines = rows > 2 ? rows - 1 : 1;
}

void screen_release(struct screen *s)
{
	buf_release(&s->frame);
	buf_release(&s->out);
}

/* One write, so that it is seen at once, and does not mix with what others write to the same terminal. */
static void put(struct screen *s)
{
	(void)file_write_all(s->fd, s->out.data, s->out.len, NULL);
	buf_clear(&s->out);
}

/* Over how many rows the block reaches: a terminal that has become narrower has wrapped its lines. */
static unsigned rows_of(const struct buf *frame, unsigned columns)
{
	unsigned rows = 0;

	for (const char *at = frame->data, *end; at && (end = strchr(at, '\n')); at = end + 1) {
		size_t width = text_columns(span_of(at, (size_t)(end - at)));
		rows += width > columns ? (unsigned)((width + columns - 1) / columns) : 1;
	}
	return rows;
}

/* To where the block begins, as far as it has not been scrolled away. */
static int append_home(struct screen *s, unsigned columns, unsigned rows)
{
	unsigned up = rows_of(&s->frame, columns);

	up = up < rows ? up : rows - 1;
	return s->drawn && up > 0 ? buf_appendf(&s->out, "\r" CURSOR_UP, up) : 0;
}

static int append_lines(struct screen *s, struct span lines)
{
	const char *at = (const char *)lines.data, *end;
	int r = 0;

	for (size_t left = lines.len; r == 0 && left > 0 && (end = memchr(at, '\n', left)); at = end + 1) {
		r = buf_append(&s->out, at, (size_t)(end - at));
		if (r == 0)
			r = buf_append_str(&s->out, CLEAR_LINE_REST "\n");
		left -= (size_t)(end - at) + 1;
	}
	return r < 0 ? r : buf_append_str(&s->out, CLEAR_BELOW);
}

static int replace(struct screen *s, struct span lines, unsigned columns, unsigned rows)
{
	buf_clear(&s->out);
	int r = append_home(s, columns, rows);
	if (r == 0)
		r = append_lines(s, lines);
	if (r == 0)
		put(s);
	return r;
}

int screen_draw(struct screen *s, struct span frame)
{
	unsigned columns, rows;

	terminal_size(s->fd, &columns, &rows);
	if (s->drawn && columns == s->width && span_eq(buf_span(&s->frame), frame))
		return 0;
	int r = replace(s, frame, columns, rows);
	buf_clear(&s->frame);
	if (r == 0)
		r = buf_append(&s->frame, frame.data, frame.len);
	s->drawn = r == 0;
	s->width = columns;
	return r;
}

int screen_say(struct screen *s, struct span lines)
{
	unsigned columns, rows;

	terminal_size(s->fd, &columns, &rows);
	int r = replace(s, lines, columns, rows);
	screen_leave(s);
	return r;
}

void screen_leave(struct screen *s)
{
	s->drawn = false;
	buf_clear(&s->frame);
}
