/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 500 lines because it is one state machine: all steps of a transfer, and nothing else. */
#include "ingestd/flow.h"

/* System */
#include <assert.h>
#include <inttypes.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/verdict.h"

#define RESTARTS_MAX 1                   /* starts over because of wrong or changed content, then fails */
#define RESERVE_MIN  (UINT64_C(1) << 20) /* bytes; less is not worth a job */

/* ── parts of steps ── */

static void log_failure(const struct transfer *t, int r, const char *verb)
{
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = t->ref, .error = -r}, "cannot %s '%s': %s", verb, t->ref,
		 strerror(-r));
}

void flow_enter(struct flow *f, struct transfer *t, enum phase phase)
{
	enum transfer_state before = t->state;

	transfer_enter(t, phase);
	f->start_due = true;
	if (t->state == before && (t->state == TRANSFER_FETCHING || t->state == TRANSFER_SEALED))
		return;
	transfer_touch(t);
	transfer_refresh(t);
	verdict_log_state(t);
	events_publish(f->events, t);
}

/*
 * Attempts grow over all transfers, not for each alone: a ref that was aborted and is requested again has a fresh
 * record, and fetchd would take a small attempt for an old one.
 */
static void next_attempt(struct flow *f, struct transfer *t)
{
	struct record *record = &t->in->record;

	if (f->attempt < record->attempt)
		f->attempt = record->attempt;
	record->attempt = ++f->attempt;
	transfer_unmark(t, MARKS_OF_ATTEMPT);
}

static void call_off(struct flow *f, struct transfer *t)
{
	orders_cancel(f->orders, span_str(t->ref), t->in->record.attempt);
	next_attempt(f, t);
}

static enum step halt(struct flow *f, struct transfer *t, enum step step)
{
	call_off(f, t);
	if (t->state == TRANSFER_FETCHING || t->state == TRANSFER_SEALED)
		transfer_enter(t, PHASE_HALTED);
	return step;
}

static enum step fail(struct flow *f, struct transfer *t, enum fail_class class, const char *text)
{
	struct record *record = &t->in->record;

	call_off(f, t);
	transfer_fail(t, class, text);
	record->failed = class;
	reason_set(&record->why, "%s", text);
	int r = ingest_note_failed(t->in);
	if (r < 0)
		log_failure(t, r, "record the failure of");
	flow_enter(f, t, PHASE_FAILED);
	count_add(COUNT_ENDED_FAILED, 1);
	return STEP_CLOSE;
}

/*
 * A write or a sync failed. After a failed sync the kernel may have dropped what it had accepted, so the ingest always
 * goes back to its durable checkpoint; then it waits if the disk is full, and anything else is tried once more.
 */
static enum step trouble(struct flow *f, struct transfer *t, int r, const char *verb, bool from_sync)
{
	struct reason why;

	verdict_io(t->in, verb, r, &why);
	if (file_is_short(r)) {
		(void)verdict_space(t->in, &why); /* with the numbers, if the disk is full */
		flow_wait_for_space(f, t, why.text);
		return from_sync ? STEP_ROLL_BACK : STEP_NONE;
	}
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = t->ref, .error = -r}, "%s", why.text);
	if (transfer_has(t, MARK_ROLLED_BACK))
		return fail(f, t, FAIL_IO, why.text);
	transfer_mark(t, MARK_ROLLED_BACK);
	return halt(f, t, STEP_ROLL_BACK);
}

static enum step start_over(struct flow *f, struct transfer *t, enum fail_class class, const char *text)
{
	transfer_restart(t, class, text);
	return halt(f, t, STEP_START_OVER);
}

static void on_job_done(struct work *w);

static void submit(struct flow *f, struct transfer *t, enum sync_kind kind, enum step after)
{
	transfer_begin_job(t, kind, after);
	t->job.work.done = on_job_done;
	workers_submit(f->workers, &t->job.work);
}

bool flow_is_complete(const struct ingest *in)
{
	return in->is_moved || (in->record.size != SIZE_UNKNOWN && in->offset >= in->record.size);
}

static bool wants_reserve(const struct transfer *t)
{
	const struct record *record = &t->in->record;

	return !transfer_is_busy(t) && record->size != SIZE_UNKNOWN && record->size - t->in->offset >= RESERVE_MIN;
}

/* Whether it has no source: then it is idle until 'ingestd put' feeds it. */
static bool is_fed_by_put(struct flow *f, struct transfer *t)
{
	if (t->in->record.source[0] != '\0')
		return false;
	transfer_note(t, "fed by 'ingestd put'");
	flow_enter(f, t, PHASE_IDLE);
	return true;
}

/*
 * If the size is known, reserve the space before anything is requested from a server, then order: so a transfer that a
 * quota has no room for does not start and does not use up the quota.
 */
static enum step go_on(struct flow *f, struct transfer *t)
{
	struct reason why;

	if (flow_is_complete(t->in))
		return STEP_COMPLETE;
	if (is_fed_by_put(f, t))
		return STEP_CLOSE;
	if (!wants_reserve(t) || !verdict_space(t->in, &why))
		return STEP_ORDER;
	flow_enter(f, t, PHASE_RESERVING);
	submit(f, t, SYNC_RESERVE, STEP_ORDER);
	return STEP_NONE;
}

static void send_seal(struct flow *f, struct transfer *t)
{
	flow_enter(f, t, PHASE_SEAL_DUE);
	transfer_await(t);
	seals_flush(f->seals);
}

/* ── the steps ── */

static enum step order(struct flow *f, struct transfer *t)
{
	struct ingest *in = t->in;
	struct reason why;

	if (is_fed_by_put(f, t))
		return STEP_CLOSE;
	if (!verdict_space(in, &why)) {
		flow_wait_for_space(f, t, why.text);
		return STEP_NONE;
	}
	next_attempt(f, t);
	in->record.orders++;
	in->record.failed = FAIL_NONE;
	in->record.why.text[0] = '\0';
	int r = ingest_note(in);
	if (r < 0)
		return trouble(f, t, r, "record an order for", false);
	count_add(COUNT_ORDERS, 1);
	transfer_note(t, NULL);
	flow_enter(f, t, PHASE_ORDER_DUE);
	transfer_await(t);
	orders_flush(f->orders);
	return STEP_NONE;
}

bool flow_is_stored(const struct flow *f, const struct digest *d, uint64_t *ret_size)
{
	for (size_t i = 0; i < f->transfers->len; i++)
		if (transfer_is_being_named(f->transfers->by_ref[i], d))
			return false;
	return layout_blob_size(f->home->layout, d, ret_size) == 0;
}

static enum step go_on_resolved(struct flow *f, struct transfer *t)
{
	const struct digest digest = t->in->record.expected;
	uint64_t size;

	if (!flow_is_stored(f, &digest, &size))
		return t->phase == PHASE_FOR_SPACE ? STEP_NONE : STEP_ORDER; /* others may run in its place by now */
	t->in->record.size = size;
	flow_committed(f, t, &digest);
	return STEP_NONE;
}

static enum step complete(struct flow *f, struct transfer *t)
{
	struct reason why;

	if (t->in->is_moved) {
		send_seal(f, t);
		return STEP_NONE;
	}
	if (!verdict_content(t->in, &why))
		return start_over(f, t, FAIL_BAD_DATA, why.text);
	flow_enter(f, t, PHASE_SEALING);
	submit(f, t, SYNC_SEAL, STEP_NOTE_SEAL);
	return STEP_NONE;
}

/* All bytes are synced and read-only: from now on it belongs to commitd, and after a restart SEALED is sent again. */
static enum step note_seal(struct flow *f, struct transfer *t)
{
	int r = ingest_note_sealed(t->in);

	if (r < 0)
		return trouble(f, t, r, "record the seal of", false);
	send_seal(f, t);
	return STEP_NONE;
}

/* Put it last in the queue: others were requested meanwhile, and fetchd runs a limited number at once. */
static enum step requeue(struct flow *f, struct transfer *t)
{
	transfers_to_end(f->transfers, t);
	flow_enter(f, t, PHASE_QUEUED);
	return STEP_NONE;
}

static enum step roll_back(struct flow *f, struct transfer *t)
{
	struct reason why;

	int r = ingest_roll_back(t->in);
	if (r < 0) {
		verdict_io(t->in, "roll back to the last checkpoint of", r, &why);
		return fail(f, t, FAIL_IO, why.text);
	}
	log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = t->ref, .bytes = t->in->offset},
		 "transfer '%s' rolled back to its durable checkpoint at %" PRIu64, t->ref, t->in->offset);
	return t->phase == PHASE_HALTED ? go_on(f, t) : STEP_NONE; /* otherwise it must wait for its turn first */
}

static enum step drop_and_retry(struct flow *f, struct transfer *t)
{
	struct ingest *in = t->in;
	bool again = in->record.restarts < RESTARTS_MAX;
	enum fail_class class = transfer_take_restart(t);
	AUTO_FREE char *text = t->note ? strdup(t->note) : NULL;

	log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = t->ref}, "transfer '%s' starts over: %s", t->ref,
		 text ? text : "its content changed");
	count_add(COUNT_STARTED_OVER, 1);
	in->record.restarts++;
	transfer_unmark(t, MARK_RESOLVED);
	int r = ingest_truncate(in);
	transfer_apply_asked(t);
	if (r < 0)
		return trouble(f, t, r, "truncate", false);
	return again ? STEP_ORDER : fail(f, t, class, text ? text : "its content keeps changing");
}

static enum step close_ingest(struct flow *f, struct transfer *t)
{
	(void)f;
	transfer_close(t);
	return STEP_NONE;
}

static enum step suspend(struct flow *f, struct transfer *t)
{
	if (t->state == TRANSFER_SEALED || t->in->is_moved || t->in->offset <= t->in->durable_offset)
		return STEP_CLOSE;
	submit(f, t, SYNC_CHECKPOINT, STEP_CLOSE);
	return STEP_NONE;
}

static void remove_ingest(struct transfer *t)
{
	int r = transfer_remove_ingest(t);

	if (r < 0)
		log_failure(t, r, "remove the ingest of");
}

static enum step remove_all(struct flow *f, struct transfer *t)
{
	remove_ingest(t);
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = t->ref}, "transfer '%s' is removed", t->ref);
	if (t->phase != PHASE_COMMITTED) { /* tell those who wait for it */
		transfer_fail(t, FAIL_AGAIN, "aborted");
		transfer_enter(t, PHASE_FAILED);
		events_publish(f->events, t);
	}
	transfers_remove(f->transfers, t);
	f->start_due = true;
	return STEP_NONE;
}

static enum step reset(struct flow *f, struct transfer *t)
{
	struct reason why;

	int r = ingest_truncate(t->in);
	transfer_apply_asked(t);
	if (r < 0 && (t->phase == PHASE_HALTED || t->phase == PHASE_FOR_SPACE))
		return trouble(f, t, r, "truncate", false);
	if (r < 0) {
		verdict_io(t->in, "truncate", r, &why);
		return fail(f, t, FAIL_IO, why.text);
	}
	return t->phase == PHASE_HALTED ? STEP_ORDER : STEP_CLOSE;
}

static const struct step_row {
	enum step (*run)(struct flow *f, struct transfer *t);
	bool beside_job; /* it may run while the transfer has a job */
	bool ends;       /* it removes the ingest, so a job that failed before it is not retried */
	bool frees;      /* the transfer is gone afterwards */
} steps[STEPS] = {
    [STEP_ORDER] = {.run = order, .beside_job = true},
    [STEP_RESOLVED] = {.run = go_on_resolved},
    [STEP_COMPLETE] = {.run = complete},
    [STEP_NOTE_SEAL] = {.run = note_seal},
    [STEP_REQUEUE] = {.run = requeue},
    [STEP_ROLL_BACK] = {.run = roll_back},
    [STEP_START_OVER] = {.run = drop_and_retry},
    [STEP_CLOSE] = {.run = close_ingest, .ends = true},
    [STEP_SUSPEND] = {.run = suspend, .ends = true},
    [STEP_REMOVE] = {.run = remove_all, .ends = true, .frees = true},
    [STEP_RESET] = {.run = reset, .ends = true},
};

void flow_do(struct flow *f, struct transfer *t, enum step step)
{
	while (step != STEP_NONE) {
		if (transfer_is_busy(t) && !steps[step].beside_job) {
			transfer_set_after(t, step);
			break;
		}
		bool is_gone = steps[step].frees;
		step = steps[step].run(f, t);
		if (is_gone)
			return;
	}
	transfer_check(t);
}

/* ── jobs ── */

static const char *verb_of(const struct sync_job *job, enum sync_kind kind)
{
	if (job->poisoned)
		return "sync";
	return kind == SYNC_RESERVE ? "reserve space for" : "write the checkpoint of";
}

/*
 * A job failed, and the ingest is about to be closed or dropped. After a failed sync no live slot may vouch for the
 * bytes that are kept, because the next process that opens it would not know about the failure.
 */
static enum step end_after_failure(struct transfer *t, int r, const char *verb, enum step after)
{
	bool is_kept = after == STEP_CLOSE || after == STEP_SUSPEND;
	struct reason why;

	verdict_io(t->in, verb, r, &why);
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = t->ref, .error = -r}, "%s", why.text);
	if (t->job.poisoned && is_kept) {
		r = ingest_roll_back(t->in);
		if (r < 0)
			log_failure(t, r, "roll back");
	}
	return is_kept ? STEP_CLOSE : after;
}

static void on_job_done(struct work *w)
{
	static const enum counter timers[] = {
	    [SYNC_CHECKPOINT] = COUNT_CHECKPOINT_TIME,
	    [SYNC_SEAL] = COUNT_SEAL_TIME,
	    [SYNC_RESERVE] = COUNT_RESERVE_TIME,
	};
	struct transfer *t = (struct transfer *)w; /* the job is the transfer's first member, and `work` the job's */
	struct flow *f = t->flow;
	enum sync_kind kind = t->job.kind;

	count_time(timers[kind], clock_mono_ms() - t->job_ms);
	int r = sync_finish(&t->job);
	enum step after = transfer_end_job(t);
	if (r == 0 && kind == SYNC_CHECKPOINT)
		log_debug("transfer '%s' is durable up to %" PRIu64, t->ref, t->job.offset);
	if (r < 0 && kind == SYNC_RESERVE)
		(void)ingest_unreserve(t->in);
	if (r < 0 && steps[after].ends)
		after = end_after_failure(t, r, verb_of(&t->job, kind), after);
	else if (r < 0)
		after = trouble(f, t, r, verb_of(&t->job, kind), t->job.poisoned);
	f->start_due = true; /* it may be queued, and could not start with a job */
	flow_do(f, t, after);
}

/* ── called from other files ── */

void flow_halt(struct flow *f, struct transfer *t, enum step step)
{
	flow_do(f, t, halt(f, t, step));
}

void flow_go_on(struct flow *f, struct transfer *t)
{
	flow_do(f, t, go_on(f, t));
}

void flow_fail(struct flow *f, struct transfer *t, enum fail_class class, const char *text)
{
	flow_do(f, t, fail(f, t, class, text));
}

/* The content, the order and the disk are the same for every source. */
void flow_source_failed(struct flow *f, struct transfer *t, enum fail_class class, const char *text)
{
	bool may_differ = class != FAIL_USAGE && class != FAIL_IO;

	if (!may_differ || !transfer_next_source(t)) {
		flow_fail(f, t, class, text);
		return;
	}
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = t->ref, .bytes = t->in->offset},
		 "transfer '%s' goes on from the next source that was requested: %s", t->ref, text);
	transfer_unmark(t, MARK_RESOLVED);
	flow_do(f, t, STEP_ORDER);
}

void flow_trouble(struct flow *f, struct transfer *t, int r, const char *verb)
{
	flow_do(f, t, trouble(f, t, r, verb, false));
}

void flow_start_over(struct flow *f, struct transfer *t, enum fail_class class, const char *text)
{
	flow_do(f, t, start_over(f, t, class, text));
}

void flow_wait_for_space(struct flow *f, struct transfer *t, const char *text)
{
	if (t->in)
		call_off(f, t);
	transfer_pause(t, text);
	flow_enter(f, t, PHASE_FOR_SPACE);
	transfer_check(t);
}

void flow_doubt_size(struct flow *f, struct transfer *t, uint64_t size)
{
	if (t->phase != PHASE_FOR_SPACE || !t->in || transfer_is_busy(t) || t->in->is_moved ||
	    t->in->record.has_sealed || t->asked_size != SIZE_UNKNOWN)
		return;
	transfer_set_size(t, size);
	flow_do(f, t, STEP_REQUEUE);
}

void flow_space_is_back(struct flow *f, struct transfer *t)
{
	if (t->in && !flow_is_complete(t->in))
		submit(f, t, SYNC_RESERVE, STEP_REQUEUE);
	else
		flow_do(f, t, STEP_REQUEUE);
}

void flow_reserve(struct flow *f, struct transfer *t)
{
	if (wants_reserve(t))
		submit(f, t, SYNC_RESERVE, STEP_NONE);
}

void flow_checkpoint_if_due(struct flow *f, struct transfer *t, uint64_t now_ms)
{
	uint64_t fresh = t->in->offset - t->in->durable_offset;

	if (!transfer_is_busy(t) && fresh > 0 &&
	    (fresh >= f->settings->checkpoint_bytes ||
	     now_ms - t->checkpoint_ms >= f->settings->checkpoint_interval_ms))
		submit(f, t, SYNC_CHECKPOINT, STEP_NONE);
}

/* Forget the oldest committed transfers when there are too many. */
static void trim_recent(struct transfers *ts)
{
	if (ts->of_state[TRANSFER_COMMITTED] > RECENT_MAX)
		transfers_remove(ts, transfers_oldest(ts, TRANSFER_COMMITTED));
}

void flow_committed(struct flow *f, struct transfer *t, const struct digest *digest)
{
	transfer_commit(t, digest);
	remove_ingest(t);
	transfers_to_end(f->transfers, t); /* so that the ones committed first are forgotten first */
	flow_enter(f, t, PHASE_COMMITTED);
	transfer_check(t);
	count_add(COUNT_ENDED_COMMITTED, 1);
	trim_recent(f->transfers);
}
