/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of commitd in one process, without a thread or a sleep: seals come in, commits are made, receipts go out; the
 * loop is stepped, the clock is set, the pipes lose what is in flight and the threads run when the test says so.
 */

/* Own */
#include "tests/unit/test_commitd_seal.h"

#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_pipe.h"
#include "tests/unit/stand_in_workers.h"

/* The code under test */
#include "commitd/seals.h"

#define TURN_MS   10u
#define TURNS_MAX 10000u

static struct store st;
static struct loop *loop;
static struct workers *committer;
static struct seals *seals;
static struct stage_self identity;
static unsigned idles;

/* What ingestd has heard. */
static struct {
	unsigned hellos, committed, rejected;
	enum fail_class fail_class;
	char ref[64];
} heard;

static void on_idle(void *self)
{
	(void)self;
	idles++;
}

static void commitd_start(void)
{
	loop = stand_in_loop_begin(stand_in_pipe_is_ready);
	stage_self_init(&identity, STAGE_COMMITD);
	assert_int_equal(workers_new(loop, 1, &committer), 0);
	const struct seals_env env = {.loop = loop,
				      .runtime_dir = "",
				      .layout = st.layout,
				      .committer = committer,
				      .identity = &identity,
				      .idle = on_idle};
	assert_int_equal(seals_new(&env, &seals), 0);
}

/* It dies as it is: what is in its pipes is lost. */
static void commitd_end(void)
{
	seals_stop(seals);
	workers_free(committer);
	seals_free(seals);
	stand_in_loop_end();
}

static int setup(void **state)
{
	(void)state;
	memset(&heard, 0, sizeof(heard));
	idles = 0;
	store_open(&st);
	commitd_start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	commitd_end();
	store_close(&st);
	return 0;
}

/* ── ingestd ── */

static void say_hello(uint64_t incarnation)
{
	struct message m = {.type = MSG_HELLO, .incarnation = incarnation, .peer = identity.incarnation};
	stage_introduce(&m);
	stand_in_pipe_put(PIPE_SEALS, &m);
}

static void push_seal(const char *ref, const char *text, uint8_t provenance)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m = store_seal(&st, ref, text, provenance, digest);
	stand_in_pipe_put(PIPE_SEALS, &m);
}

static void hear(void)
{
	struct message m;
	while (stand_in_pipe_take(PIPE_RECEIPTS, &m)) {
		heard.hellos += m.type == MSG_HELLO;
		heard.committed += m.type == MSG_COMMITTED;
		heard.rejected += m.type == MSG_REJECTED;
		if (m.type == MSG_REJECTED)
			heard.fail_class = (enum fail_class)m.fail_class;
		if (m.type != MSG_HELLO)
			(void)snprintf(heard.ref, sizeof(heard.ref), "%.*s", SPAN_ARG(m.ref));
	}
}

/* The loop and the threads, until nothing more happens. */
static void settle(void)
{
	for (unsigned quiet = 0, turns = 0; quiet < 5; turns++) {
		assert_true(turns < TURNS_MAX);
		loop_turn(loop, false);
		quiet = stand_in_workers_run(committer) ? 0 : quiet + 1;
		hear();
		stand_in_pass(TURN_MS);
	}
}

static bool is_stored(const char *text)
{
	char path[PATH_SIZE];
	struct digest d = digest_of_text(text);
	blob_of(&st, &d, path);
	return file_is(path, text);
}

/* ── what has to be so ── */

static void test_seal_to_receipt(void **state)
{
	(void)state;
	ingest_make(&st, "a", "one");
	say_hello(7);
	push_seal("a", "one", 0);
	settle();
	assert_true(heard.hellos > 0);
	assert_int_equal(heard.committed, 1);
	assert_string_equal(heard.ref, "a");
	assert_true(is_stored("one"));
}

/* Repeated as often as ingestd likes: in hand it is one, and afterwards it is answered again. */
static void test_said_again(void **state)
{
	(void)state;
	ingest_make(&st, "a", "one");
	push_seal("a", "one", 0);
	push_seal("a", "one", 0);
	settle();
	assert_int_equal(heard.committed, 1);
	push_seal("a", "one", 0);
	settle();
	assert_int_equal(heard.committed, 2);
}

/* What has to be read back is, by a reader, before it gets its name. */
static void test_read_back(void **state)
{
	char path[PATH_SIZE];
	(void)state;
	ingest_make(&st, "good", "good");
	ingest_make(&st, "bad", "bad!");
	push_seal("good", "good", PROVENANCE_MENDED);
	push_seal("bad", "else", PROVENANCE_REBOOTED);
	settle();
	assert_int_equal(heard.committed, 1);
	assert_int_equal(heard.rejected, 1);
	assert_int_equal(heard.fail_class, FAIL_BAD_DATA);
	assert_true(is_stored("good"));
	ingest_data(&st, "bad", path);
	assert_true(exists(path));
}

static void test_missing(void **state)
{
	(void)state;
	push_seal("nobody", "nothing", 0);
	settle();
	assert_int_equal(heard.rejected, 1);
	assert_int_equal(heard.fail_class, FAIL_MISSING);
}

/* The receipt is lost on a pipe that breaks: the seal comes again, and finds the blob. */
static void test_lost_receipt(void **state)
{
	(void)state;
	ingest_make(&st, "a", "one");
	push_seal("a", "one", 0);
	for (unsigned i = 0; i < 5; i++) {
		loop_turn(loop, false);
		(void)stand_in_workers_run(committer);
		stand_in_pass(TURN_MS);
	}
	stand_in_pipe_break(PIPE_RECEIPTS);
	hear();
	assert_int_equal(heard.committed, 0);
	assert_true(is_stored("one"));
	say_hello(8);
	push_seal("a", "one", 0);
	settle();
	assert_int_equal(heard.committed, 1);
}

/* The seal is lost in a dying commitd, before or behind the commit: its successor is told again. */
static void test_restarts(void **state)
{
	(void)state;
	for (unsigned jobs = 0; jobs < 2; jobs++) {
		char ref[8], text[8];
		(void)snprintf(ref, sizeof(ref), "r%u", jobs);
		(void)snprintf(text, sizeof(text), "t%u", jobs);
		ingest_make(&st, ref, text);
		push_seal(ref, text, 0);
		loop_turn(loop, false);
		for (unsigned i = 0; i < jobs; i++)
			(void)stand_in_workers_run(committer);
		commitd_end();
		commitd_start();
		unsigned before = heard.committed;
		say_hello(7);
		push_seal(ref, text, 0);
		settle();
		assert_int_equal(heard.committed, before + 1);
		assert_true(is_stored(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_seal_to_receipt, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_said_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lost_receipt, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_restarts, setup, teardown),
	};
	return cmocka_run_group_tests_name("commitd core", tests, NULL, NULL);
}
