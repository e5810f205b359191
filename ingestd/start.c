/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/start.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/disk/open.h"
#include "ingestd/verdict.h"

/* There is no space even for the record of a new ingest: leave the little that is left to others. */
static void remove_empty_ingest(struct transfer *t, int r)
{
	if (!file_is_short(r) || transfer_is_busy(t) || t->in->record_len > 0 || t->in->offset > 0)
		return;
	(void)transfer_remove_ingest(t);
}

/*
 * If nothing has arrived yet, the last request overrides what was known about the content. If a digest decides and the
 * server's content was wrong, its size may have been wrong too: it came from a server, or from fetchd.
 */
static void apply_request(struct transfer *t)
{
	struct record *record = &t->in->record;
	bool is_open = t->in->offset == 0 && !record->has_expected;
	bool is_doubtful = record->failed == FAIL_BAD_DATA && record->has_expected && t->in->offset < record->size;

	(void)snprintf(record->source, sizeof(record->source), "%s", t->asked_source);
	transfer_note_policy(t);
	record->failed = FAIL_NONE;
	record->why.text[0] = '\0';
	record->restarts = 0;
	if (is_open && !record->has_sealed)
		record->validator[0] = '\0';
	if ((is_open || is_doubtful) && !record->has_sealed)
		record->size = SIZE_UNKNOWN;
	transfer_unmark(t, MARK_RESOLVED);
	transfer_apply_asked(t);
}

int start_open(struct flow *f, struct transfer *t, struct reason *why)
{
	int r = transfer_open(t, f->home, INGEST_MAKE, why);

	if (r < 0 || !t->asked_source)
		return r;
	apply_request(t);
	r = ingest_note(t->in);
	transfer_refresh(t);
	if (r < 0) {
		verdict_io(t->in, "write the record of", r, why);
		remove_empty_ingest(t, r);
		return r;
	}
	transfer_asked_is_noted(t);
	return 0;
}

/* The open failed: wait or fail, with the reason. */
static void rest(struct flow *f, struct transfer *t, int r, const struct reason *why)
{
	bool is_held = r == -EWOULDBLOCK;

	if (file_is_short(r)) {
		flow_wait_for_space(f, t, why->text);
		return;
	}
	if (is_held)
		transfer_note(t, why->text);
	else
		transfer_fail(t, FAIL_IO, why->text);
	flow_enter(f, t, is_held ? PHASE_FOR_LOCK : PHASE_FAILED);
	if (!is_held)
		log_error("%s", why->text);
	if (t->in)
		flow_do(f, t, STEP_CLOSE);
}

/* Part of unidentified content: nothing tells whether the server still has the same content. */
static bool is_unverifiable(const struct ingest *in)
{
	const struct record *record = &in->record;

	return in->offset > 0 && !record->has_expected && record->validator[0] == '\0' && !flow_is_complete(in) &&
	       strncmp(record->source, "http", 4) == 0;
}

static int drop_unverifiable(struct transfer *t)
{
	if (!is_unverifiable(t->in))
		return 0;
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = t->ref, .bytes = t->in->offset},
		 "transfer '%s' starts over: the server sent no validator, so the %" PRIu64
		 " bytes so far may belong to other content",
		 t->ref, t->in->offset);
	count_add(COUNT_STARTED_OVER, 1);
	int r = ingest_truncate(t->in);
	transfer_apply_asked(t);
	return r;
}

static void log_resumption(const struct transfer *t)
{
	const struct ingest *in = t->in;

	count_add(COUNT_REHASHED_BYTES, in->rehashed_now);
	if (in->rehashed_now > 0 || in->offset > 0)
		log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = t->ref, .bytes = in->offset},
			 "transfer '%s' resumes %s at %" PRIu64 ", %" PRIu64 " bytes hashed again", t->ref, in->resumed,
			 in->offset, in->rehashed_now);
}

/*
 * Accepted by an earlier release, or edited manually: the record names a source that has another ref, and nobody who
 * requests this ref wants that content. The next request supplies the right source.
 */
static bool is_from_elsewhere(const struct transfer *t)
{
	const struct record *record = &t->in->record;
	char ref[REF_MAX + 1];
	struct digest d;
	bool is_pinned = digest_parse(span_str(t->ref), &d, NULL) == 0;

	return record->source[0] != '\0' &&
	       (ref_of_source(span_str(record->source), is_pinned ? &d : NULL, ref, NULL) < 0 ||
		strcmp(ref, t->ref) != 0);
}

void start_transfer(struct flow *f, struct transfer *t)
{
	struct reason why = {""};
	bool was_open = t->in;

	int r = start_open(f, t, &why);
	if (r < 0) {
		rest(f, t, r, &why);
		return;
	}
	transfer_begin(t);
	transfer_apply_asked(t);
	if (!was_open)
		log_resumption(t);
	if (is_from_elsewhere(t)) {
		(void)ingest_truncate(t->in);
		flow_fail(f, t, FAIL_USAGE, "its record names a source that is not that of its ref");
		return;
	}
	r = drop_unverifiable(t);
	if (r < 0) {
		transfer_mark(t, MARK_ROLLED_BACK); /* the checkpoint is of these bytes, too */
		flow_trouble(f, t, r, "truncate");
	} else {
		flow_go_on(f, t);
	}
}
