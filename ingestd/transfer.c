/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 500 lines because nothing else writes to a transfer. */
#include "ingestd/transfer.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"

#define RATE_AGE_MAX_MS 3000 /* an older measurement says nothing about the current rate */
#define EVENT_EVERY_MS  200  /* news and progress are published no more often */

/* Pauses between tries that fail although there seems to be space, as when a quota is full. */
#define SPACE_PAUSE_MIN_MS UINT64_C(500)
#define SPACE_PAUSE_MAX_MS UINT64_C(16000)

/* Sets of jobs and of steps. */
#define BIT(x)     (1u << (x))
#define NO_JOB     BIT(SYNC_NONE)
#define WHILE_OPEN (NO_JOB | BIT(SYNC_CHECKPOINT) | BIT(SYNC_RESERVE))
#define NOTHING    BIT(STEP_NONE)
#define ENDS       (BIT(STEP_CLOSE) | BIT(STEP_SUSPEND) | BIT(STEP_REMOVE) | BIT(STEP_RESET))
#define GOES_ON    (BIT(STEP_RESOLVED) | BIT(STEP_COMPLETE))
#define STARTED    (MARK_RESOLVED | MARKS_OF_START)

enum ingest_is {
	INGEST_ANY,
	INGEST_OPEN,
	INGEST_CLOSED,
	INGEST_CLOSING, /* open only until the job has finished */
};

/* Fields that not every phase has: bits. */
enum field {
	FIELD_HEARD = 1,
	FIELD_UNTIL = 2,
	FIELD_RATE = 4,
	FIELD_RESTART = 8,
	FIELD_PAUSE = 16,
	FIELD_FAILURE = 32,
	FIELD_SOURCE = 64,
	FIELD_DIGEST = 128,
	FIELD_SEAL = 256, /* in the record */
	FIELDS_ANYWHERE = FIELD_DIGEST | FIELD_SEAL,
	FIELDS_ORDERED = FIELD_HEARD | FIELD_UNTIL | FIELD_RATE,
};

/* The tables of transfer.h. */
static const struct phase_row {
	enum transfer_state state; /* 0: as before */
	enum ingest_is ingest;
	unsigned jobs;
	unsigned afters;
	unsigned marks;
	unsigned may, must; /* enum field */
} phases[PHASES] = {
    [PHASE_QUEUED] = {TRANSFER_QUEUED, INGEST_ANY, WHILE_OPEN, NOTHING | ENDS, MARK_RESOLVED | MARK_ROLLED_BACK,
		      FIELD_SOURCE, 0},
    [PHASE_RESERVING] = {TRANSFER_FETCHING, INGEST_OPEN, NO_JOB | BIT(SYNC_RESERVE), NOTHING | BIT(STEP_ORDER), STARTED,
			 FIELD_RATE, 0},
    [PHASE_ORDER_DUE] = {TRANSFER_FETCHING, INGEST_OPEN, WHILE_OPEN, NOTHING | GOES_ON, STARTED | MARKS_OF_ATTEMPT,
			 FIELDS_ORDERED, 0},
    [PHASE_ORDERED] = {TRANSFER_FETCHING, INGEST_OPEN, WHILE_OPEN, NOTHING | GOES_ON, STARTED | MARKS_OF_ATTEMPT,
		       FIELDS_ORDERED, 0},
    [PHASE_SEALING] = {TRANSFER_SEALED, INGEST_OPEN, NO_JOB | BIT(SYNC_SEAL), NOTHING | BIT(STEP_NOTE_SEAL), STARTED, 0,
		       0},
    [PHASE_SEAL_DUE] = {TRANSFER_SEALED, INGEST_OPEN, NO_JOB, NOTHING, STARTED, FIELD_HEARD, FIELD_SEAL},
    [PHASE_SEAL_SENT] = {TRANSFER_SEALED, INGEST_OPEN, NO_JOB, NOTHING, STARTED, FIELD_HEARD, FIELD_SEAL},
    [PHASE_HALTED] = {0, INGEST_CLOSING, WHILE_OPEN | BIT(SYNC_SEAL),
		      NOTHING | BIT(STEP_START_OVER) | BIT(STEP_ROLL_BACK) | ENDS, STARTED,
		      FIELD_UNTIL | FIELD_RATE | FIELD_RESTART, 0},
    [PHASE_FOR_SPACE] = {TRANSFER_WAITING, INGEST_ANY, WHILE_OPEN, NOTHING | GOES_ON | BIT(STEP_REQUEUE) | ENDS,
			 STARTED, FIELD_SOURCE, FIELD_PAUSE},
    [PHASE_FOR_LOCK] = {TRANSFER_WAITING, INGEST_CLOSED, NO_JOB, NOTHING, 0, FIELD_SOURCE, 0},
    [PHASE_IDLE] = {TRANSFER_WAITING, INGEST_CLOSING, WHILE_OPEN, NOTHING | ENDS, 0, FIELD_SOURCE, 0},
    [PHASE_FAILED] = {TRANSFER_FAILED, INGEST_CLOSING, WHILE_OPEN, NOTHING | ENDS, 0, FIELD_SOURCE, FIELD_FAILURE},
    [PHASE_COMMITTED] = {TRANSFER_COMMITTED, INGEST_CLOSED, NO_JOB, NOTHING, 0, FIELD_SOURCE, FIELD_DIGEST},
};

/* ── sources ── */

static void source_release(struct asked_source *a)
{
	policy_drop(a->policy);
	free(a->source);
	*a = (struct asked_source){.source = NULL};
}

/* 0 or -ENOMEM. */
static int source_init(struct asked_source *a, struct span source, struct policy *policy)
{
	char *kept = strndup((const char *)source.data, source.len);

	if (!kept)
		return -ENOMEM;
	*a = (struct asked_source){.source = kept, .policy = policy_share(policy)};
	return 0;
}

static bool source_is(const struct asked_source *a, struct span source, const struct policy *policy)
{
	return a->policy == policy && a->source && span_eq(span_str(a->source), source);
}

void transfer_offer(struct transfer *t, struct span source, struct policy *policy)
{
	bool is_known = source_is(&t->current, source, policy) || (!t->current.source && !policy);

	for (size_t i = 0; i < t->others_len; i++)
		is_known = is_known || source_is(&t->others[i], source, policy);
	if (!is_known && t->others_len < SOURCES_MAX - 1 && source_init(&t->others[t->others_len], source, policy) == 0)
		t->others_len++;
}

bool transfer_next_source(struct transfer *t)
{
	if (t->others_len == 0)
		return false;
	source_release(&t->current);
	t->current = t->others[0];
	t->others_len--;
	memmove(t->others, t->others + 1, t->others_len * sizeof(t->others[0]));
	(void)snprintf(t->in->record.source, sizeof(t->in->record.source), "%s", t->current.source);
	transfer_note_policy(t);
	return true;
}

void transfer_note_policy(struct transfer *t)
{
	const struct policy *policy = t->current.policy;

	t->in->record.policy = !policy                     ? RECORD_POLICY_NONE
			       : policy_has_secret(policy) ? RECORD_POLICY_CREDENTIALS
							   : RECORD_POLICY_OPTIONS;
}

void transfer_forget_sources(struct transfer *t)
{
	source_release(&t->current);
	for (size_t i = 0; i < t->others_len; i++)
		source_release(&t->others[i]);
	t->others_len = 0;
}

/* ── phases ── */

static unsigned fields_of(const struct transfer *t)
{
	return (t->heard_ms > 0 ? FIELD_HEARD : 0u) | (t->until_s > 0 ? FIELD_UNTIL : 0u) |
	       (t->rate > 0 ? FIELD_RATE : 0u) | (t->restart_class != FAIL_NONE ? FIELD_RESTART : 0u) |
	       (t->space_ms > 0 ? FIELD_PAUSE : 0u) | (t->fail_class != FAIL_NONE ? FIELD_FAILURE : 0u) |
	       (t->asked_source ? FIELD_SOURCE : 0u) | (t->has_digest ? FIELD_DIGEST : 0u) |
	       (t->in && t->in->record.has_sealed ? FIELD_SEAL : 0u);
}

static void drop_fields(struct transfer *t, unsigned fields)
{
	if (fields & FIELD_HEARD)
		t->heard_ms = 0;
	if (fields & FIELD_UNTIL)
		t->until_s = 0;
	if (fields & FIELD_RATE)
		t->rate = 0;
	if (fields & FIELD_RESTART)
		t->restart_class = FAIL_NONE;
	if (fields & FIELD_PAUSE)
		t->space_ms = 0;
	if (fields & FIELD_FAILURE)
		t->fail_class = FAIL_NONE;
}

/* What holds also in the middle of a step. */
static void check_phase(const struct transfer *t)
{
	const struct phase_row *row = &phases[t->phase];
	unsigned fields = fields_of(t);

	assert(row->state == 0 || t->state == row->state);
	assert(row->ingest != INGEST_OPEN || t->in);
	assert(row->ingest != INGEST_CLOSED || !t->in);
	assert(row->jobs & BIT(t->job.kind));
	assert(row->afters & BIT(t->after));
	assert(t->job.kind == SYNC_NONE ? t->after == STEP_NONE : t->in != NULL);
	assert(!(t->marks & ~row->marks));
	assert(!(fields & ~(row->may | row->must | FIELDS_ANYWHERE)));
	assert(!(row->must & ~fields));
}

void transfer_check(const struct transfer *t)
{
	const struct phase_row *row = &phases[t->phase];

	check_phase(t);
	if (t->job.kind == SYNC_NONE) {
		assert(row->ingest != INGEST_CLOSING || !t->in);
		assert(t->phase != PHASE_RESERVING && t->phase != PHASE_SEALING);
	} else {
		assert(row->ingest != INGEST_CLOSING || t->after != STEP_NONE);
	}
}

static void note_phase_time(struct transfer *t)
{
	t->phase_s = clock_boot_s();
	t->phase_wall_s = clock_wall_s();
	t->rested_s = 0;
}

void transfer_enter(struct transfer *t, enum phase phase)
{
	const struct phase_row *row = &phases[phase];

	if (phase != t->phase)
		note_phase_time(t);
	t->of_state[t->state]--;
	t->phase = phase;
	if (row->state != 0)
		t->state = row->state;
	t->of_state[t->state]++;
	if (!(row->afters & BIT(t->after)))
		t->after = STEP_NONE;
	t->marks &= row->marks;
	drop_fields(t, ~(row->may | row->must));
	if (phase == PHASE_IDLE || phase == PHASE_FAILED || phase == PHASE_COMMITTED)
		transfer_forget_sources(t);
	check_phase(t);
}

/* ── its ingest ── */

int transfer_open(struct transfer *t, const struct ingest_home *home, enum ingest_make make, struct reason *why)
{
	return t->in ? 0 : ingest_open(home, span_str(t->ref), make, &t->in, why);
}

void transfer_close(struct transfer *t)
{
	assert(!transfer_is_busy(t));
	transfer_refresh(t);
	ingest_close(t->in);
	t->in = NULL;
}

int transfer_remove_ingest(struct transfer *t)
{
	assert(!transfer_is_busy(t));
	int r = t->in ? ingest_remove(t->in) : 0;
	t->in = NULL;
	return r;
}

/* ── its job ── */

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
	transfer_check(t);
}

void transfer_set_after(struct transfer *t, enum step after)
{
	assert(transfer_is_busy(t));
	t->after = after;
	transfer_check(t);
}

enum step transfer_end_job(struct transfer *t)
{
	enum step after = t->after;

	assert(transfer_is_busy(t));
	t->job.kind = SYNC_NONE;
	t->after = STEP_NONE;
	check_phase(t);
	return after;
}

/* ── its marks, and what is known of its peer ── */

bool transfer_has(const struct transfer *t, unsigned marks)
{
	return (t->marks & marks) == marks;
}

void transfer_mark(struct transfer *t, unsigned marks)
{
	t->marks |= marks;
	check_phase(t);
}

void transfer_unmark(struct transfer *t, unsigned marks)
{
	t->marks &= ~marks;
}

void transfer_await(struct transfer *t)
{
	t->heard_ms = t->checkpoint_ms = clock_mono_ms();
	t->until_s = 0;
	check_phase(t);
}

void transfer_heard(struct transfer *t, uint64_t until_s)
{
	t->heard_ms = clock_mono_ms();
	t->until_s = until_s;
	check_phase(t);
}

bool transfer_beat(struct transfer *t, uint64_t until_s, const char *text)
{
	if (until_s != t->until_s || strcmp(text, t->note ? t->note : "") != 0) {
		transfer_note(t, text);
		transfer_mark(t, MARK_UNSAID);
	}
	transfer_heard(t, until_s);
	return transfer_has(t, MARK_UNSAID) && transfer_news(t);
}

bool transfer_news(struct transfer *t)
{
	uint64_t now_ms = clock_mono_ms();

	transfer_mark(t, MARK_UNSAID);
	if (now_ms - t->news_ms < EVENT_EVERY_MS)
		return false;
	transfer_unmark(t, MARK_UNSAID);
	t->news_ms = now_ms;
	return true;
}

bool transfer_progress(struct transfer *t)
{
	uint64_t now_ms = clock_mono_ms();

	if (now_ms - t->event_ms < EVENT_EVERY_MS)
		return false;
	uint64_t rate = (t->in->offset - t->event_offset) * 1000 / (now_ms - t->event_ms);
	t->rate = t->rate == 0 ? rate : (3 * t->rate + rate) / 4;
	t->event_ms = now_ms;
	t->event_offset = t->in->offset;
	transfer_touch(t);
	check_phase(t);
	return true;
}

/* ── its course ── */

void transfer_begin(struct transfer *t)
{
	transfer_unmark(t, MARKS_OF_START);
	t->event_offset = t->in->offset;
	t->event_ms = clock_mono_ms();
}

void transfer_restart(struct transfer *t, enum fail_class class, const char *text)
{
	assert(class != FAIL_NONE);
	t->restart_class = class;
	transfer_note(t, text);
}

enum fail_class transfer_take_restart(struct transfer *t)
{
	enum fail_class class = t->restart_class;

	assert(class != FAIL_NONE);
	t->restart_class = FAIL_NONE;
	return class;
}

void transfer_fail(struct transfer *t, enum fail_class class, const char *text)
{
	assert(class != FAIL_NONE);
	t->fail_class = class;
	transfer_note(t, text);
}

/* The pause before the next try. */
static uint64_t next_pause_ms(struct transfer *t)
{
	uint64_t offset = t->in ? t->in->offset : 0;
	uint64_t pause_ms = SPACE_PAUSE_MIN_MS;

	if (offset > t->space_offset)
		t->space_tries = 0;
	t->space_offset = offset;
	for (unsigned i = 0; i < t->space_tries && pause_ms < SPACE_PAUSE_MAX_MS; i++)
		pause_ms *= 2;
	t->space_tries++;
	return pause_ms;
}

void transfer_pause(struct transfer *t, const char *text)
{
	transfer_note(t, text);
	t->space_ms = clock_mono_ms() + next_pause_ms(t);
}

void transfer_forget_tries(struct transfer *t)
{
	t->space_tries = 0;
}

void transfer_commit(struct transfer *t, const struct digest *digest)
{
	transfer_refresh(t);
	t->offset = t->size != SIZE_UNKNOWN ? t->size : t->offset;
	t->digest = *digest;
	t->has_digest = true;
	transfer_note(t, NULL);
}

void transfer_recover(struct transfer *t, const struct record *record, uint64_t offset)
{
	t->offset = offset;
	t->size = record->size;
	t->started_s = t->updated_s = record->started_s;
	t->orders = record->orders;
	t->is_sealed = t->has_digest = record->has_sealed;
	if (t->is_sealed)
		t->digest = record->sealed;
}

void transfer_touch(struct transfer *t)
{
	t->updated_s = clock_wall_s();
}

void transfer_set_turn(struct transfer *t, uint64_t turn)
{
	t->turn = turn;
}

/* ── what is known of it ── */

bool transfer_is_ordered(const struct transfer *t)
{
	return t->phase == PHASE_ORDER_DUE || t->phase == PHASE_ORDERED;
}

bool transfer_is_being_named(const struct transfer *t, const struct digest *d)
{
	const struct record *record = t->in ? &t->in->record : NULL;
	bool is_sealed = record ? record->has_sealed : t->is_sealed;

	return transfer_is_under_way(t) && is_sealed && digest_eq(record ? &record->sealed : &t->digest, d);
}

bool transfer_is_under_way(const struct transfer *t)
{
	return t->phase != PHASE_IDLE && t->phase != PHASE_FAILED && t->phase != PHASE_COMMITTED;
}

void transfer_rested(struct transfer *t, uint64_t age_s)
{
	t->rested_s = age_s;
}

uint64_t transfer_age_s(const struct transfer *t)
{
	return t->rested_s + clock_boot_s() - t->phase_s;
}

bool transfer_rests(const struct transfer *t)
{
	return t->phase == PHASE_IDLE || t->phase == PHASE_FAILED;
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
	note_phase_time(t);
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
	transfer_forget_sources(t);
	free(t->ref);
	free(t);
}

void transfer_note(struct transfer *t, const char *text)
{
	char *kept = text && text[0] != '\0' ? strdup(text) : NULL;

	free(t->note);
	t->note = kept;
}

int transfer_ask(struct transfer *t, struct span source, struct policy *policy, const struct digest *expected,
		 uint64_t size)
{
	struct asked_source current;
	char *kept = strndup((const char *)source.data, source.len);

	if (!kept || source_init(&current, source, policy) < 0) {
		free(kept);
		return -ENOMEM;
	}
	transfer_forget_sources(t);
	t->current = current;
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

void transfer_asked_is_noted(struct transfer *t)
{
	free(t->asked_source);
	t->asked_source = NULL;
}

void transfer_set_size(struct transfer *t, uint64_t size)
{
	t->in->record.size = t->asked_size = size;
	transfer_refresh(t);
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
	t->has_digest = true;
	t->is_sealed = record->has_sealed;
	if (t->is_sealed)
		t->digest = record->sealed; /* the data may be gone */
	else
		ingest_digest(t->in, &t->digest);
}

/* A transfer that fetchd holds back until some time is shown as waiting. */
static enum transfer_state shown_state(const struct transfer *t)
{
	return t->state == TRANSFER_FETCHING && t->until_s > 0 ? TRANSFER_WAITING : t->state;
}

/* Until when fetchd waits, or a failed transfer is kept. */
static uint64_t shown_until_s(const struct transfer *t)
{
	uint64_t keep_s = t->offset > 0 ? TRANSFER_KEEP_S : TRANSFER_KEEP_EMPTY_S;

	if (t->phase != PHASE_FAILED)
		return t->until_s;
	return t->phase_wall_s + keep_s - (t->rested_s < keep_s ? t->rested_s : keep_s);
}

uint64_t transfer_rate(const struct transfer *t)
{
	return clock_mono_ms() - t->event_ms < RATE_AGE_MAX_MS ? t->rate : 0;
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
	    .until_s = shown_until_s(t),
	    .fail_class = (uint8_t)t->fail_class,
	    .text = span_str(t->note),
	};
}
