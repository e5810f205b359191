#include "common/base/log.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/escape.h"

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

/* Whether stderr is the stream that JOURNAL_STREAM names, "device:inode": it is inherited by children whose is not. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	uint64_t dev, ino;
	return stream && fstat(STDERR_FILENO, &st) == 0 && sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
	       dev == st.st_dev && ino == st.st_ino;
}

void log_init(const char *program)
{
	the_log.program = program;
	the_log.level = LOG_LEVEL_NOTICE;
	the_log.journal = stderr_is_journal();
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
static void log_write(enum log_level level, const char *text, size_t len)
{
	char line[LOG_LINE_MAX];
	int head = the_log.journal ? snprintf(line, sizeof line, "<%d>", (int)level)
				   : snprintf(line, sizeof line, "%.64s: ", the_log.program);
	size_t at = head > 0 ? (size_t)head : 0;
	at += escape_line(text, len, line + at, sizeof line - at);
	line[at++] = '\n';
	/* Nobody can be told that the log does not work. */
	ssize_t n = write(STDERR_FILENO, line, at);
	(void)n;
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
		log_write(level, text, strlen(text));
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
		log_at(LOG_LEVEL_ERROR, "%s: %s", text, strerror(-r));
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
