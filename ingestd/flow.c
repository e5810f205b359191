#include "ingestd/flow_steps.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/control.h"
#include "ingestd/orders.h"
#include "ingestd/seals.h"
#include "ingestd/verdicts.h"

#define RESTARTS_MAX 1    /* back to zero for wrong or changed content, then give up */
#define RECENT_MAX   1024 /* committed transfers that are remembered */

static void count(struct desk *desk, const struct task *t, int step)
{
	if (t->state == TRANSFER_FETCHING)
		desk->active += step;
	if (t->state == TRANSFER_COMMITTED)
		desk->recent += step;
}

void flow_set_state(struct desk *desk, struct task *t, enum transfer_state state)
{
	count(desk, t, -1);
	t->state = state;
	count(desk, t, 1);
	t->updated_s = clock_wall_s();
	if (state != TRANSFER_FETCHING)
		t->until_s = 0;
	if (state != TRANSFER_WAITING)
		t->space_wait = t->lock_wait = false;
	task_refresh(t);
	verdict_log_state(t);
	control_publish(desk->control, t);
}

void flow_close(struct desk *desk, struct task *t)
{
	task_refresh(t);
	ingest_close(t->in);
	t->in = NULL;
	desk_closed(desk);
}

static void log_trouble(const struct task *t, int r, const char *what)
{
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = t->ref, .error = -r}, "%s '%s': %s", what, t->ref,
		 strerror(-r));
}

void flow_remove(struct desk *desk, struct task *t)
{
	if (t->in) {
		int r = ingest_remove(t->in);
		t->in = NULL;
		if (r < 0)
			log_trouble(t, r, "cannot remove the ingest of");
	}
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = t->ref}, "transfer '%s' is removed", t->ref);
	count(desk, t, -1);
	tasks_remove(&desk->tasks, t);
	desk_closed(desk);
}

/*
 * Attempts grow over all transfers and not for each alone: a ref that was aborted and is asked for anew has a fresh
 * record, and fetchd would take a small attempt for an old one.
 */
static void next_attempt(struct desk *desk, struct task *t)
{
	if (desk->attempt < t->in->record.attempt)
		desk->attempt = t->in->record.attempt;
	t->in->record.attempt = ++desk->attempt;
}

void flow_call_off(struct desk *desk, struct task *t)
{
	orders_cancel(desk->orders, span_str(t->ref), t->in->record.attempt);
	next_attempt(desk, t);
	t->order_due = t->seal_due = t->reserving = false;
}

/* Rest until somebody asks again; the bytes stay. */
void step_fail(struct desk *desk, struct task *t, enum fail_class class, const char *text)
{
	flow_call_off(desk, t);
	t->fail_class = class;
	task_note(t, text);
	t->in->record.failed = class;
	reason_set(&t->in->record.why, "%s", text);
	int r = ingest_note(t->in);
	if (r < 0)
		log_trouble(t, r, "cannot note in '" INGEST_TRANSFER "' the failure of");
	flow_set_state(desk, t, TRANSFER_FAILED);
	count_add(COUNT_ENDED_FAILED, 1);
	flow_when_idle(desk, t, flow_close);
}

static void roll_back(struct desk *desk, struct task *t)
{
	struct reason why;

	int r = ingest_roll_back(t->in);
	if (r < 0) {
		verdict_io(t->in, "go back to the last checkpoint of", r, &why);
		step_fail(desk, t, FAIL_IO, why.text);
		return;
	}
	log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = t->ref, .bytes = t->in->offset},
		 "transfer '%s' went back to its durable checkpoint at %" PRIu64, t->ref, t->in->offset);
	if (t->state == TRANSFER_WAITING)
		return;
	step_go_on(desk, t);
}

/*
 * A write or a sync failed. After a sync the kernel may have dropped what it had taken, so the ingest goes back to its
 * durable checkpoint in any case; a full disk is waited out, and anything else is tried once more.
 */
void step_io_trouble(struct desk *desk, struct task *t, int r, const char *verb, bool from_sync)
{
	struct reason why;

	verdict_io(t->in, verb, r, &why);
	if (file_is_full(r)) {
		(void)verdict_space(t->in, &why); /* the numbers say more, where the disk is what is full */
		flow_wait_for_space(desk, t, why.text);
		if (from_sync)
			flow_when_idle(desk, t, roll_back);
		return;
	}
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = t->ref, .error = -r}, "%s", why.text);
	if (t->rolled_back) {
		step_fail(desk, t, FAIL_IO, why.text);
		return;
	}
	t->rolled_back = true;
	flow_call_off(desk, t);
	flow_when_idle(desk, t, roll_back);
}

static const char *verb_of(const struct sync_job *job)
{
	if (job->poisoned)
		return "sync";
	return job->kind == SYNC_RESERVE ? "reserve space for" : "write the checkpoint of";
}

/*
 * A job failed, and the ingest is about to be closed or dropped. What is kept must not be vouched for by a live slot
 * when a sync did not take it: the next one who opens it could not know.
 */
static void end_after_failure(struct desk *desk, struct task *t, int r, task_step *next)
{
	struct reason why;

	verdict_io(t->in, verb_of(&t->sync), r, &why);
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = t->ref, .error = -r}, "%s", why.text);
	if (t->sync.poisoned && (next == flow_close || next == flow_suspend)) {
		r = ingest_roll_back(t->in);
		if (r < 0)
			log_trouble(t, r, "cannot take back to its durable checkpoint");
	}
	if (next == flow_suspend)
		flow_close(desk, t);
	else
		next(desk, t);
}

static void sync_done(struct work *w)
{
	static const enum counter timers[] = {
	    [SYNC_CHECKPOINT] = COUNT_CHECKPOINT_TIME,
	    [SYNC_SEAL] = COUNT_SEAL_TIME,
	    [SYNC_RESERVE] = COUNT_RESERVE_TIME,
	};
	struct task *t = (struct task *)w; /* its first member's first member */
	struct desk *desk = t->desk;
	task_step *next = t->when_idle;

	t->syncing = false;
	t->when_idle = NULL;
	count_time(timers[t->sync.kind], clock_mono_ms() - t->submitted_ms);
	int r = sync_finish(&t->sync);
	if (r == 0 && t->sync.kind == SYNC_CHECKPOINT)
		log_debug("transfer '%s' is durable up to %" PRIu64, t->ref, t->sync.offset);
	if (r < 0 && t->sync.kind == SYNC_RESERVE)
		(void)ingest_unreserve(t->in);
	if (r < 0 && (next == flow_close || next == flow_suspend || next == flow_remove || next == flow_reset))
		end_after_failure(desk, t, r, next);
	else if (r < 0)
		step_io_trouble(desk, t, r, verb_of(&t->sync), t->sync.poisoned);
	else if (next)
		next(desk, t);
	desk_schedule(desk);
}

void step_submit(struct desk *desk, struct task *t, enum sync_kind kind, task_step *next)
{
	assert(!t->syncing && t->in);
	sync_prepare(&t->sync, kind, t->in);
	t->sync.work.done = sync_done;
	t->syncing = true;
	t->when_idle = next;
	t->submitted_ms = t->checkpoint_ms = clock_mono_ms();
	workers_submit(desk->workers, &t->sync.work);
}

void flow_when_idle(struct desk *desk, struct task *t, task_step *step)
{
	if (t->syncing)
		t->when_idle = step;
	else
		step(desk, t);
}

void flow_suspend(struct desk *desk, struct task *t)
{
	if (t->state != TRANSFER_SEALED && !t->in->is_moved && t->in->offset > t->in->durable_offset)
		step_submit(desk, t, SYNC_CHECKPOINT, flow_close);
	else
		flow_close(desk, t);
}

/* There is nobody to fetch it from. */
static bool comes_by_hand(struct desk *desk, struct task *t)
{
	if (t->in->record.source[0] != '\0')
		return false;
	task_note(t, "its bytes come by hand (ingestd put)");
	flow_set_state(desk, t, TRANSFER_WAITING);
	flow_when_idle(desk, t, flow_close);
	return true;
}

void flow_order(struct desk *desk, struct task *t)
{
	struct ingest *in = t->in;
	struct reason why;

	if (comes_by_hand(desk, t))
		return;
	if (!verdict_space(in, &why)) {
		flow_wait_for_space(desk, t, why.text);
		return;
	}
	next_attempt(desk, t);
	in->record.orders++;
	in->record.failed = FAIL_NONE;
	in->record.why.text[0] = '\0';
	int r = ingest_note(in);
	if (r < 0) {
		step_io_trouble(desk, t, r, "note an order beside", false);
		return;
	}
	count_add(COUNT_ORDERS, 1);
	t->order_due = true;
	t->heard_ms = t->checkpoint_ms = clock_mono_ms();
	t->until_s = 0;
	task_note(t, NULL);
	if (t->state != TRANSFER_FETCHING)
		flow_set_state(desk, t, TRANSFER_FETCHING);
	orders_flush(desk->orders);
}

/* All bytes are synced and read-only: from here on it is commitd's, and a restart says SEALED again. */
static void sealed(struct desk *desk, struct task *t)
{
	int r = ingest_note_sealed(t->in);
	if (r < 0) {
		step_io_trouble(desk, t, r, "note the seal beside", false);
		return;
	}
	t->seal_due = true;
	t->heard_ms = clock_mono_ms();
	seals_flush(desk->seals);
}

static void restart(struct desk *desk, struct task *t)
{
	struct ingest *in = t->in;
	bool again = in->record.restarts < RESTARTS_MAX;
	char *text = t->note ? strdup(t->note) : NULL;

	log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = t->ref}, "transfer '%s' starts over: %s", t->ref,
		 text ? text : "its content changed");
	count_add(COUNT_STARTED_OVER, 1);
	in->record.restarts++;
	t->resolved = false;
	int r = ingest_truncate(in);
	task_apply_asked(t);
	if (r < 0)
		step_io_trouble(desk, t, r, "truncate", false);
	else if (again)
		flow_order(desk, t);
	else
		step_fail(desk, t, t->over_class, text ? text : "its content keeps changing");
	free(text);
}

/* The bytes are not what was asked for: drop them, and try once from zero. A poisoned partial wedges nobody. */
void step_start_over(struct desk *desk, struct task *t, enum fail_class class, const char *text)
{
	t->over_class = class;
	flow_call_off(desk, t);
	task_note(t, text);
	flow_when_idle(desk, t, restart);
}

void step_complete(struct desk *desk, struct task *t)
{
	struct reason why;

	if (t->in->is_moved) {
		flow_set_state(desk, t, TRANSFER_SEALED);
		t->seal_due = true;
		t->heard_ms = clock_mono_ms();
		seals_flush(desk->seals);
		return;
	}
	if (!verdict_content(t->in, &why)) {
		step_start_over(desk, t, FAIL_BAD_DATA, why.text);
		return;
	}
	t->order_due = false;
	if (t->state != TRANSFER_SEALED)
		flow_set_state(desk, t, TRANSFER_SEALED);
	step_submit(desk, t, SYNC_SEAL, sealed);
}

bool step_is_complete(const struct ingest *in)
{
	return in->is_moved || (in->record.size != SIZE_UNKNOWN && in->offset >= in->record.size);
}

/* What comes next for an open ingest that nobody is working on. */
void step_go_on(struct desk *desk, struct task *t)
{
	if (step_is_complete(t->in))
		step_complete(desk, t);
	else if (!step_reserve_first(desk, t))
		flow_order(desk, t);
}

void flow_reset(struct desk *desk, struct task *t)
{
	int r = ingest_truncate(t->in);

	task_apply_asked(t);
	if (r < 0)
		step_io_trouble(desk, t, r, "truncate", false);
	else if (t->state == TRANSFER_FETCHING)
		flow_order(desk, t);
	else
		flow_close(desk, t);
}

/* The open failed: rest, and say why. */
static void start_failed(struct desk *desk, struct task *t, int r, const struct reason *why)
{
	bool held = r == -EWOULDBLOCK;

	if (file_is_full(r)) {
		flow_wait_for_space(desk, t, why->text);
		return;
	}
	task_note(t, why->text);
	t->fail_class = held ? FAIL_NONE : FAIL_IO;
	flow_set_state(desk, t, held ? TRANSFER_WAITING : TRANSFER_FAILED);
	t->lock_wait = held;
	t->heard_ms = clock_mono_ms();
	if (!held)
		log_error("%s", why->text);
}

/* No space even for the record of a new ingest: what little it has is of more use to others. */
static void give_up_bare(struct task *t, int r)
{
	if (!file_is_full(r) || t->syncing || t->in->transfer_len > 0 || t->in->offset > 0)
		return;
	(void)ingest_remove(t->in);
	t->in = NULL;
}

int flow_open(struct desk *desk, struct task *t, struct reason *why)
{
	int r = t->in ? 0 : ingest_open(&desk->home, span_str(t->ref), INGEST_MAKE, &t->in, why);
	if (r < 0 || !t->asked_source)
		return r;
	struct record *record = &t->in->record;
	(void)snprintf(record->source, sizeof(record->source), "%s", t->asked_source);
	record->failed = FAIL_NONE;
	record->why.text[0] = '\0';
	record->restarts = 0;
	if (t->in->offset == 0 && !record->has_expected && !record->has_sealed) { /* of what never came */
		record->size = SIZE_UNKNOWN;
		record->validator[0] = '\0';
	}
	t->resolved = false;
	task_apply_asked(t);
	r = ingest_note(t->in);
	task_refresh(t);
	if (r < 0) {
		verdict_io(t->in, "write the record of", r, why);
		give_up_bare(t, r);
		return r;
	}
	free(t->asked_source);
	t->asked_source = NULL;
	return 0;
}

void flow_start(struct desk *desk, struct task *t)
{
	struct reason why = {""};

	bool is_open = t->in;
	int r = flow_open(desk, t, &why);
	if (r < 0) {
		start_failed(desk, t, r, &why);
		return;
	}
	t->fail_class = FAIL_NONE;
	t->rolled_back = t->resealed = false;
	t->event_offset = t->in->offset;
	t->event_ms = clock_mono_ms();
	task_apply_asked(t);
	if (!is_open)
		count_add(COUNT_REHASHED_BYTES, t->in->rehashed_now);
	if (!is_open && (t->in->rehashed_now > 0 || t->in->offset > 0))
		log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = t->ref, .bytes = t->in->offset},
			 "transfer '%s' resumes %s at %" PRIu64 ", %" PRIu64 " bytes hashed again", t->ref,
			 t->in->resumed, t->in->offset, t->in->rehashed_now);
	if (!step_is_complete(t->in) && comes_by_hand(desk, t))
		return;
	r = step_drop_what_is_of_no_use(t);
	if (r < 0)
		step_io_trouble(desk, t, r, "truncate", false);
	else
		step_go_on(desk, t);
}

/* Forget the oldest of the committed when there are too many. */
static void trim_recent(struct desk *desk)
{
	struct task *oldest;

	if (desk->recent <= RECENT_MAX)
		return;
	oldest = tasks_oldest(&desk->tasks, TRANSFER_COMMITTED);
	count(desk, oldest, -1);
	tasks_remove(&desk->tasks, oldest);
}

void step_committed(struct desk *desk, struct task *t, const struct digest *digest)
{
	task_refresh(t);
	t->offset = t->size != SIZE_UNKNOWN ? t->size : t->offset;
	int r = ingest_remove(t->in);
	t->in = NULL;
	if (r < 0)
		log_trouble(t, r, "cannot remove the ingest of");
	t->seal_due = false;
	t->digest = *digest;
	t->has_digest = true;
	task_note(t, NULL);
	flow_set_state(desk, t, TRANSFER_COMMITTED);
	count_add(COUNT_ENDED_COMMITTED, 1);
	trim_recent(desk);
	desk_closed(desk);
}

void flow_committed(struct desk *desk, struct task *t, const struct message *m)
{
	struct digest digest;

	if (digest_parse(m->digest, &digest, NULL) == 0)
		step_committed(desk, t, &digest);
}
