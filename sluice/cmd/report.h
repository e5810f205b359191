/* SPDX-License-Identifier: Apache-2.0 */
/* How commands end: the line that says what went wrong, and results as JSON. */
#ifndef SLUICE_SLUICE_CMD_REPORT_H
#define SLUICE_SLUICE_CMD_REPORT_H

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/run/wait.h"

/* Write a JSON value and a newline to stdout. */
void report_json(const struct json_t *value);

/* The same for commands whose output is always JSON: for people, indented, unless `json` was requested. */
void report_document(const struct json_t *value, bool json);

/*
 * The worst failure: 0, or its exit code with a reason. If there are several, each gets its own line, and the reason
 * gives their number.
 */
int report_failures(const struct wait *w, struct reason *why);

/* The worse of two classes: the one that a retry helps less. */
enum fail_class report_worse(enum fail_class a, enum fail_class b);

/*
 * Print "cannot pull 'x': why; what arrived is kept, run the same command to resume", as far as that applies. `w` may
 * be NULL. A reason that already says what cannot be done with `subject` is printed alone.
 */
void report_error(const char *verb, const char *subject, int code, const struct wait *w, const struct reason *why);

/* Warn of credentials for `host` that could not be used, if there is such a trouble. */
void report_trouble(const char *host, const struct reason *trouble);

/* 74, with a line on stderr, if writing to stdout failed; else `code`. */
int report_stdout(int code);

#endif
