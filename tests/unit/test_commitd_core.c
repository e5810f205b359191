/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of commitd, as assembled in serve.c, on stand-ins for loop, clock, pipes, ctl, workers, random numbers and
 * changes of files. One process, no thread, no sleep. Seals come in, commits are made, receipts go out; names are set
 * and removed. The test plays ingestd and the clients. Pipes lose messages, and each write, sync and rename fails once.
 * Longer than 500 lines because all of the stage is driven through one set-up.
 */

/* Own */
#include "tests/unit/test_commitd_seal.h"

#include "tests/unit/stand_in_ctl.h"
#include "tests/unit/stand_in_fs.h"
#include "tests/unit/stand_in_random.h"
#include "tests/unit/stand_in_stage.h"
#include "tests/unit/stand_in_workers.h"

/* Store */
#include "common/store/names.h"

/* Wire */
#include "common/wire/counters.h"

/* The code under test */
#include "commitd/serve.h"
#include "commitd/settings.h"

#define TURN_MS   10u
#define TURNS_MAX 10000u
#define NAME      "localhost:5000/a:1"
#define INDEX     "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}"

enum { ASKER, LISTENER }; /* the clients */

static struct store st;
static struct settings settings;

static bool introduced; /* ingestd, to this commitd */

/* What ingestd has received. */
static struct {
	uint64_t commitd; /* its incarnation */
	unsigned hellos, committed, rejected;
	enum fail_class fail_class;
	char ref[64];
} heard;

static int setup(void **state)
{
	(void)state;
	memset(&heard, 0, sizeof(heard));
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

/* Start commitd, run the script and end it as it is. The content of its pipes is lost. Returns its exit code. */
static int serve(void (*script)(void))
{
	stand_in_stage.script = script;
	introduced = false;
	return serve_run(&settings);
}

/* ── ingestd ── */

static void say_hello(uint64_t incarnation)
{
	struct message m = {.type = MSG_HELLO, .incarnation = incarnation, .peer = heard.commitd};
	stage_introduce(&m);
	stand_in_pipe_put(PIPE_SEALS, &m);
	introduced = true;
}

static void push_seal(const char *ref, const char *text, uint8_t provenance)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m = store_seal(&st, ref, text, provenance, digest);
	if (!introduced)
		say_hello(7);
	stand_in_pipe_put(PIPE_SEALS, &m);
}

static void hear(void)
{
	struct message m;
	while (stand_in_pipe_take(PIPE_RECEIPTS, &m)) {
		heard.hellos += m.type == MSG_HELLO;
		heard.committed += m.type == MSG_COMMITTED;
		heard.rejected += m.type == MSG_REJECTED;
		if (m.type == MSG_HELLO)
			heard.commitd = m.incarnation;
		if (m.type == MSG_REJECTED)
			heard.fail_class = (enum fail_class)m.fail_class;
		if (m.type != MSG_HELLO)
			(void)snprintf(heard.ref, sizeof(heard.ref), "%.*s", SPAN_ARG(m.ref));
	}
}

/* Run the loop and the workers until nothing more happens. */
static void settle(void)
{
	for (unsigned quiet = 0, turns = 0; quiet < 5; turns++) {
		assert_true(turns < TURNS_MAX);
		loop_turn(&stand_in_loop, false);
		quiet = stand_in_workers_run(&stand_in_workers) ? 0 : quiet + 1;
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

/* ── seals and receipts ── */

static void play_seal(void)
{
	ingest_make(&st, "a", "one");
	say_hello(7);
	push_seal("a", "one", 0);
	settle();
	assert_true(heard.hellos > 0);
	assert_int_equal(heard.committed, 1);
	assert_string_equal(heard.ref, "a");
	assert_true(is_stored("one"));
}

static void test_seal_to_receipt(void **state)
{
	(void)state;
	assert_int_equal(serve(play_seal), 0);
}

/* A repeated seal is committed once, and answered again afterwards. */
static void play_said_again(void)
{
	ingest_make(&st, "a", "one");
	push_seal("a", "one", 0);
	push_seal("a", "one", 0);
	settle();
	assert_int_equal(heard.committed, 1);
	push_seal("a", "one", 0);
	settle();
	assert_int_equal(heard.committed, 2);
}

static void test_repeated_seal(void **state)
{
	(void)state;
	assert_int_equal(serve(play_said_again), 0);
}

/* A worker reads the data back before it is named. */
static void play_read_back(void)
{
	char path[PATH_SIZE];
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

static void test_read_back(void **state)
{
	(void)state;
	assert_int_equal(serve(play_read_back), 0);
}

static void play_missing(void)
{
	push_seal("nobody", "nothing", 0);
	settle();
	assert_int_equal(heard.rejected, 1);
	assert_int_equal(heard.fail_class, FAIL_MISSING);
}

static void test_missing(void **state)
{
	(void)state;
	assert_int_equal(serve(play_missing), 0);
}

/* The receipt is lost in a broken pipe. The seal comes again, and finds the blob. */
static void play_lost_receipt(void)
{
	ingest_make(&st, "a", "one");
	push_seal("a", "one", 0);
	for (unsigned i = 0; i < 5; i++) {
		loop_turn(&stand_in_loop, false);
		(void)stand_in_workers_run(&stand_in_workers);
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

static void test_lost_receipt(void **state)
{
	(void)state;
	assert_int_equal(serve(play_lost_receipt), 0);
}

static unsigned turns_left;

/* The seal is in flight or in progress when commitd ends. */
static void play_seal_and_end(void)
{
	ingest_make(&st, "a", "one");
	push_seal("a", "one", 0);
	for (unsigned i = 0; i < turns_left; i++)
		loop_turn(&stand_in_loop, false);
}

static void play_seal_again(void)
{
	say_hello(7);
	push_seal("a", "one", 0);
	settle();
}

/* No receipt was sent; the next commitd gets the seal again. */
static void test_restart(void **state)
{
	for (turns_left = 0; turns_left < 4; turns_left++) {
		(void)teardown(state);
		(void)setup(state);
		assert_int_equal(serve(play_seal_and_end), 0);
		assert_int_equal(heard.committed, 0);
		assert_int_equal(serve(play_seal_again), 0);
		assert_int_equal(heard.committed, 1);
		assert_true(is_stored("one"));
	}
}

/* ── requests and events ── */

static struct message set_name(const struct digest *d, char digest[static DIGEST_TEXT_SIZE])
{
	digest_format(d, digest);
	return (struct message){
	    .type = MSG_SET_NAME, .name = span_str(NAME), .digest = span_str(digest), .size = strlen(INDEX)};
}

/* The answer to one request, and nothing else. */
static struct message ask(const struct message *request)
{
	struct message m, more;
	assert_true(stand_in_ctl_ask(ASKER, request));
	settle();
	assert_true(stand_in_ctl_hear(ASKER, &m));
	uint8_t fail_class = m.fail_class;
	enum message_type type = m.type;
	assert_false(stand_in_ctl_hear(ASKER, &more));
	return (struct message){.type = type, .fail_class = fail_class};
}

static struct message ask_name(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = digest_of_text(INDEX);
	const struct message set = set_name(&d, digest);
	return ask(&set);
}

/* The index can be read, whatever failed. */
static bool is_named(void)
{
	struct names *names;
	struct descriptor found;
	struct reason why;
	struct digest d = digest_of_text(INDEX);
	assert_int_equal(names_load(st.layout, &names, &why), 0);
	bool is = names_find(names, NAME, &found) == 0 && digest_eq(&found.digest, &d);
	names_free(names);
	return is;
}

static void play_names(void)
{
	const struct message all = {.type = MSG_SUBSCRIBE};
	const struct message remove_it = {.type = MSG_REMOVE_NAME, .name = span_str(NAME)};
	const struct message bad = {.type = MSG_REMOVE_NAME, .name = span_str("../:")};
	const struct message foreign = {.type = MSG_STATUS, .ref = span_str("x")};
	struct message m;

	assert_true(stand_in_ctl_ask(LISTENER, &all));
	assert_true(stand_in_ctl_hear(LISTENER, &m));
	assert_int_equal(ask_name().fail_class, FAIL_NOT_FOUND); /* it is not stored */
	(void)blob_make(&st, INDEX);
	assert_int_equal(ask_name().type, MSG_OK);
	assert_true(is_named());
	assert_true(stand_in_ctl_hear(LISTENER, &m));
	assert_int_equal(m.type, MSG_NAMED);
	assert_true(span_eq(m.name, span_str(NAME)) && m.digest.len > 0);
	assert_int_equal(ask(&remove_it).type, MSG_OK);
	assert_false(is_named());
	assert_true(stand_in_ctl_hear(LISTENER, &m));
	assert_int_equal(m.digest.len, 0);
	assert_int_equal(ask(&remove_it).type, MSG_OK); /* the name does not exist, and there is no event */
	assert_false(stand_in_ctl_hear(LISTENER, &m));
	assert_int_equal(ask(&bad).fail_class, FAIL_USAGE);
	assert_int_equal(ask(&foreign).fail_class, FAIL_USAGE);
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(serve(play_names), 0);
}

/*
 * Names that are requested while the committer is busy with the first share one write. Each request has an answer of
 * its own, and one that fails does not fail the others.
 */
static void play_names_together(void)
{
	char digest[DIGEST_TEXT_SIZE], name[16];
	struct digest d = blob_make(&st, INDEX);
	struct message set = set_name(&d, digest), m;
	uint64_t writes = counter_values[COUNT_INDEX_WRITES], names = counter_values[COUNT_NAMES_SET];
	for (unsigned i = 0; i < CLIENTS; i++) {
		(void)snprintf(name, sizeof(name), "name:%u", i);
		set.name = span_str(name);
		set.size = i == 3 ? 1 : strlen(INDEX); /* that one is wrong */
		assert_true(stand_in_ctl_ask(i, &set));
	}
	settle();
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_true(stand_in_ctl_hear(i, &m));
		assert_int_equal(m.type, i == 3 ? MSG_ERROR : MSG_OK);
	}
	assert_int_equal(counter_values[COUNT_INDEX_WRITES] - writes, 2);
	assert_int_equal(counter_values[COUNT_NAMES_SET] - names, CLIENTS - 1);
}

static void test_names_together(void **state)
{
	(void)state;
	assert_int_equal(serve(play_names_together), 0);
}

/* Those that wait are carried out, too, before the stage ends. */
static void play_stop_with_many(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = blob_make(&st, INDEX);
	const struct message set = set_name(&d, digest), remove_it = {.type = MSG_REMOVE_NAME, .name = span_str(NAME)};
	struct message m;
	assert_true(stand_in_ctl_ask(ASKER, &remove_it));
	assert_true(stand_in_ctl_ask(LISTENER, &set));
	stand_in_stage_stop();
	assert_true(stand_in_workers_run(&stand_in_workers));
	assert_true(stand_in_ctl_hear(ASKER, &m));
	loop_turn(&stand_in_loop, false);
	assert_false(stand_in_stage_ended());
	settle();
	assert_true(stand_in_stage_ended());
	assert_true(stand_in_ctl_hear(LISTENER, &m));
	assert_int_equal(m.type, MSG_OK);
	assert_true(is_named());
}

static void test_stops_with_many(void **state)
{
	(void)state;
	assert_int_equal(serve(play_stop_with_many), 0);
}

static void play_stats(void)
{
	const struct message ours = {.type = MSG_STATS, .stage = STAGE_COMMITD};
	const struct message others = {.type = MSG_STATS, .stage = STAGE_INGESTD};
	assert_int_equal(ask(&ours).type, MSG_COUNTS);
	assert_int_equal(ask(&others).fail_class, FAIL_USAGE);
}

static void test_stats(void **state)
{
	(void)state;
	assert_int_equal(serve(play_stats), 0);
}

/* The client disconnects before the answer. Its request is carried out, and no other client gets the answer. */
static void play_leaving(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = blob_make(&st, INDEX);
	const struct message set = set_name(&d, digest), stats = {.type = MSG_STATS, .stage = STAGE_COMMITD};
	assert_true(stand_in_ctl_ask(ASKER, &set));
	stand_in_ctl_leave(ASKER);
	assert_int_equal(ask(&stats).type, MSG_COUNTS);
	assert_true(is_named());
}

static void test_client_disconnects(void **state)
{
	(void)state;
	assert_int_equal(serve(play_leaving), 0);
}

/* The stage finishes its commits before it ends. */
static void play_stop(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = blob_make(&st, INDEX);
	const struct message set = set_name(&d, digest);
	struct message m;
	assert_true(stand_in_ctl_ask(ASKER, &set));
	stand_in_stage_stop();
	loop_turn(&stand_in_loop, false);
	assert_false(stand_in_stage_ended());
	assert_false(stand_in_ctl_ask(LISTENER, &set));
	settle();
	assert_true(stand_in_stage_ended());
	assert_true(stand_in_ctl_hear(ASKER, &m));
	assert_int_equal(m.type, MSG_OK);
	assert_true(is_named());
}

static void test_stops(void **state)
{
	(void)state;
	assert_int_equal(serve(play_stop), 0);
}

/* ── failures ── */

/* The name is not known to be on disk, so it is taken back. The next seal names the data again. */
static void play_failing_sync(void)
{
	char path[PATH_SIZE];
	ingest_make(&st, "a", "one");
	stand_in_fs_fail(1u << FS_SYNC, 1, EIO);
	push_seal("a", "one", 0);
	settle();
	assert_int_equal(heard.rejected, 1);
	assert_int_equal(heard.fail_class, FAIL_IO);
	assert_false(is_stored("one"));
	ingest_data(&st, "a", path);
	assert_true(file_is(path, "one"));
	push_seal("a", "one", 0);
	settle();
	assert_int_equal(heard.committed, 1);
	assert_true(is_stored("one"));
}

static void test_failed_sync(void **state)
{
	(void)state;
	assert_int_equal(serve(play_failing_sync), 0);
}

/* A file system without RENAME_NOREPLACE: the file has both names for a moment. */
static void play_link(void)
{
	unsigned removed = stand_in_fs_made(1u << FS_REMOVE);
	stand_in_fs_fail(1u << FS_MOVE, 1, EINVAL);
	play_seal();
	assert_int_equal(stand_in_fs_made(1u << FS_LINK), 1);
	assert_int_equal(stand_in_fs_made(1u << FS_REMOVE), removed + 1);
}

static void test_without_renameat2(void **state)
{
	(void)state;
	assert_int_equal(serve(play_link), 0);
}

static unsigned nth;
static int error;

/* Repeat the seal until it is committed. The blob is whole or absent at every moment. */
static void play_seals_until_done(void)
{
	ingest_make(&st, "a", "one");
	stand_in_fs_fail(FS_ALL, nth, error);
	for (unsigned i = 0; heard.committed == 0; i++) {
		if (i > 2)
			fail_msg("operation %u, error %d: sealed %u times", nth, error, i);
		push_seal("a", "one", 0);
		settle();
		assert_int_equal(heard.committed + heard.rejected, i + 1);
		assert_true(is_stored("one") || heard.committed == 0);
	}
}

static void play_names_until_done(void)
{
	unsigned refused = 0;
	(void)blob_make(&st, INDEX);
	stand_in_fs_fail(FS_ALL, nth, error);
	while (ask_name().type != MSG_OK) {
		(void)is_named();
		assert_true(stand_in_fs.fired);
		assert_true(++refused == 1);
	}
	assert_true(is_named());
}

#define FILE_TEXT "a file"

static struct message ask_file(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = digest_of_text(FILE_TEXT);
	digest_format(&d, digest);
	const struct message set = {
	    .type = MSG_SET_FILE,
	    .digest = span_str(digest),
	    .size = strlen(FILE_TEXT),
	    .source = span_str("http://localhost/a"),
	};
	return ask(&set);
}

static bool has_leftovers(void)
{
	char path[PATH_SIZE];
	(void)snprintf(path, sizeof(path), "%.200s/" LAYOUT_COMMIT "/.document", st.path);
	return exists(path);
}

/* A file gets a manifest, a config and a name. What a failure leaves is not in the way of the next try. */
static void play_file_until_done(void)
{
	unsigned refused = 0;
	(void)blob_make(&st, FILE_TEXT);
	stand_in_fs_fail(FS_ALL, nth, error);
	while (ask_file().type != MSG_NAMED) {
		assert_true(stand_in_fs.fired);
		assert_true(++refused == 1);
	}
	assert_true(is_stored("{}"));
	assert_false(has_leftovers());
}

/* Each operation of a commit and of naming fails once, in each way. */
static void test_any_operation_fails(void **state)
{
	static void (*const scripts[])(void) = {play_seals_until_done, play_names_until_done, play_file_until_done};
	static const int errors[] = {EIO, ENOSPC};
	unsigned fired = 0;
	for (size_t i = 0; i < LEN(errors) * LEN(scripts); i++) {
		error = errors[i % LEN(errors)];
		for (nth = 1; nth == 1 || stand_in_fs.fired; nth++) {
			(void)teardown(state);
			(void)setup(state);
			assert_int_equal(serve(scripts[i / LEN(errors)]), 0);
			fired += stand_in_fs.fired;
		}
	}
	assert_true(fired > 15);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(test_seal_to_receipt), SCENE(test_repeated_seal),      SCENE(test_read_back),
	    SCENE(test_missing),         SCENE(test_lost_receipt),       SCENE(test_restart),
	    SCENE(test_names),           SCENE(test_names_together),     SCENE(test_stops_with_many),
	    SCENE(test_stats),           SCENE(test_client_disconnects), SCENE(test_stops),
	    SCENE(test_failed_sync),     SCENE(test_without_renameat2),  SCENE(test_any_operation_fails),
	};
	return cmocka_run_group_tests_name("commitd core", tests, NULL, NULL);
}
