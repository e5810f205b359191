/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/transfer.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"

#define RATE_AGE_MAX_MS 3000 /* an older measurement says nothing about the current rate */

/* Sets of jobs and of steps. */
#define BIT(x)     (1u << (x))
#define NO_JOB     BIT(SYNC_NONE)
#define WHILE_OPEN (NO_JOB | BIT(SYNC_CHECKPOINT) | BIT(SYNC_RESERVE))
#define NOTHING    BIT(STEP_NONE)
#define ENDS       (BIT(STEP_CLOSE) | BIT(STEP_SUSPEND) | BIT(STEP_REMOVE) | BIT(STEP_RESET))
#define GOES_ON    (BIT(STEP_RESOLVED) | BIT(STEP_COMPLETE))

enum ingest_is {
	INGEST_ANY,
	INGEST_OPEN,
	INGEST_CLOSED,
	INGEST_CLOSING, /* open only until the job has finished */
};

/* The table of transfer.h. */
static const struct phase_row {
	enum transfer_state state; /* 0: as before */
	enum ingest_is ingest;
	unsigned jobs;
	unsigned afters;
} phases[PHASES] = {
    [PHASE_QUEUED] = {TRANSFER_QUEUED, INGEST_ANY, WHILE_OPEN, NOTHING | ENDS},
    [PHASE_RESERVING] = {TRANSFER_FETCHING, INGEST_OPEN, NO_JOB | BIT(SYNC_RESERVE), NOTHING | BIT(STEP_ORDER)},
    [PHASE_ORDER_DUE] = {TRANSFER_FETCHING, INGEST_OPEN, WHILE_OPEN, NOTHING | GOES_ON},
    [PHASE_ORDERED] = {TRANSFER_FETCHING, INGEST_OPEN, WHILE_OPEN, NOTHING | GOES_ON},
    [PHASE_SEALING] = {TRANSFER_SEALED, INGEST_OPEN, NO_JOB | BIT(SYNC_SEAL), NOTHING | BIT(STEP_NOTE_SEAL)},
    [PHASE_SEAL_DUE] = {TRANSFER_SEALED, INGEST_OPEN, NO_JOB, NOTHING},
    [PHASE_SEAL_SENT] = {TRANSFER_SEALED, INGEST_OPEN, NO_JOB, NOTHING},
    [PHASE_HALTED] = {0, INGEST_CLOSING, WHILE_OPEN | BIT(SYNC_SEAL),
		      NOTHING | BIT(STEP_START_OVER) | BIT(STEP_ROLL_BACK) | ENDS},
    [PHASE_FOR_SPACE] = {TRANSFER_WAITING, INGEST_ANY, WHILE_OPEN, NOTHING | GOES_ON | BIT(STEP_REQUEUE) | ENDS},
    [PHASE_FOR_LOCK] = {TRANSFER_WAITING, INGEST_CLOSED, NO_JOB, NOTHING},
    [PHASE_IDLE] = {TRANSFER_WAITING, INGEST_CLOSING, WHILE_OPEN, NOTHING | ENDS},
    [PHASE_FAILED] = {TRANSFER_FAILED, INGEST_CLOSING, WHILE_OPEN, NOTHING | ENDS},
    [PHASE_COMMITTED] = {TRANSFER_COMMITTED, INGEST_CLOSED, NO_JOB, NOTHING},
};

static void check_phase(const struct transfer *t)
{
	const struct phase_row *row = &phases[t->phase];

	assert(row->ingest != INGEST_OPEN || t->in);
	assert(row->ingest != INGEST_CLOSED || !t->in);
	assert(row->jobs & BIT(t->job.kind));
	assert(row->afters & BIT(t->after));
}

void transfer_check(const struct transfer *t)
{
	const struct phase_row *row = &phases[t->phase];

	check_phase(t);
	if (t->job.kind == SYNC_NONE) {
		assert(t->after == STEP_NONE);
		assert(row->ingest != INGEST_CLOSING || !t->in);
		assert(t->phase != PHASE_RESERVING && t->phase != PHASE_SEALING);
	} else {
		assert(t->in);
		assert(row->ingest != INGEST_CLOSING || t->after != STEP_NONE);
	}
}

void transfer_enter(struct transfer *t, enum phase phase)
{
	const struct phase_row *row = &phases[phase];

	t->of_state[t->state]--;
	t->phase = phase;
	if (row->state != 0)
		t->state = row->state;
	t->of_state[t->state]++;
	if (!(row->afters & BIT(t->after)))
		t->after = STEP_NONE;
	if (t->state != TRANSFER_FETCHING)
		t->until_s = 0;
	check_phase(t);
}

bool transfer_is_busy(const struct transfer *t)
{
	return t->job.kind != SYNC_NONE;
}

void transfer_begin_job(struct transfer *t, enum sync_kind kind, enum step after)
{
	assert(!transfer_is_busy(t) && t->in);
	sync_prepare(&t->job, kind, t->in);
	t->after = after;
	t->job_ms = t->checkpoint_ms = clock_mono_ms();
	check_phase(t);
}

void transfer_set_after(struct transfer *t, enum step after)
{
	assert(transfer_is_busy(t));
	t->after = after;
	check_phase(t);
}

enum step transfer_end_job(struct transfer *t)
{
	enum step after = t->after;

	assert(transfer_is_busy(t));
	t->job.kind = SYNC_NONE;
	t->after = STEP_NONE;
	return after;
}

bool transfer_is_ordered(const struct transfer *t)
{
	return t->phase == PHASE_ORDER_DUE || t->phase == PHASE_ORDERED;
}

bool transfer_is_under_way(const struct transfer *t)
{
	return t->phase != PHASE_IDLE && t->phase != PHASE_FAILED && t->phase != PHASE_COMMITTED;
}

struct transfer *transfer_new(struct flow *flow, struct span ref, size_t *of_state)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ref = strndup((const char *)ref.data, ref.len);
	if (!t->ref) {
		free(t);
		return NULL;
	}
	t->flow = flow;
	t->of_state = of_state;
	t->phase = PHASE_QUEUED;
	t->state = TRANSFER_QUEUED;
	t->of_state[t->state]++;
	t->asked_size = t->size = SIZE_UNKNOWN;
	return t;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	assert(!transfer_is_busy(t));
	t->of_state[t->state]--;
	ingest_close(t->in);
	free(t->note);
	free(t->asked_source);
	free(t->ref);
	free(t);
}

void transfer_note(struct transfer *t, const char *text)
{
	char *kept = text && text[0] != '\0' ? strdup(text) : NULL;

	free(t->note);
	t->note = kept;
}

int transfer_ask(struct transfer *t, struct span source, const struct digest *expected, uint64_t size)
{
	char *kept = strndup((const char *)source.data, source.len);

	if (!kept)
		return -ENOMEM;
	free(t->asked_source);
	t->asked_source = kept;
	t->asked_size = size;
	t->has_asked_digest = expected;
	if (expected)
		t->asked_digest = *expected;
	return 0;
}

void transfer_note_asker(struct transfer *t, uid_t uid)
{
	if (t->has_asker)
		return;
	t->has_asker = true;
	t->asker = uid;
}

void transfer_apply_asked(struct transfer *t)
{
	struct record *record = &t->in->record;

	if (t->asked_size != SIZE_UNKNOWN && !record->has_sealed)
		record->size = t->asked_size;
	if (t->has_asked_digest) {
		record->expected = t->asked_digest;
		record->has_expected = true;
	}
	if (record->has_expected && t->in->offset == 0)
		(void)ingest_set_alg(t->in, record->expected.alg);
}

void transfer_refresh(struct transfer *t)
{
	if (!t->in)
		return;
	const struct record *record = &t->in->record;
	t->offset = t->in->offset;
	t->size = record->size;
	t->started_s = record->started_s;
	t->orders = record->orders;
	t->rehashed = t->in->rehashed;
	memcpy(t->media_type, record->media_type, sizeof(t->media_type));
	t->has_digest = !t->in->is_moved;
	if (t->has_digest)
		ingest_digest(t->in, &t->digest);
}

/* A transfer that fetchd holds back until some time is shown as waiting. */
static enum transfer_state shown_state(const struct transfer *t)
{
	return t->state == TRANSFER_FETCHING && t->until_s > 0 ? TRANSFER_WAITING : t->state;
}

uint64_t transfer_rate(const struct transfer *t)
{
	bool flows = t->state == TRANSFER_FETCHING && clock_mono_ms() - t->event_ms < RATE_AGE_MAX_MS;

	return flows ? t->rate : 0;
}

void transfer_tell(struct transfer *t, struct transfer_texts *texts, struct message *ret_record)
{
	transfer_refresh(t);
	texts->digest[0] = '\0';
	if (t->has_digest)
		digest_format(&t->digest, texts->digest);
	*ret_record = (struct message){
	    .type = MSG_RECORD,
	    .ref = span_str(t->ref),
	    .state = (uint8_t)shown_state(t),
	    .offset = t->offset,
	    .size = t->size,
	    .digest = span_str(texts->digest),
	    .media_type = span_str(t->media_type),
	    .started_s = t->started_s,
	    .updated_s = t->updated_s,
	    .attempt = t->orders,
	    .rate = transfer_rate(t),
	    .rehashed = t->rehashed,
	    .until_s = t->until_s,
	    .fail_class = (uint8_t)t->fail_class,
	    .text = span_str(t->note),
	};
}
