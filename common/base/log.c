#include "common/base/log.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/escape.h"
#include "common/base/journal.h"

#define LIMIT_MS 1000

static struct {
	const char *program;
	enum log_level level;
	bool journal;
} the_log = {.program = "", .level = LOG_LEVEL_NOTICE};

static const struct {
	const char *name;
	enum log_level level;
} level_names[] = {
    {"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING}, {"notice", LOG_LEVEL_NOTICE},
    {"info", LOG_LEVEL_INFO},   {"debug", LOG_LEVEL_DEBUG},
};

void log_init(const char *program)
{
	the_log.program = program;
	the_log.level = LOG_LEVEL_NOTICE;
	the_log.journal = journal_has_stderr();
}

void log_set_level(enum log_level level)
{
	the_log.level = level;
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
		if (strcmp(text, level_names[i].name) == 0) {
			*ret_level = level_names[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

/* One write, so that the lines of several threads and processes do not mix. */
static void stderr_write(enum log_level level, const char *text)
{
	char line[LOG_LINE_MAX];
	int head = the_log.journal ? snprintf(line, sizeof line, "<%d>", (int)level)
				   : snprintf(line, sizeof line, "%.64s: ", the_log.program);
	size_t at = head > 0 ? (size_t)head : 0;
	at += escape_line(text, strlen(text), line + at, sizeof line - at);
	line[at++] = '\n';
	/* Nobody can be told that the log does not work. */
	ssize_t n = write(STDERR_FILENO, line, at);
	(void)n;
}

static void add_number(struct journal_entry *e, const char *name, uint64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof text, "%" PRIu64, value);
	journal_add(e, name, text);
}

static int journal_write(enum log_level level, const struct log_fields *fields, const char *text)
{
	struct journal_entry e = {.len = 0};
	add_number(&e, "PRIORITY", (uint64_t)level);
	journal_add(&e, "SYSLOG_IDENTIFIER", the_log.program);
	if (fields->ref)
		journal_add(&e, "REF", fields->ref);
	if (fields->digest)
		journal_add(&e, "DIGEST", fields->digest);
	if (fields->host)
		journal_add(&e, "HOST", fields->host);
	if (fields->bytes > 0)
		add_number(&e, "BYTES", fields->bytes);
	if (fields->error > 0)
		add_number(&e, "ERRNO", (uint64_t)fields->error);
	journal_add(&e, "MESSAGE", text);
	return journal_send(&e);
}

static void log_write(enum log_level level, const struct log_fields *fields, const char *text)
{
	/* A journal that is behind or restarting still takes what comes by the stream. */
	if (!the_log.journal || journal_write(level, fields, text) < 0)
		stderr_write(level, text);
}

void log_at(enum log_level level, const char *format, ...)
{
	if (level > the_log.level)
		return;
	int saved = errno;
	char text[LOG_LINE_MAX];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (len >= 0)
		log_write(level, &(struct log_fields){.ref = NULL}, text);
	errno = saved;
}

void log_with(enum log_level level, const struct log_fields *fields, const char *format, ...)
{
	if (level > the_log.level)
		return;
	int saved = errno;
	char text[LOG_LINE_MAX];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (len >= 0)
		log_write(level, fields, text);
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
