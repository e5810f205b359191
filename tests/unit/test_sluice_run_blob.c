/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a blob: each with all possible answers and events, and the time of the next action. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/run/blob.h"

#define NOW   10000u
#define OTHER UINT64_C(777) /* the earlier due time, if it does not change */
#define LATER (NOW + BLOB_AGAIN_STEP_MS)

static const char *const state_names[BLOB_STATES] = {"new", "followed", "orphaned", "lost", "stored", "done", "failed"};

/* In the order of the header's table. `due_ms`: NOW is at once. */
static const struct row {
	enum blob_state state;
	enum blob_heard heard;
	enum blob_state next;
	uint64_t due_ms;
} rows[] = {
    {BLOB_NEW, BLOB_HEARD_IN_HAND, BLOB_FOLLOWED, BLOB_NOT_DUE},
    {BLOB_FOLLOWED, BLOB_HEARD_IN_HAND, BLOB_FOLLOWED, BLOB_NOT_DUE},
    {BLOB_ORPHANED, BLOB_HEARD_IN_HAND, BLOB_FOLLOWED, BLOB_NOT_DUE},
    {BLOB_LOST, BLOB_HEARD_IN_HAND, BLOB_FOLLOWED, BLOB_NOT_DUE},

    {BLOB_NEW, BLOB_HEARD_WAITING, BLOB_FOLLOWED, BLOB_NOT_DUE},
    {BLOB_FOLLOWED, BLOB_HEARD_WAITING, BLOB_FOLLOWED, BLOB_NOT_DUE},
    {BLOB_ORPHANED, BLOB_HEARD_WAITING, BLOB_LOST, NOW},
    {BLOB_LOST, BLOB_HEARD_WAITING, BLOB_FOLLOWED, BLOB_NOT_DUE},

    {BLOB_NEW, BLOB_HEARD_IDLE, BLOB_LOST, LATER},
    {BLOB_FOLLOWED, BLOB_HEARD_IDLE, BLOB_LOST, NOW},
    {BLOB_ORPHANED, BLOB_HEARD_IDLE, BLOB_LOST, NOW},
    {BLOB_LOST, BLOB_HEARD_IDLE, BLOB_LOST, LATER},

    {BLOB_NEW, BLOB_HEARD_COMMITTED, BLOB_LOST, LATER},
    {BLOB_FOLLOWED, BLOB_HEARD_COMMITTED, BLOB_LOST, LATER},
    {BLOB_ORPHANED, BLOB_HEARD_COMMITTED, BLOB_LOST, LATER},
    {BLOB_LOST, BLOB_HEARD_COMMITTED, BLOB_LOST, LATER},

    {BLOB_NEW, BLOB_HEARD_UNKNOWN, BLOB_FAILED, OTHER},
    {BLOB_FOLLOWED, BLOB_HEARD_UNKNOWN, BLOB_FAILED, OTHER},
    {BLOB_ORPHANED, BLOB_HEARD_UNKNOWN, BLOB_LOST, NOW},
    {BLOB_LOST, BLOB_HEARD_UNKNOWN, BLOB_FAILED, OTHER},

    {BLOB_NEW, BLOB_HEARD_PROGRESS, BLOB_NEW, OTHER},
    {BLOB_FOLLOWED, BLOB_HEARD_PROGRESS, BLOB_FOLLOWED, OTHER},
    {BLOB_ORPHANED, BLOB_HEARD_PROGRESS, BLOB_ORPHANED, OTHER},
    {BLOB_LOST, BLOB_HEARD_PROGRESS, BLOB_LOST, OTHER},

    {BLOB_NEW, BLOB_HEARD_ENDED, BLOB_NEW, NOW},
    {BLOB_FOLLOWED, BLOB_HEARD_ENDED, BLOB_FOLLOWED, NOW},
    {BLOB_ORPHANED, BLOB_HEARD_ENDED, BLOB_ORPHANED, NOW},
    {BLOB_LOST, BLOB_HEARD_ENDED, BLOB_LOST, OTHER},

    {BLOB_NEW, BLOB_HEARD_RESTARTED, BLOB_NEW, NOW},
    {BLOB_FOLLOWED, BLOB_HEARD_RESTARTED, BLOB_ORPHANED, NOW},
    {BLOB_ORPHANED, BLOB_HEARD_RESTARTED, BLOB_ORPHANED, NOW},
    {BLOB_LOST, BLOB_HEARD_RESTARTED, BLOB_ORPHANED, NOW},

    {BLOB_NEW, BLOB_HEARD_STORED, BLOB_STORED, OTHER},
    {BLOB_FOLLOWED, BLOB_HEARD_STORED, BLOB_STORED, OTHER},
    {BLOB_ORPHANED, BLOB_HEARD_STORED, BLOB_STORED, OTHER},
    {BLOB_LOST, BLOB_HEARD_STORED, BLOB_STORED, OTHER},

    {BLOB_NEW, BLOB_HEARD_FAILED, BLOB_FAILED, OTHER},
    {BLOB_FOLLOWED, BLOB_HEARD_FAILED, BLOB_FAILED, OTHER},
    {BLOB_ORPHANED, BLOB_HEARD_FAILED, BLOB_FAILED, OTHER},
    {BLOB_LOST, BLOB_HEARD_FAILED, BLOB_FAILED, OTHER},
};

static struct blob blob_in(enum blob_state state)
{
	return (struct blob){
	    .state = state,
	    .digest = BLOB_DIGEST_GIVEN,
	    .requests = 1,
	    .due_ms = OTHER,
	};
}

static void test_all_answers_and_events(void **state)
{
	const struct row *row;
	(void)state;
	for_each_row(row, rows)
	{
		struct blob b = blob_in(row->state);
		blob_hear(&b, row->heard, NOW);
		if (b.state != row->next || b.due_ms != row->due_ms || b.heard_ms != NOW)
			fail_msg("%s, heard %d: %s, due at %llu", state_names[row->state], (int)row->heard,
				 state_names[b.state], (unsigned long long)b.due_ms);
	}
	assert_int_equal(LEN(rows), 4 * (BLOB_HEARD_FAILED + 1));
}

static void test_growing_delays_between_requests(void **state)
{
	static const struct {
		unsigned requests;
		uint64_t pause_ms;
	} cases[] = {{1, 200}, {2, 400}, {24, 4800}, {25, 5000}, {26, 5000}, {UINT32_MAX, 5000}};
	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct blob b = blob_in(BLOB_LOST);
		b.requests = cases[i].requests;
		blob_hear(&b, BLOB_HEARD_COMMITTED, NOW);
		assert_int_equal(b.due_ms, NOW + cases[i].pause_ms);
	}
}

/* A transfer that vanishes before its digest is known may be stored under a digest that we did not learn. */
static void test_vanished_by_tag(void **state)
{
	(void)state;
	for (unsigned requests = 1; requests <= BLOB_REQUESTS_BY_TAG; requests++) {
		struct blob b = blob_in(BLOB_FOLLOWED);
		b.digest = BLOB_DIGEST_UNKNOWN;
		b.requests = requests;
		blob_hear(&b, BLOB_HEARD_UNKNOWN, NOW);
		assert_int_equal(b.state, requests < BLOB_REQUESTS_BY_TAG ? BLOB_LOST : BLOB_FAILED);
		assert_int_equal(b.due_ms, b.state == BLOB_LOST ? NOW + requests * BLOB_AGAIN_STEP_MS : OTHER);
	}
}

static void test_fields_of_an_answer(void **state)
{
	static const struct {
		struct message answer;
		enum blob_heard request, look;
	} cases[] = {
#define RECORD(s, t) {.type = MSG_RECORD, .state = (s), .text = {(const uint8_t *)(t), sizeof(t) - 1}}
#define ERROR(c)                                                                                                       \
	{                                                                                                              \
		.type = MSG_ERROR, .fail_class = (c)                                                                   \
	}
	    {RECORD(TRANSFER_QUEUED, ""), BLOB_HEARD_IN_HAND, BLOB_HEARD_IN_HAND},
	    {RECORD(TRANSFER_FETCHING, ""), BLOB_HEARD_IN_HAND, BLOB_HEARD_IN_HAND},
	    {RECORD(TRANSFER_SEALED, ""), BLOB_HEARD_IN_HAND, BLOB_HEARD_IN_HAND},
	    {RECORD(TRANSFER_WAITING, "for space"), BLOB_HEARD_WAITING, BLOB_HEARD_WAITING},
	    {RECORD(TRANSFER_WAITING, TRANSFER_UNASKED), BLOB_HEARD_IDLE, BLOB_HEARD_IDLE},
	    {RECORD(TRANSFER_FETCHING, TRANSFER_UNASKED), BLOB_HEARD_IN_HAND, BLOB_HEARD_IN_HAND},
	    {{.type = MSG_RECORD, .state = TRANSFER_FETCHING, .fail_class = FAIL_UNAVAILABLE},
	     BLOB_HEARD_FAILED,
	     BLOB_HEARD_FAILED},
	    {RECORD(TRANSFER_COMMITTED, ""), BLOB_HEARD_COMMITTED, BLOB_HEARD_COMMITTED},
	    {RECORD(TRANSFER_FAILED, ""), BLOB_HEARD_FAILED, BLOB_HEARD_FAILED},
	    {ERROR(FAIL_NOT_FOUND), BLOB_HEARD_FAILED, BLOB_HEARD_UNKNOWN},
	    {ERROR(FAIL_IO), BLOB_HEARD_FAILED, BLOB_HEARD_FAILED},
	};
	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		assert_int_equal(blob_heard_of(&cases[i].answer, false), cases[i].request);
		assert_int_equal(blob_heard_of(&cases[i].answer, true), cases[i].look);
	}
}

static void test_learns(void **state)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest d;
	struct message m = {.type = MSG_RECORD, .state = TRANSFER_FETCHING, .media_type = span_str("a/b")};
	struct blob b = {.digest = BLOB_DIGEST_UNKNOWN};
	(void)state;
	digest_of(HASH_SHA256, "x", 1, &d);
	digest_format(&d, text);
	m.digest = span_str(text);
	blob_learn(&b, &m); /* the digest of the bytes so far */
	assert_int_equal(b.digest, BLOB_DIGEST_UNKNOWN);
	assert_string_equal(b.content.media_type, "a/b");
	m.state = TRANSFER_COMMITTED;
	m.media_type = span_str("c/d");
	blob_learn(&b, &m);
	assert_int_equal(b.digest, BLOB_DIGEST_LEARNED);
	assert_true(digest_eq(&b.content.digest, &d));
	assert_string_equal(b.content.media_type, "a/b");
	/* A given digest is not replaced. */
	b = (struct blob){.digest = BLOB_DIGEST_GIVEN};
	blob_learn(&b, &m);
	assert_int_equal(b.digest, BLOB_DIGEST_GIVEN);
	assert_false(digest_eq(&b.content.digest, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_answers_and_events),
	    cmocka_unit_test(test_growing_delays_between_requests),
	    cmocka_unit_test(test_vanished_by_tag),
	    cmocka_unit_test(test_fields_of_an_answer),
	    cmocka_unit_test(test_learns),
	};
	return cmocka_run_group_tests_name("sluice blob", tests, NULL, NULL);
}
