/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK, through all of commitd on stand-ins: what is damaged, and how; where it goes; what is not read again in a round;
 * each change of a file fails once.
 */

/* Own */
#include "tests/unit/test_commitd_store.h"

#include "tests/unit/stand_in_ctl.h"
#include "tests/unit/stand_in_fs.h"
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_pipe.h"
#include "tests/unit/stand_in_random.h"
#include "tests/unit/stand_in_stage.h"
#include "tests/unit/stand_in_workers.h"

/* Wire */
#include "common/wire/counters.h"

/* The code under test */
#include "commitd/checked.h"
#include "commitd/serve.h"
#include "commitd/settings.h"

#define GOOD      "the right bytes"
#define LONG_S    UINT32_MAX /* more than all the time that the stand-in clock knows */
#define TURN_MS   10u
#define TURNS_MAX 10000u

enum { ASKER, OTHER }; /* the clients */

static struct store st;
static struct settings settings;

static int setup(void **state)
{
	(void)state;
	stand_in_fs_begin();
	store_open(&st);
	settings = (struct settings){.store = st.path, .runtime_dir = ""};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stand_in_fs_begin();
	store_close(&st);
	return 0;
}

static int serve(void (*script)(void))
{
	stand_in_stage.script = script;
	return serve_run(&settings);
}

static void settle(void)
{
	for (unsigned quiet = 0, turns = 0; quiet < 5; turns++) {
		assert_true(turns < TURNS_MAX);
		loop_turn(&stand_in_loop, false);
		quiet = stand_in_workers_run(&stand_in_workers) ? 0 : quiet + 1;
		stand_in_pass(TURN_MS);
	}
}

/* FAIL_NONE for OK. */
static enum fail_class hear(unsigned client)
{
	struct message m;
	assert_true(stand_in_ctl_hear(client, &m));
	assert_true(m.type == MSG_OK || m.type == MSG_ERROR);
	return (enum fail_class)m.fail_class;
}

static enum fail_class check(const char *text, uint8_t flags, uint64_t age_s)
{
	char digest[DIGEST_TEXT_SIZE] = "";
	struct digest d = digest_of_text(text);
	if (!(flags & CHECK_FLAG_FINISH))
		digest_format(&d, digest);
	const struct message m = {.type = MSG_CHECK, .digest = span_str(digest), .flags = flags, .age_s = age_s};
	assert_true(stand_in_ctl_ask(ASKER, &m));
	settle();
	return hear(ASKER);
}

static void quarantine_of(const char *text, char ret_path[static PATH_SIZE])
{
	struct digest d = digest_of_text(text);
	char hex[DIGEST_TEXT_SIZE];
	digest_format_hex(&d, hex);
	(void)snprintf(ret_path, PATH_SIZE, "%.200s/" LAYOUT_QUARANTINE "/%s", st.path, hex);
}

/* ── kinds of damage ── */

static void flipped(const char *path)
{
	write_text(path, "the wrong bytes");
}

static void emptied(const char *path)
{
	write_text(path, "");
}

static void lengthened(const char *path)
{
	write_text(path, GOOD "!");
}

static void removed(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void directory(const char *path)
{
	removed(path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void full_directory(const char *path)
{
	char inner[PATH_SIZE + 2];
	directory(path);
	(void)snprintf(inner, sizeof(inner), "%s/x", path);
	write_text(inner, "x");
}

static void symbolic_link(const char *path)
{
	removed(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
}

static void fifo(const char *path)
{
	removed(path);
	assert_int_equal(mkfifo(path, 0644), 0);
}

static const struct kind {
	const char *name;
	void (*damage)(const char *path);
	enum fail_class want;
} kinds[] = {
    {"nothing", NULL, FAIL_NONE},
    {"flipped", flipped, FAIL_BAD_DATA},
    {"emptied", emptied, FAIL_BAD_DATA},
    {"lengthened", lengthened, FAIL_BAD_DATA},
    {"removed", removed, FAIL_NOT_FOUND},
    {"a directory", directory, FAIL_BAD_DATA},
    {"a directory that is not empty", full_directory, FAIL_BAD_DATA},
    {"a symbolic link", symbolic_link, FAIL_BAD_DATA},
    {"a FIFO", fifo, FAIL_BAD_DATA},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *row;
static void (*before)(const char *path); /* what is in quarantine already, or NULL */

static void play_kind(void)
{
	char blob[PATH_SIZE], quarantine[PATH_SIZE];
	uint64_t moved = counter_values[COUNT_QUARANTINED];
	struct digest d = blob_make(&st, GOOD);
	blob_of(&st, &d, blob);
	quarantine_of(GOOD, quarantine);
	if (before) {
		write_text(quarantine, "former");
		before(quarantine);
	}
	if (row->damage)
		row->damage(blob);
	assert_int_equal(check(GOOD, 0, 0), row->want);
	assert_int_equal(exists(blob), row->want == FAIL_NONE);
	assert_int_equal(exists(quarantine), before || row->want == FAIL_BAD_DATA);
	assert_int_equal(counter_values[COUNT_QUARANTINED] - moved, row->want == FAIL_BAD_DATA);
	/* The name is free for good bytes. */
	if (row->want != FAIL_NONE) {
		(void)blob_make(&st, GOOD);
		assert_int_equal(check(GOOD, 0, 0), FAIL_NONE);
	}
}

static void test_kinds(void **state)
{
	static void (*const former[])(const char *path) = {NULL, flipped, directory, full_directory, symbolic_link};

	for (size_t i = 0; i < KINDS; i++) {
		for (size_t k = 0; k < sizeof(former) / sizeof(former[0]); k++) {
			row = &kinds[i];
			before = former[k];
			assert_int_equal(serve(play_kind), 0);
			(void)teardown(state);
			(void)setup(state);
		}
	}
}

/* The newer one takes the place of the former. */
static void play_newer(void)
{
	char blob[PATH_SIZE], quarantine[PATH_SIZE];
	struct digest d = blob_make(&st, GOOD);
	blob_of(&st, &d, blob);
	quarantine_of(GOOD, quarantine);
	write_text(quarantine, "former");
	flipped(blob);
	assert_int_equal(check(GOOD, 0, 0), FAIL_BAD_DATA);
	assert_true(file_is(quarantine, "the wrong bytes"));
}

static void test_newer(void **state)
{
	(void)state;
	assert_int_equal(serve(play_newer), 0);
}

/* ── rounds ── */

/* Whether a CHECK reads it: a damaged file that is not read is not found. */
static bool is_read(const char *text, uint8_t flags, uint64_t age_s)
{
	char path[PATH_SIZE];
	struct digest d = digest_of_text(text);
	blob_of(&st, &d, path);
	write_text(path, "damaged");
	enum fail_class f = check(text, flags, age_s);
	assert_true(f == FAIL_NONE || f == FAIL_BAD_DATA);
	(void)blob_make(&st, text);
	assert_int_equal(check(text, 0, 0), FAIL_NONE);
	return f == FAIL_BAD_DATA;
}

static void play_round(void)
{
	(void)blob_make(&st, "a");
	(void)blob_make(&st, "b");
	assert_int_equal(check("a", 0, 0), FAIL_NONE);
	assert_false(is_read("a", 0, 0));
	assert_true(is_read("b", 0, 0));
	assert_true(is_read("a", CHECK_FLAG_ANEW, 0));
	assert_false(is_read("a", CHECK_FLAG_ANEW, LONG_S));
	/* Who asks for one alone does not ask for the round. */
	(void)blob_make(&st, "c");
	assert_int_equal(check("c", CHECK_FLAG_ANEW, 0), FAIL_NONE);
	assert_true(is_read("c", 0, 0));
	stand_in_stage_stop(); /* which saves all of it */
	settle();
	assert_true(stand_in_stage_ended());
}

static void play_rest_of_round(void)
{
	assert_false(is_read("a", 0, 0));
	assert_int_equal(check("", CHECK_FLAG_FINISH, 0), FAIL_NONE);
	assert_false(is_read("a", 0, LONG_S)); /* that was known for as long as it is */
	assert_int_equal(check("", CHECK_FLAG_FINISH, 0), FAIL_NONE);
	assert_true(is_read("a", 0, 0));
}

static void play_next_round(void)
{
	assert_int_equal(check("", CHECK_FLAG_FINISH, 0), FAIL_NONE);
}

static void play_after_round(void)
{
	assert_false(is_read("b", 0, LONG_S));
	assert_int_equal(check("", CHECK_FLAG_FINISH, 0), FAIL_NONE);
	assert_true(is_read("b", 0, 0));
}

static void test_rounds(void **state)
{
	(void)state;
	assert_int_equal(serve(play_round), 0);
	assert_int_equal(serve(play_rest_of_round), 0);
	assert_int_equal(serve(play_next_round), 0);
	assert_int_equal(serve(play_after_round), 0);
}

/* It becomes shorter while it is read. */
static void play_becomes_shorter(void)
{
	char blob[PATH_SIZE], digest[DIGEST_TEXT_SIZE];
	struct digest d = blob_make(&st, GOOD);
	digest_format(&d, digest);
	const struct message m = {.type = MSG_CHECK, .digest = span_str(digest)};
	blob_of(&st, &d, blob);
	assert_true(stand_in_ctl_ask(ASKER, &m));
	assert_true(stand_in_workers_run(&stand_in_workers)); /* it was looked at, and is to be read */
	write_text(blob, "");                                 /* while it is open, it becomes shorter */
	settle();
	assert_int_equal(hear(ASKER), FAIL_BAD_DATA);
}

static void test_becomes_shorter(void **state)
{
	(void)state;
	assert_int_equal(serve(play_becomes_shorter), 0);
}

/* Exchanged while it is read: what has the name counts. */
static void play_exchanged(void)
{
	char blob[PATH_SIZE], digest[DIGEST_TEXT_SIZE];
	struct digest d = blob_make(&st, GOOD);
	digest_format(&d, digest);
	const struct message m = {.type = MSG_CHECK, .digest = span_str(digest)};
	blob_of(&st, &d, blob);
	flipped(blob);
	assert_true(stand_in_ctl_ask(ASKER, &m));
	assert_true(stand_in_workers_run(&stand_in_workers));
	removed(blob);
	(void)blob_make(&st, GOOD);
	settle();
	assert_int_equal(hear(ASKER), FAIL_NONE);
	assert_true(file_is(blob, GOOD));
}

static void test_exchanged(void **state)
{
	(void)state;
	assert_int_equal(serve(play_exchanged), 0);
}

/* SIGTERM while one is read: it is not judged, and the stage ends. */
static void play_stop(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = blob_make(&st, GOOD);
	digest_format(&d, digest);
	const struct message m = {.type = MSG_CHECK, .digest = span_str(digest)};
	(void)blob_make(&st, "a");
	assert_int_equal(check("a", 0, 0), FAIL_NONE);
	assert_true(stand_in_ctl_ask(ASKER, &m));
	assert_true(stand_in_workers_run(&stand_in_workers));
	stand_in_stage_stop();
	loop_turn(&stand_in_loop, false);
	assert_false(stand_in_stage_ended());
	settle();
	assert_true(stand_in_stage_ended());
	assert_int_equal(hear(ASKER), FAIL_AGAIN);
}

static void test_stop(void **state)
{
	(void)state;
	assert_int_equal(serve(play_stop), 0);
}

/* ── failures ── */

static unsigned nth;

static void play_failure(void)
{
	char blob[PATH_SIZE], quarantine[PATH_SIZE];
	struct digest d = digest_of_text(GOOD);
	blob_of(&st, &d, blob);
	quarantine_of(GOOD, quarantine);
	stand_in_fs_fail(FS_ALL, nth, EIO);
	enum fail_class f = check(GOOD, 0, 0);
	assert_int_equal(f, FAIL_BAD_DATA);
	/* It is in one of the two places; and at the second try away. */
	assert_true(file_is(blob, "the wrong bytes") != file_is(quarantine, "the wrong bytes"));
	f = check(GOOD, 0, 0);
	assert_true(f == FAIL_BAD_DATA || f == FAIL_NOT_FOUND);
	assert_true(exists(quarantine) && !exists(blob));
	assert_int_equal(check("a", 0, 0), FAIL_NONE);
	unsigned failures = check("", CHECK_FLAG_FINISH, 0) != FAIL_NONE;
	failures += check("", CHECK_FLAG_FINISH, 0) != FAIL_NONE;
	assert_true(failures == 0 || (failures == 1 && stand_in_fs.fired));
}

static void test_any_operation_fails(void **state)
{
	bool fired = true;
	for (nth = 1; fired; nth++) {
		char blob[PATH_SIZE], quarantine[PATH_SIZE];
		struct digest d = blob_make(&st, GOOD);
		(void)blob_make(&st, "a");
		blob_of(&st, &d, blob);
		quarantine_of(GOOD, quarantine);
		flipped(blob);
		write_text(quarantine, "former");
		assert_int_equal(serve(play_failure), 0);
		fired = stand_in_fs.fired;
		(void)teardown(state);
		(void)setup(state);
	}
	assert_true(nth > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_newer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rounds, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_becomes_shorter, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_exchanged, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_any_operation_fails, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
