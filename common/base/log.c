/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/log.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/escape.h"
#include "common/base/journal.h"

#define LIMIT_MS   1000
#define COUNT_ROOM 48 /* bytes; " (repeated 18446744073709551615 times)" and more */
#define BUDGETS    64 /* formats with a budget of their own; further ones share */
#define MS_A_LINE  (1000u / LOG_LINES_A_SECOND)

/* A line: its fields for the journal, and its message, which is all that stderr gets. */
struct line {
	enum log_level level;
	struct journal_entry fields;
	char text[LOG_LINE_MAX];
};

/* How much one place in the code may still write. */
struct budget {
	const char *format;
	uint64_t free_ms; /* when the budget is full again; each line delays that */
	uint64_t held_back;
};

static struct {
	const char *program;
	enum log_level level;
	bool journal;
	struct line lines[2]; /* the last one written, and room for the next */
	unsigned last;        /* which of them; without fields before the first line */
	uint64_t repeats;     /* of the last line, not logged yet */
	uint64_t told_ms;     /* when it was written, or its repeats were logged */
	struct budget budgets[BUDGETS];
} the_log = {.program = "", .level = LOG_LEVEL_NOTICE};

const char *const log_level_names[] = {"error", "warning", "notice", "info", "debug", NULL};

void log_init(const char *program)
{
	static bool at_exit;

	log_flush();
	if (!at_exit)
		at_exit = atexit(log_flush) == 0;
	the_log.lines[the_log.last].fields.len = 0; /* nothing is its repetition */
	memset(the_log.budgets, 0, sizeof(the_log.budgets));
	the_log.program = program;
	the_log.level = LOG_LEVEL_NOTICE;
	the_log.journal = journal_has_stderr();
}

void log_set_level(enum log_level level)
{
	the_log.level = level;
}

/* One write, so that the lines of several processes do not mix. */
static void stderr_write(enum log_level level, const char *text)
{
	char line[LOG_LINE_MAX];
	int head = the_log.journal ? snprintf(line, sizeof line, "<%d>", (int)level)
				   : snprintf(line, sizeof line, "%.64s: ", the_log.program);
	size_t at = head > 0 ? (size_t)head : 0;
	at += escape_line(text, strlen(text), line + at, sizeof line - at);
	line[at++] = '\n';
	/* There is nowhere to report that logging fails. */
	ssize_t n = write(STDERR_FILENO, line, at);
	(void)n;
}

static void add_number(struct journal_entry *e, const char *name, uint64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof text, "%" PRIu64, value);
	journal_add(e, name, text);
}

static void add_fields(struct journal_entry *e, enum log_level level, const struct log_fields *fields)
{
	e->len = 0;
	add_number(e, "PRIORITY", (uint64_t)level);
	journal_add(e, "SYSLOG_IDENTIFIER", the_log.program);
	if (fields->ref)
		journal_add(e, "REF", fields->ref);
	if (fields->digest)
		journal_add(e, "DIGEST", fields->digest);
	if (fields->host)
		journal_add(e, "HOST", fields->host);
	if (fields->bytes > 0)
		add_number(e, "BYTES", fields->bytes);
	if (fields->error > 0)
		add_number(e, "ERRNO", (uint64_t)fields->error);
}

static void line_write(const struct line *line, uint64_t repeats, const char *text)
{
	struct journal_entry e = line->fields;
	if (repeats > 0)
		add_number(&e, "REPEATED", repeats);
	journal_add(&e, "MESSAGE", text);
	/* If the journal is behind or restarting, its stream still takes the line. */
	if (!the_log.journal || journal_send(&e) < 0)
		stderr_write(line->level, text);
	the_log.told_ms = clock_mono_ms();
}

void log_flush(void)
{
	const struct line *line = &the_log.lines[the_log.last];
	char text[LOG_LINE_MAX];
	if (the_log.repeats == 0)
		return;
	int saved = errno;
	(void)snprintf(text, sizeof text, "%.*s (repeated %" PRIu64 " time%s)", LOG_LINE_MAX - COUNT_ROOM, line->text,
		       the_log.repeats, the_log.repeats == 1 ? "" : "s");
	line_write(line, the_log.repeats, text);
	the_log.repeats = 0;
	errno = saved;
}

void log_flush_due(void)
{
	if (the_log.repeats > 0 && clock_mono_ms() - the_log.told_ms >= LOG_REPEAT_MS)
		log_flush();
}

static bool line_is(const struct line *a, const struct line *b)
{
	return a->fields.len == b->fields.len && memcmp(a->fields.text, b->fields.text, a->fields.len) == 0 &&
	       strcmp(a->text, b->text) == 0;
}

/* The budget of this format, or a shared one. */
static struct budget *budget_of(const char *format)
{
	for (size_t i = 0; i < BUDGETS - 1; i++) {
		struct budget *b = &the_log.budgets[i];
		if (b->format && b->format != format)
			continue;
		b->format = format;
		return b;
	}
	return &the_log.budgets[BUDGETS - 1];
}

/* Whether there is a line left. */
static bool budget_take(struct budget *b)
{
	uint64_t now_ms = clock_mono_ms();
	if (b->free_ms < now_ms)
		b->free_ms = now_ms;
	if (b->free_ms - now_ms > (LOG_BURST - 1) * MS_A_LINE) {
		b->held_back++;
		return false;
	}
	b->free_ms += MS_A_LINE;
	return true;
}

static void add_held_back(char text[static LOG_LINE_MAX], struct budget *b)
{
	size_t at = strlen(text), last = LOG_LINE_MAX - COUNT_ROOM;
	if (b->held_back == 0)
		return;
	at = at < last ? at : last;
	(void)snprintf(text + at, LOG_LINE_MAX - at, " (%" PRIu64 " more not shown)", b->held_back);
	b->held_back = 0;
}

static void write_or_count(enum log_level level, const struct log_fields *fields, const char *format, va_list args)
{
	struct line *line = &the_log.lines[1 - the_log.last];
	line->level = level;
	if (vsnprintf(line->text, sizeof line->text, format, args) < 0)
		return;
	add_fields(&line->fields, level, fields);
	if (line_is(line, &the_log.lines[the_log.last])) {
		the_log.repeats++;
		log_flush_due();
		return;
	}
	struct budget *budget = budget_of(format);
	if (level < LOG_LEVEL_DEBUG && !budget_take(budget))
		return;
	log_flush();
	add_held_back(line->text, budget);
	line_write(line, 0, line->text);
	the_log.last = 1 - the_log.last;
}

void log_at(enum log_level level, const char *format, ...)
{
	if (level > the_log.level)
		return;
	int saved = errno;
	va_list args;
	va_start(args, format);
	write_or_count(level, &(struct log_fields){.ref = NULL}, format, args);
	va_end(args);
	errno = saved;
}

void log_with(enum log_level level, const struct log_fields *fields, const char *format, ...)
{
	if (level > the_log.level)
		return;
	int saved = errno;
	va_list args;
	va_start(args, format);
	write_or_count(level, fields, format, args);
	va_end(args);
	errno = saved;
}

int log_errno(int r, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (len >= 0)
		log_with(LOG_LEVEL_ERROR, &(struct log_fields){.error = -r}, "%s: %s", text, strerror(-r));
	return r;
}

bool log_limit_pass(struct log_limit *limit, uint64_t *ret_held_back)
{
	uint64_t now = clock_mono_ms();
	if (now < limit->next_ms) {
		limit->held_back++;
		return false;
	}
	*ret_held_back = limit->held_back;
	limit->held_back = 0;
	limit->next_ms = now + LIMIT_MS;
	return true;
}

void log_warning_limited(struct log_limit *limit, const char *text)
{
	uint64_t held_back;

	if (!log_limit_pass(limit, &held_back))
		return;
	if (held_back > 0)
		log_warning("%s (%" PRIu64 " more not shown)", text, held_back);
	else
		log_warning("%s", text);
}
