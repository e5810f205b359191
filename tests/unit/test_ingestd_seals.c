/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals to commitd: their content, when they are sent, and when they are sent again.
 */

/* Own */
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_pipe.h"
#include "tests/unit/test_ingestd_disk.h"

/* The code under test */
#include "ingestd/seals.h"

static struct transfers table;
static struct seals *seals;
static struct link *commitd;

static bool take(void *self, const struct message *m)
{
	(void)self;
	(void)m;
	return false;
}

static void on_hello(void *self, bool is_new)
{
	(void)is_new;
	seals_renew(*(struct seals **)self);
}

static void flush(void *self)
{
	seals_flush(*(struct seals **)self);
}

/* Nothing is sent before it. */
static void say_hello(void)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = 9};
	stage_introduce(&hello);
	stand_in_pipe_put(PIPE_RECEIPTS, &hello);
	loop_turn(&stand_in_loop, false);
}

static int seals_set_up(void **state)
{
	static const struct link_hooks hooks = {.take = take, .hello = on_hello, .flush = flush};
	(void)set_up(state);
	table = (struct transfers){0};
	const struct link_env env = {.loop = stand_in_loop_begin(stand_in_pipe_is_ready),
				     .runtime_dir = "",
				     .in = PIPE_RECEIPTS,
				     .out = PIPE_SEALS,
				     .role = LINK_ANSWERS,
				     .incarnation = 7,
				     .peer_name = "commitd",
				     .refused = COUNT_REFUSED_RECEIPTS,
				     .turn_max = 8,
				     .hooks = &hooks,
				     .self = &seals};
	assert_int_equal(seals_new(&table, &seals), 0);
	assert_int_equal(link_new(&env, &commitd), 0);
	seals_use(seals, commitd);
	say_hello();
	return 0;
}

static int seals_tear_down(void **state)
{
	transfers_release(&table);
	seals_free(seals);
	link_free(commitd);
	stand_in_loop_end();
	return tear_down(state);
}

static struct transfer *make_due(const char *ref)
{
	struct transfer *t = transfers_add(&table, NULL, span_str(ref));

	assert_non_null(t);
	t->in = open_ref(ref);
	append(t->in, 0, 1000);
	assert_int_equal(ingest_note_sealed(t->in), 0);
	transfer_enter(t, PHASE_SEAL_DUE);
	return t;
}

static bool next(struct message *ret_message)
{
	while (stand_in_pipe_take(PIPE_SEALS, ret_message))
		if (ret_message->type != MSG_HELLO)
			return true;
	return false;
}

/* A seal identifies the file by its inode and the time of its last write. */
static void test_fields_of_a_seal(void **state)
{
	char want[DIGEST_TEXT_SIZE];
	struct digest d;
	struct message m;
	struct stat st;
	(void)state;
	struct transfer *t = make_due("r");
	t->in->provenance = PROVENANCE_REBOOTED;
	seals_flush(seals);
	assert_true(next(&m));
	digest_of(HASH_SHA256, content, 1000, &d);
	digest_format(&d, want);
	assert_int_equal(fstat(t->in->data_fd, &st), 0);
	assert_int_equal(m.type, MSG_SEALED);
	assert_true(span_eq(m.ref, span_str("r")) && span_eq(m.digest, span_str(want)));
	assert_int_equal(m.size, 1000);
	assert_int_equal(m.provenance, PROVENANCE_REBOOTED);
	assert_int_equal(m.ino, st.st_ino);
	assert_int_equal(m.mtime_ns, (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec);
	assert_int_equal(t->phase, PHASE_SEAL_SENT);
	seals_flush(seals);
	assert_false(next(&m)); /* once */
}

/* The data has moved to blobs/, so the seal identifies no file, and commitd looks for the blob. */
static void test_seal_of_moved_data(void **state)
{
	struct message m;
	(void)state;
	struct transfer *t = make_due("r");
	t->in->is_moved = true;
	seals_flush(seals);
	assert_true(next(&m));
	assert_int_equal(m.ino, 0);
	assert_int_equal(m.size, 1000);
}

/* After a HELLO every seal is sent again, except those still being synced. */
static void test_seals_are_repeated_after_hello(void **state)
{
	struct message m;
	(void)state;
	struct transfer *sent = make_due("sent"), *sealing = make_due("sealing");
	seals_flush(seals);
	while (next(&m))
		;
	transfer_enter(sealing, PHASE_SEALING);
	for (unsigned i = 0; i < 2; i++) {
		say_hello();
		assert_true(next(&m));
		assert_true(span_eq(m.ref, span_str("sent")));
		assert_false(next(&m));
	}
	assert_int_equal(sent->phase, PHASE_SEAL_SENT);
	transfer_enter(sealing, PHASE_IDLE);
}

static void test_full_pipe(void **state)
{
	char ref[16];
	struct message m;
	unsigned got = 0;
	(void)state;
	for (unsigned i = 0; i < 3 * ROOM_DEFAULT; i++) {
		(void)snprintf(ref, sizeof(ref), "r%u", i);
		make_due(ref);
	}
	seals_flush(seals);
	for (unsigned i = 0; i < 100; i++) {
		while (next(&m))
			got += m.type == MSG_SEALED;
		loop_turn(&stand_in_loop, false);
	}
	assert_int_equal(got, 3 * ROOM_DEFAULT);
	for (size_t i = 0; i < table.len; i++)
		assert_int_equal(table.by_ref[i]->phase, PHASE_SEAL_SENT);
}

#define SEALS_TEST(f) cmocka_unit_test_setup_teardown(f, seals_set_up, seals_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SEALS_TEST(test_fields_of_a_seal),
	    SEALS_TEST(test_seal_of_moved_data),
	    SEALS_TEST(test_seals_are_repeated_after_hello),
	    SEALS_TEST(test_full_pipe),
	};
	return cmocka_run_group_tests_name("ingestd seals", tests, NULL, NULL);
}
