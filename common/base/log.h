/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines. Only stage code logs, once, where the decision is made. Under systemd (JOURNAL_STREAM names stderr) a line
 * is a journal entry with its priority and fields; elsewhere it goes to stderr, after the program's name. Control
 * characters are written as \xNN: a name from the network cannot forge a line or a field, or colour a terminal.
 *
 * A line that equals the previous one, fields included, is counted and not written. The count is logged, as "TEXT
 * (repeated N times)" with the fields of the line and REPEATED=N, before the next different line, after LOG_REPEAT_MS,
 * and at the end of the process. For one thread: that of the loop.
 *
 * Whoever can make a program log something can make it do so very often, each time with different text. So each place
 * in the code (each format) may log LOG_BURST lines at once and then LOG_LINES_A_SECOND; the next line that is not
 * suppressed says how many were: "TEXT (N more not shown)". Debug lines have no such limit.
 */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { /* the numbers are those of syslog(3) */
		 LOG_LEVEL_ERROR = 3,
		 LOG_LEVEL_WARNING = 4,
		 LOG_LEVEL_NOTICE = 5,
		 LOG_LEVEL_INFO = 6,
		 LOG_LEVEL_DEBUG = 7,
};

#define LOG_LINE_MAX       2048   /* bytes; longer lines are cut */
#define LOG_REPEAT_MS      30000u /* a count is logged after this long */
#define LOG_BURST          4000u
#define LOG_LINES_A_SECOND 20u

/* Borrow `program` for the life of the process, at whose end log_flush() is called. Level starts at LOG_LEVEL_NOTICE.
 */
void log_init(const char *program);
void log_set_level(enum log_level level);

/* The names of the levels, from LOG_LEVEL_ERROR on, NULL at the end: for an option. */
extern const char *const log_level_names[];

void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a line is about: fields for filtering the journal. Members that are NULL or 0 are left out; stderr shows none.
 */
struct log_fields {
	const char *ref;    /* REF= */
	const char *digest; /* DIGEST= */
	const char *host;   /* HOST= */
	uint64_t bytes;     /* BYTES= */
	int error;          /* ERRNO=, a positive errno; log_errno() sets it */
};

void log_with(enum log_level level, const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...)   log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_at(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Log how often the last line was repeated since it was written, if it was: before the process ends by a signal. Or
 * only if LOG_REPEAT_MS have passed: whenever the loop turns, so that a count is logged even if nothing else happens.
 */
void log_flush(void);
void log_flush_due(void);

/* Log at error level, followed by ": " and the text of -r. Returns r, so that a caller can return it. */
int log_errno(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* At most one line per second from one place; suppressed lines are counted. Zero-initialise. */
struct log_limit {
	uint64_t next_ms;
	uint64_t held_back;
};

/* A rate-limited warning, with the number of lines suppressed since the last one, if any. */
void log_warning_limited(struct log_limit *limit, const char *text);

/* Whether a line may be written now; `ret_held_back` is how many were suppressed since the last one. */
bool log_limit_pass(struct log_limit *limit, uint64_t *ret_held_back);

#endif
