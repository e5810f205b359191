/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/report.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/log.h"
#include "common/base/shown.h"

/* Sluice */
#include "sluice/run/interrupt.h"

#define FAILURES_SHOWN 20

void report_json(const struct json_t *value)
{
	AUTO_BUF text = BUF_INIT;

	if (json_format(value, &text) == 0)
		(void)printf("%s\n", text.data);
}

void report_document(const struct json_t *value, bool json)
{
	AUTO_BUF text = BUF_INIT;

	if (json)
		report_json(value);
	else if (json_format_indented(value, &text) == 0)
		(void)printf("%s\n", text.data);
}

/* From failures that time cures to those that only other input avoids. */
static const enum fail_class by_weight[] = {
    FAIL_NONE, FAIL_AGAIN,  FAIL_MISSING,   FAIL_CHANGED, FAIL_UNAVAILABLE, FAIL_SPACE,
    FAIL_IO,   FAIL_DENIED, FAIL_NOT_FOUND, FAIL_USAGE,   FAIL_BAD_DATA,
};

static size_t weight(enum fail_class c)
{
	size_t i = 0;

	while (i + 1 < sizeof(by_weight) / sizeof(by_weight[0]) && by_weight[i] != c)
		i++;
	return i;
}

enum fail_class report_worse(enum fail_class a, enum fail_class b)
{
	return weight(a) >= weight(b) ? a : b;
}

/* "REF: why", without repeating the ref. */
static void describe_failure(const struct blob *b, struct reason *ret_text)
{
	const char *why = b->why ? b->why : "";
	bool said = strstr(why, b->ref);

	reason_set(ret_text, "%s%s%s", said ? "" : b->ref, said ? "" : ": ", why);
}

int report_failures(const struct wait *w, struct reason *why)
{
	const struct blob *only = NULL;
	enum fail_class worst = FAIL_NONE;
	size_t failed = wait_count(w, BLOB_FAILED);

	for (size_t i = 0; i < wait_len(w); i++) {
		const struct blob *b = wait_at(w, i);
		if (b->state != BLOB_FAILED)
			continue;
		only = b;
		worst = report_worse(worst, b->fail_class);
	}
	if (!only)
		return 0;
	if (wait_len(w) == 1)
		reason_set(why, "%s", only->why ? only->why : "");
	else if (failed == 1)
		describe_failure(only, why);
	else
		reason_set(why, "%zu of %zu blobs failed", failed, wait_len(w));
	return fail_exit_code(worst);
}

/* One line for each blob, if the last line cannot hold them all. */
static void log_failures(const struct wait *w)
{
	size_t shown = 0;
	struct reason text;

	for (size_t i = 0; wait_count(w, BLOB_FAILED) > 1 && i < wait_len(w) && shown < FAILURES_SHOWN; i++) {
		if (wait_at(w, i)->state != BLOB_FAILED)
			continue;
		describe_failure(wait_at(w, i), &text);
		log_error("%s", text.text);
		shown++;
	}
}

/* Blobs that ingestd is working on count: some of their bytes may have arrived. */
static bool anything_arrived(const struct wait *w)
{
	for (size_t i = 0; i < wait_len(w); i++) {
		const struct blob *b = wait_at(w, i);
		if (b->arrived || blob_is_open(b))
			return true;
	}
	return false;
}

void report_error(const char *verb, const char *subject, int code, const struct wait *w, const struct reason *why)
{
	bool again = code == EX_TEMPFAIL || code == EX_UNAVAILABLE || code == EX_IOERR || code == EXIT_INTERRUPTED;
	const char *kept = "";
	char head[REASON_MAX], shown[SHOWN_SIZE];

	if (w && anything_arrived(w))
		kept = again ? "; what arrived is kept, run the same command to resume" : "; what arrived is kept";
	if (w && code != EXIT_INTERRUPTED)
		log_failures(w);
	shown_of(span_str(subject), shown);
	(void)snprintf(head, sizeof(head), "cannot %s '%s': ", verb, shown);
	bool said = strncmp(why->text, head, strlen(head)) == 0;
	log_error("%s%s%s", said ? "" : head, why->text, kept);
}

void report_trouble(const char *host, const struct reason *trouble)
{
	if (trouble->text[0] != '\0')
		log_warning("%s; continuing without these credentials for '%s'", trouble->text, host);
}

int report_stdout(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (code == 0)
		log_error("cannot write to standard output: %s", strerror(errno));
	return code != 0 ? code : EX_IOERR;
}
