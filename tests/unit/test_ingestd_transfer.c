/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of phases: the state that each shows, whether it has an ingest and a job, the steps allowed after the job,
 * and the marks and fields that it has. A violation of the table ends the program.
 */

/* Own */
#include "tests/unit/test_ingestd_disk.h"

/* System */
#include <ctype.h>
#include <signal.h>
#include <sys/wait.h>

/* Base */
#include "common/base/clock.h"

/* The code under test */
#include "ingestd/transfers.h"

static struct transfers table;

static int table_set_up(void **state)
{
	table = (struct transfers){0};
	return set_up(state);
}

static int table_tear_down(void **state)
{
	transfers_release(&table);
	return tear_down(state);
}

static struct transfer *add(const char *ref)
{
	struct transfer *t = transfers_add(&table, NULL, span_str(ref));

	assert_non_null(t);
	return t;
}

static void give_job(struct transfer *t, enum sync_kind kind)
{
	sync_prepare(&t->job, kind, t->in);
}

static void take_job(struct transfer *t)
{
	if (t->job.kind != SYNC_NONE)
		(void)sync_finish(&t->job);
	t->job.kind = SYNC_NONE;
	t->after = STEP_NONE;
}

/* In a child, which must end by the assertion, silently. */
static bool dies(void (*act)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO);
		act(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#define WRITES  (1u << SYNC_CHECKPOINT | 1u << SYNC_RESERVE)
#define LASTING (MARK_RESOLVED | MARKS_OF_START)

static const struct phase_case {
	const char *name;
	enum phase phase;
	enum transfer_state state; /* 0: as before */
	bool open, closed;         /* which of both are allowed without a job */
	unsigned jobs;             /* bits of the jobs that it may have */
	unsigned marks;            /* that it may have */
	const char *fields;        /* that it may have, a letter each; in capitals: must have (keys) */
} cases[] = {
    {"queued", PHASE_QUEUED, TRANSFER_QUEUED, true, true, WRITES, MARK_RESOLVED | MARK_ROLLED_BACK, "a"},
    {"reserving", PHASE_RESERVING, TRANSFER_FETCHING, false, false, 1u << SYNC_RESERVE, LASTING, "r"},
    {"order due", PHASE_ORDER_DUE, TRANSFER_FETCHING, true, false, WRITES, LASTING | MARKS_OF_ATTEMPT, "hur"},
    {"ordered", PHASE_ORDERED, TRANSFER_FETCHING, true, false, WRITES, LASTING | MARKS_OF_ATTEMPT, "hur"},
    {"sealing", PHASE_SEALING, TRANSFER_SEALED, false, false, 1u << SYNC_SEAL, LASTING, ""},
    {"seal due", PHASE_SEAL_DUE, TRANSFER_SEALED, true, false, 0, LASTING, "hL"},
    {"seal sent", PHASE_SEAL_SENT, TRANSFER_SEALED, true, false, 0, LASTING, "hL"},
    {"halted", PHASE_HALTED, 0, false, true, WRITES | 1u << SYNC_SEAL, LASTING, "urs"},
    {"for space", PHASE_FOR_SPACE, TRANSFER_WAITING, true, true, WRITES, LASTING, "aP"},
    {"for a lock", PHASE_FOR_LOCK, TRANSFER_WAITING, false, true, 0, 0, "a"},
    {"idle", PHASE_IDLE, TRANSFER_WAITING, false, true, WRITES, 0, "a"},
    {"failed", PHASE_FAILED, TRANSFER_FAILED, false, true, WRITES, 0, "aF"},
    {"committed", PHASE_COMMITTED, TRANSFER_COMMITTED, false, true, 0, 0, "aD"},
};
_Static_assert(LEN(cases) == PHASES, "each phase has its case, in order");

/* Fields that some phases have. All may have a digest, and a record that is sealed. */
static const char keys[] = "hursapfdl";

static void set_field(struct transfer *t, char key, bool is_set)
{
	switch (key) {
	case 'h':
		t->heard_ms = is_set;
		break;
	case 'u':
		t->until_s = is_set;
		break;
	case 'r':
		t->rate = is_set;
		break;
	case 's':
		t->restart_class = is_set ? FAIL_CHANGED : FAIL_NONE;
		break;
	case 'a':
		free(t->asked_source);
		t->asked_source = is_set ? strdup("s") : NULL;
		break;
	case 'p':
		t->space_ms = is_set;
		break;
	case 'f':
		t->fail_class = is_set ? FAIL_IO : FAIL_NONE;
		break;
	case 'd':
		t->has_digest = is_set;
		break;
	case 'l':
		if (t->in)
			t->in->record.has_sealed = is_set;
		break;
	default:
		fail_msg("no field has the key '%c'", key);
	}
}

/* Set the fields that a phase must have. */
static void set_needed(struct transfer *t, const char *fields)
{
	for (const char *f = fields; *f; f++)
		if (isupper((unsigned char)*f))
			set_field(t, (char)tolower((unsigned char)*f), true);
}

struct entering {
	struct transfer *t;
	enum phase phase;
};

static void enter(void *arg)
{
	const struct entering *e = arg;

	transfer_enter(e->t, e->phase);
}

static void check(void *arg)
{
	transfer_check(arg);
}

/* The phase and what it shows are overwritten, which no caller may do; it has nothing but what it must have. */
static void put_into(struct transfer *t, enum phase phase)
{
	take_job(t);
	ingest_close(t->in);
	t->in = NULL;
	transfer_enter(t, PHASE_QUEUED);
	t->marks = 0;
	for (const char *key = keys; *key; key++)
		set_field(t, *key, false);
	set_needed(t, cases[phase].fields);
	t->phase = phase;
	table.of_state[t->state]--;
	t->state = cases[phase].state != 0 ? cases[phase].state : TRANSFER_QUEUED;
	table.of_state[t->state]++;
}

/* Give it an ingest that is open. */
static void give_ingest(struct transfer *t)
{
	t->in = open_ref("r");
	set_needed(t, cases[t->phase].fields);
}

static void test_state_of_each_phase(void **state)
{
	const struct phase_case *c;
	struct transfer *t = add("r");
	(void)state;
	for_each_row(c, cases)
	{
		put_into(t, PHASE_QUEUED);
		t->in = c->phase == PHASE_FOR_LOCK || c->phase == PHASE_COMMITTED ? NULL : open_ref("r");
		set_needed(t, c->fields);
		transfer_enter(t, c->phase);
		enum transfer_state want = c->state != 0 ? c->state : TRANSFER_QUEUED;
		if (t->state != want || table.of_state[want] != 1)
			fail_msg("%s: shown as %s", c->name, transfer_state_name(t->state));
	}
}

/* With and without an ingest; with each job and without. */
static void test_ingest_and_job_of_each_phase(void **state)
{
	const struct phase_case *c;
	struct transfer *t = add("r");
	(void)state;
	for_each_row(c, cases)
	{
		put_into(t, c->phase);
		if (dies(check, t) == c->closed)
			fail_msg("%s, closed: %s", c->name, c->closed ? "refused" : "taken");
		give_ingest(t);
		if (dies(check, t) == c->open)
			fail_msg("%s, open: %s", c->name, c->open ? "refused" : "taken");
		for (enum sync_kind kind = SYNC_CHECKPOINT; kind <= SYNC_RESERVE; kind++) {
			struct entering e = {t, c->phase};
			bool may = c->jobs >> kind & 1;
			give_job(t, kind);
			if (dies(enter, &e) == may)
				fail_msg("%s, job %d: %s", c->name, (int)kind, may ? "refused" : "taken");
			take_job(t);
		}
	}
}

/* As a step ends in that phase: with the ingest and the job that it needs. */
static void complete(struct transfer *t, const struct phase_case *c)
{
	put_into(t, c->phase);
	if (!c->closed)
		give_ingest(t);
	if (!c->closed && !c->open)
		give_job(t, c->jobs & 1u << SYNC_SEAL ? SYNC_SEAL : SYNC_RESERVE);
	if (dies(check, t))
		fail_msg("%s: refused", c->name);
}

/* Each mark is refused in each phase that does not have it, and dropped by entering that phase. */
static void test_marks_of_each_phase(void **state)
{
	const struct phase_case *c;
	struct transfer *t = add("r");
	(void)state;
	for_each_row(c, cases)
	{
		for (unsigned mark = MARK_ASKS_DIGEST; mark <= MARK_SEALED_AGAIN; mark *= 2) {
			bool may = c->marks & mark;
			complete(t, c);
			t->marks = mark;
			if (dies(check, t) == may)
				fail_msg("%s, mark %u: %s", c->name, mark, may ? "refused" : "taken");
			transfer_enter(t, c->phase);
			if (transfer_has(t, mark) != may)
				fail_msg("%s, mark %u: %s", c->name, mark, may ? "dropped" : "kept");
		}
	}
}

/* Likewise each field; one that the phase must have is missed, and what was requested is never dropped. */
static void test_fields_of_each_phase(void **state)
{
	const struct phase_case *c;
	struct transfer *t = add("r");
	(void)state;
	for_each_row(c, cases)
	{
		for (const char *key = keys; *key; key++) {
			bool must = strchr(c->fields, toupper((unsigned char)*key));
			bool may = must || strchr("dl", *key) || strchr(c->fields, *key);
			struct entering e = {t, c->phase};
			complete(t, c);
			set_field(t, *key, true);
			if (dies(check, t) == may)
				fail_msg("%s, field '%c': %s", c->name, *key, may ? "refused" : "taken");
			if (dies(enter, &e) == (may || *key != 'a'))
				fail_msg("%s entered with field '%c'", c->name, *key);
			set_field(t, *key, false);
			if (dies(check, t) != must)
				fail_msg("%s, no field '%c': %s", c->name, *key, must ? "taken" : "refused");
		}
	}
}

static void set_after(void *arg)
{
	const struct entering *e = arg;

	transfer_set_after(e->t, (enum step)e->phase);
}

#define STEP_BIT(s) (1u << (s))
#define ENDING      (STEP_BIT(STEP_CLOSE) | STEP_BIT(STEP_SUSPEND) | STEP_BIT(STEP_REMOVE) | STEP_BIT(STEP_RESET))

/* The steps allowed after a job; never one of another phase. */
static void test_steps_after_a_job(void **state)
{
	static const struct {
		const char *name;
		enum phase phase;
		enum sync_kind job;
		unsigned afters;
	} rows[] = {
	    {"queued", PHASE_QUEUED, SYNC_CHECKPOINT, ENDING},
	    {"reserving", PHASE_RESERVING, SYNC_RESERVE, STEP_BIT(STEP_ORDER)},
	    {"ordered", PHASE_ORDERED, SYNC_CHECKPOINT, STEP_BIT(STEP_RESOLVED) | STEP_BIT(STEP_COMPLETE)},
	    {"sealing", PHASE_SEALING, SYNC_SEAL, STEP_BIT(STEP_NOTE_SEAL)},
	    {"halted", PHASE_HALTED, SYNC_SEAL, ENDING | STEP_BIT(STEP_START_OVER) | STEP_BIT(STEP_ROLL_BACK)},
	    {"for space", PHASE_FOR_SPACE, SYNC_RESERVE,
	     ENDING | STEP_BIT(STEP_REQUEUE) | STEP_BIT(STEP_RESOLVED) | STEP_BIT(STEP_COMPLETE)},
	    {"idle", PHASE_IDLE, SYNC_CHECKPOINT, ENDING},
	    {"failed", PHASE_FAILED, SYNC_RESERVE, ENDING},
	};
	struct transfer *t = add("r");
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		put_into(t, rows[i].phase);
		give_ingest(t);
		give_job(t, rows[i].job);
		for (enum step step = STEP_NONE + 1; step < STEPS; step++) {
			struct entering e = {t, (enum phase)step};
			bool may = rows[i].afters >> step & 1;
			if (dies(set_after, &e) == may)
				fail_msg("%s, step %d: %s", rows[i].name, (int)step, may ? "refused" : "taken");
		}
		take_job(t);
	}
}

/* A change of phase forgets the step after the job, unless the new phase allows it. */
static void test_phase_change_forgets_a_stale_step(void **state)
{
	struct transfer *t = add("r");
	(void)state;
	t->in = open_ref("r");
	transfer_enter(t, PHASE_ORDERED);
	transfer_begin_job(t, SYNC_CHECKPOINT, STEP_NONE);
	transfer_set_after(t, STEP_COMPLETE);
	transfer_pause(t, "full");
	transfer_enter(t, PHASE_FOR_SPACE);
	assert_int_equal(t->after, STEP_COMPLETE);
	transfer_fail(t, FAIL_IO, "broken");
	transfer_enter(t, PHASE_FAILED);
	assert_int_equal(t->after, STEP_NONE);
	transfer_set_after(t, STEP_CLOSE);
	transfer_check(t);
	sync_run(&t->job);
	(void)sync_finish(&t->job);
	assert_int_equal(transfer_end_job(t), STEP_CLOSE);
	assert_false(transfer_is_busy(t));
}

static void test_wait_for_fetchd_ends_with_the_order(void **state)
{
	struct transfer_texts texts;
	struct message m;
	struct transfer *t = add("r");
	(void)state;
	t->in = open_ref("r");
	transfer_enter(t, PHASE_ORDERED);
	transfer_heard(t, clock_wall_s() + 60);
	transfer_tell(t, &texts, &m);
	assert_int_equal(m.state, TRANSFER_WAITING);
	transfer_enter(t, PHASE_HALTED);
	assert_true(t->until_s > 0);
	transfer_close(t);
	transfer_enter(t, PHASE_IDLE);
	assert_int_equal(t->until_s, 0);
}

/* By ref in byte order, by turn, and the number in each state. */
static void test_table_of_transfers(void **state)
{
	struct transfer *b = add("b"), *a = add("a"), *ab = add("ab");
	(void)state;
	assert_ptr_equal(transfers_find(&table, span_str("ab")), ab);
	assert_null(transfers_find(&table, span_str("abc")));
	assert_ptr_equal(transfers_after(&table, span_str("")), a);
	assert_ptr_equal(transfers_after(&table, span_str("a")), ab);
	assert_ptr_equal(transfers_after(&table, span_str("ab")), b);
	assert_null(transfers_after(&table, span_str("b")));
	assert_ptr_equal(transfers_oldest(&table, TRANSFER_QUEUED), b);
	transfers_to_end(&table, b);
	assert_ptr_equal(transfers_oldest(&table, TRANSFER_QUEUED), a);
	transfer_enter(a, PHASE_IDLE);
	assert_ptr_equal(transfers_oldest(&table, TRANSFER_QUEUED), ab);
	assert_int_equal(table.of_state[TRANSFER_QUEUED], 2);
	assert_int_equal(table.of_state[TRANSFER_WAITING], 1);
	transfers_remove(&table, ab);
	transfers_remove(&table, b);
	assert_null(transfers_oldest(&table, TRANSFER_QUEUED));
	assert_false(transfers_any_open(&table));
	a->in = open_ref("a");
	assert_true(transfers_any_open(&table));
}

#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, table_set_up, table_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TABLE_TEST(test_state_of_each_phase),
	    TABLE_TEST(test_ingest_and_job_of_each_phase),
	    TABLE_TEST(test_marks_of_each_phase),
	    TABLE_TEST(test_fields_of_each_phase),
	    TABLE_TEST(test_steps_after_a_job),
	    TABLE_TEST(test_phase_change_forgets_a_stale_step),
	    TABLE_TEST(test_wait_for_fetchd_ends_with_the_order),
	    TABLE_TEST(test_table_of_transfers),
	};
	return cmocka_run_group_tests_name("ingestd transfer", tests, NULL, NULL);
}
