/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of ingestd, as assembled in serve.c, on stand-ins for loop, clock, pipes, ctl, workers, random numbers and
 * changes of files. One process, no thread, no sleep. The test plays its clients, fetchd and commitd, and sees only
 * what they see and the store. Longer than 500 lines because all tests share one scene.
 */

/* Own */
#include "tests/unit/stand_in_ctl.h"
#include "tests/unit/stand_in_fs.h"
#include "tests/unit/stand_in_random.h"
#include "tests/unit/stand_in_stage.h"
#include "tests/unit/stand_in_workers.h"
#include "tests/unit/test_ingestd_peers.h"

/* System */
#include <linux/magic.h>
#include <sys/vfs.h>

/* Wire */
#include "common/wire/counters.h"

/* The code under test */
#include "ingestd/control.h"
#include "ingestd/serve.h"
#include "ingestd/settings.h"

#define SOURCE      REF
#define PIECE       32768u
#define EVERY_BYTES 65536u /* a durable checkpoint */
#define LEASE_MS    30000u
#define TURN_MS     10u
#define TURNS_MAX   20000u
#define BOOTS       2

enum { ASKER, LISTENER }; /* the clients */

static const char *const boot_ids[BOOTS] = {"0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"};
static struct settings settings;
static unsigned asked; /* number of requests */

/* The last answer to the client, and the state of the transfer in it. */
static struct {
	enum message_type type;
	enum transfer_state state;
	enum fail_class fail_class;
	uint64_t offset, size, orders, rehashed;
	char text[TEXT_MAX + 1], digest[DIGEST_TEXT_SIZE];
} answer;

/* ── the scene ── */

static int scene_set_up(void **state)
{
	char path[FILE_PATH_SIZE];

	stand_in_fs_begin();
	(void)set_up(state);
	settings = (struct settings){
	    .store = strdup(unit_path(&dir, "store", path)),
	    .boot_id = boot_ids[0],
	    .runtime_dir = "",
	    .max_active = 2,
	    .checkpoint_bytes = EVERY_BYTES,
	    .checkpoint_interval_ms = 3600000,
	    .lease_ms = LEASE_MS,
	};
	peers_begin(PIECE);
	asked = 0;
	return 0;
}

static int scene_tear_down(void **state)
{
	free((void *)settings.store);
	return tear_down(state);
}

/* Run ingestd, with its peers connected, until it ends. Returns its exit code. */
static int serve(void (*script)(void))
{
	stand_in_stage.script = script;
	return serve_run(&settings);
}

static void peers_connect(void)
{
	say_hello(PIPE_CHUNKS, 501, 0);
	commitd_starts(502);
}

static void turn(void)
{
	loop_turn(&stand_in_loop, false);
	fetchd_turns();
	commitd_turns();
	(void)stand_in_workers_run(&stand_in_workers);
	stand_in_pass(TURN_MS);
}

/* ── the clients ── */

static void note_answer(const struct message *m)
{
	memset(&answer, 0, sizeof(answer));
	answer.type = m->type;
	answer.state = (enum transfer_state)m->state;
	answer.fail_class = (enum fail_class)m->fail_class;
	answer.offset = m->offset;
	answer.size = m->size;
	answer.orders = m->attempt;
	answer.rehashed = m->rehashed;
	(void)snprintf(answer.text, sizeof(answer.text), "%.*s", SPAN_ARG(m->text));
	(void)snprintf(answer.digest, sizeof(answer.digest), "%.*s", SPAN_ARG(m->digest));
}

/* ingestd answers at once. */
static void ask(const struct message *request)
{
	struct message m;

	assert_true(stand_in_ctl_ask(ASKER, request));
	assert_true(stand_in_ctl_hear(ASKER, &m));
	note_answer(&m);
	assert_false(stand_in_ctl_hear(ASKER, &m));
}

static void ask_ref(enum message_type type)
{
	ask(&(struct message){.type = type, .ref = span_str(REF)});
}

static void request(void)
{
	ask(&(struct message){.type = MSG_GET, .ref = span_str(REF), .source = span_str(SOURCE), .size = SIZE_UNKNOWN});
	asked++;
}

static bool is_committed(void)
{
	return answer.type == MSG_RECORD && answer.state == TRANSFER_COMMITTED;
}

static bool is_half_there(void)
{
	return answer.type == MSG_RECORD && answer.offset >= sizeof(content) / 2;
}

static bool is_failed(void)
{
	return answer.state == TRANSFER_FAILED;
}

static bool is_waiting(void)
{
	return answer.type == MSG_RECORD && answer.state == TRANSFER_WAITING;
}

/* Request its status in each turn. */
static void turn_until(bool (*is_so)(void))
{
	for (unsigned i = 0; ask_ref(MSG_STATUS), !is_so(); i++) {
		if (i == TURNS_MAX)
			fail_msg("in vain: state %d at %llu: %s", (int)answer.state, (unsigned long long)answer.offset,
				 answer.text);
		turn();
	}
}

static bool ingest_is_there(void)
{
	char path[FILE_PATH_SIZE], id[INGEST_ID_SIZE];

	layout_ingest_id(span_str(REF), id);
	(void)snprintf(path, sizeof(path), "store/ingest/%s", id);
	return unit_exists(&dir, path);
}

static void assert_stored(void)
{
	static uint8_t got[sizeof(content) + 1];
	char digest[DIGEST_TEXT_SIZE];
	struct stat st;
	int fd;

	digest_format(&content_digest, digest);
	assert_string_equal(answer.digest, digest);
	assert_int_equal(answer.size, sizeof(content));
	assert_int_equal(layout_blob_open(home.layout, &content_digest, &fd, &st), 0);
	assert_int_equal(read(fd, got, sizeof(got)), sizeof(content));
	assert_memory_equal(got, content, sizeof(content));
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(close(fd), 0);
}

static void finish(void)
{
	turn_until(is_committed);
	assert_stored();
	assert_false(ingest_is_there());
}

/* ── requests and events ── */

/* The listener has received each state once, in order, and only about REF. */
static void assert_heard_all(void)
{
	static const enum transfer_state want[] = {TRANSFER_QUEUED, TRANSFER_FETCHING, TRANSFER_SEALED,
						   TRANSFER_COMMITTED};
	struct message m;
	size_t at = 0;

	assert_true(stand_in_ctl_hear(LISTENER, &m));
	assert_int_equal(m.type, MSG_OK); /* the answer to SUBSCRIBE */
	while (stand_in_ctl_hear(LISTENER, &m)) {
		assert_int_equal(m.type, MSG_RECORD);
		assert_true(span_eq(m.ref, span_str(REF)));
		while (at < LEN(want) && m.state != want[at])
			at++;
		assert_true(at < LEN(want));
	}
	assert_int_equal(at, LEN(want) - 1);
}

static void play_transfer(void)
{
	struct message m;

	peers_connect();
	assert_true(stand_in_ctl_ask(LISTENER, &(struct message){.type = MSG_SUBSCRIBE, .ref = span_str(REF)}));
	request();
	assert_int_equal(answer.type, MSG_RECORD);
	finish();
	assert_heard_all();
	assert_false(stand_in_ctl_hear(ASKER, &m)); /* it did not subscribe */
	assert_int_equal(fetchd.orders, 1);
	assert_int_equal(fetchd.sent, sizeof(content));
	assert_int_equal(commitd.seals, 1);
}

static void test_transfer(void **state)
{
	(void)state;
	assert_int_equal(serve(play_transfer), 0);
}

static void play_questions(void)
{
	const struct message next = {.type = MSG_NEXT};
	const struct message stats = {.type = MSG_STATS, .stage = STAGE_INGESTD};
	const struct message stats_of_fetchd = {.type = MSG_STATS, .stage = STAGE_FETCHD};
	const struct message stats_of_commitd = {.type = MSG_STATS, .stage = STAGE_COMMITD};
	const struct message foreign = {.type = MSG_REMOVE_NAME, .name = span_str("a")};

	peers_connect();
	ask(&next);
	assert_int_equal(answer.fail_class, FAIL_NOT_FOUND);
	ask_ref(MSG_STATUS);
	assert_int_equal(answer.fail_class, FAIL_NOT_FOUND);
	ask_ref(MSG_ABORT);
	assert_int_equal(answer.type, MSG_OK);
	ask_ref(MSG_RESET);
	assert_int_equal(answer.fail_class, FAIL_NOT_FOUND);
	ask(&stats_of_fetchd);
	assert_int_equal(answer.fail_class, FAIL_UNAVAILABLE);
	ask(&stats_of_commitd);
	assert_int_equal(answer.fail_class, FAIL_USAGE);
	ask(&foreign);
	assert_int_equal(answer.fail_class, FAIL_USAGE);
	request();
	turn_until(is_half_there);
	ask(&next);
	assert_int_equal(answer.type, MSG_RECORD);
	assert_int_equal(answer.state, TRANSFER_FETCHING);
	ask(&stats);
	assert_int_equal(answer.type, MSG_COUNTS);
	finish();
	ask(&next); /* a committed transfer is not listed */
	assert_int_equal(answer.fail_class, FAIL_NOT_FOUND);
}

static void test_queries(void **state)
{
	(void)state;
	assert_int_equal(serve(play_questions), 0);
}

static void play_ping(void)
{
	struct message ping = {.type = MSG_PING}, pong;
	struct stat st;

	stage_introduce(&ping);
	assert_true(stand_in_ctl_ask(ASKER, &ping));
	assert_true(stand_in_ctl_hear(ASKER, &pong));
	assert_int_equal(fstatat(dir.fd, "store", &st, 0), 0);
	assert_int_equal(pong.dev, st.st_dev);
	assert_int_equal(pong.ino, st.st_ino);
	assert_true(span_eq(pong.boot, span_str(boot_ids[0])));
	assert_true(pong.incarnation != 0);
}

static void test_ping(void **state)
{
	(void)state;
	assert_int_equal(serve(play_ping), 0);
}

/* The client disconnects, and the transfer continues. */
static void play_leaving(void)
{
	peers_connect();
	assert_true(stand_in_ctl_ask(LISTENER, &(struct message){.type = MSG_SUBSCRIBE}));
	request();
	stand_in_ctl_leave(ASKER);
	stand_in_ctl_leave(LISTENER);
	for (unsigned i = 0; i < 5; i++)
		turn();
	finish();
	assert_int_equal(fetchd.orders, 1);
}

static void test_client_disconnects(void **state)
{
	(void)state;
	assert_int_equal(serve(play_leaving), 0);
}

static void play_reset(void)
{
	peers_connect();
	request();
	turn_until(is_half_there);
	ask_ref(MSG_RESET);
	assert_int_equal(answer.type, MSG_RECORD);
	turn();
	ask_ref(MSG_STATUS);
	assert_false(is_half_there());
	finish();
	assert_int_equal(fetchd.orders, 2);
	assert_true(fetchd.sent >= sizeof(content) + sizeof(content) / 2);
}

static void test_reset(void **state)
{
	(void)state;
	assert_int_equal(serve(play_reset), 0);
}

/* Whatever fails in the reset of a failed transfer, it stays failed, and says so. */
static void play_failing_reset(void)
{
	peers_connect();
	request();
	turn_until(is_half_there);
	stand_in_pipe_put(PIPE_CHUNKS, &(struct message){.type = MSG_FAIL,
							 .ref = span_str(REF),
							 .attempt = fetchd.attempt,
							 .fail_class = FAIL_DENIED});
	fetchd.runs = false;
	turn_until(is_failed);
	bool told = false, failed = true;
	for (unsigned nth = 1; failed; nth++) {
		stand_in_fs_fail(1u << FS_TRUNCATE, nth, EIO);
		ask_ref(MSG_RESET);
		failed = stand_in_fs.fired;
		turn();
		ask_ref(MSG_STATUS);
		assert_int_equal(answer.state, TRANSFER_FAILED);
		told = told || answer.fail_class == FAIL_IO;
	}
	assert_true(told);
	assert_int_equal(fetchd.orders, 1);
	stand_in_fs_fail(0, 0, 0);
	request();
	finish();
}

static void test_failing_reset(void **state)
{
	(void)state;
	assert_int_equal(serve(play_failing_reset), 0);
}

static bool is_unknown(void)
{
	return answer.type == MSG_ERROR && answer.fail_class == FAIL_NOT_FOUND;
}

static void play_abort(void)
{
	struct message m;
	enum transfer_state last = TRANSFER_QUEUED;

	peers_connect();
	assert_true(stand_in_ctl_ask(LISTENER, &(struct message){.type = MSG_SUBSCRIBE}));
	request();
	turn_until(is_half_there);
	ask_ref(MSG_ABORT);
	assert_int_equal(answer.type, MSG_OK);
	turn_until(is_unknown);
	while (stand_in_ctl_hear(LISTENER, &m))
		last = (enum transfer_state)m.state;
	assert_int_equal(last, TRANSFER_FAILED); /* waiting clients are told */
	turn();
	assert_true(fetchd.cancels > 0);
	assert_false(ingest_is_there());
	request(); /* under a higher attempt than the aborted one */
	finish();
}

static void test_abort(void **state)
{
	(void)state;
	assert_int_equal(serve(play_abort), 0);
}

/* ── restarts ── */

static void play_first_half(void)
{
	peers_connect();
	request();
	turn_until(is_half_there);
}

static void play_second_half(void)
{
	uint64_t since_ms = stand_in_loop.now_ms;

	peers_connect();
	finish();
	assert_true(stand_in_loop.now_ms - since_ms < LEASE_MS); /* its orders are not mistaken for old ones */
}

/* Killed: the next ingestd has all bytes that had arrived, and hashes nothing again. */
static void test_restart(void **state)
{
	(void)state;
	assert_int_equal(serve(play_first_half), 0);
	uint64_t have = answer.offset;
	assert_int_equal(serve(play_second_half), 0);
	assert_true(fetchd.sent <= sizeof(content) + (ROOM_DEFAULT + 1) * PIECE);
	assert_true(fetchd.sent >= sizeof(content) && have > 0);
	assert_int_equal(answer.rehashed, 0);
}

/* After a reboot only durable bytes are used. */
static void test_reboot(void **state)
{
	(void)state;
	assert_int_equal(serve(play_first_half), 0);
	settings.boot_id = boot_ids[1];
	assert_int_equal(serve(play_second_half), 0);
	assert_true(fetchd.sent <= 2 * sizeof(content) - EVERY_BYTES);
}

static void play_stop(void)
{
	play_first_half();
	stand_in_stage_stop();
	assert_false(stand_in_ctl_ask(ASKER, &(struct message){.type = MSG_STATUS, .ref = span_str(REF)}));
	for (unsigned i = 0; !stand_in_stage_ended(); i++) {
		assert_true(i < 10);
		turn();
	}
}

/* A stop makes all bytes durable, even for a reboot. */
static void test_stops(void **state)
{
	(void)state;
	assert_int_equal(serve(play_stop), 0);
	uint64_t have = answer.offset;
	settings.boot_id = boot_ids[1];
	uint64_t sent = fetchd.sent;
	assert_int_equal(serve(play_second_half), 0);
	assert_true(fetchd.sent - sent <= sizeof(content) - have);
}

/* ── failures ── */

static int sync_error;

/* The bytes of a failed sync count as lost: the transfer resumes at the last checkpoint. */
static void play_failing_sync(void)
{
	uint64_t had = 0;

	peers_connect();
	request();
	turn_until(is_half_there);
	stand_in_fs_fail(1u << FS_SYNC, 1, sync_error);
	while (!stand_in_fs.fired) {
		had = answer.offset;
		turn();
		ask_ref(MSG_STATUS);
	}
	assert_true(answer.offset < had);
	assert_int_equal(answer.state, sync_error == EIO ? TRANSFER_FETCHING : TRANSFER_WAITING);
	assert_true(answer.offset >= EVERY_BYTES && answer.offset % PIECE == 0);
	uint64_t sent = fetchd.sent, rest = sizeof(content) - answer.offset;
	finish();
	assert_true(fetchd.sent - sent >= rest);
	assert_int_equal(fetchd.orders, 2);
}

static void test_failed_sync(void **state)
{
	static const int errors[] = {EIO, ENOSPC};

	for (size_t i = 0; i < LEN(errors); i++) {
		(void)scene_tear_down(state);
		(void)scene_set_up(state);
		sync_error = errors[i];
		assert_int_equal(serve(play_failing_sync), 0);
	}
}

/* The transfer waits for space, and the clients are told. */
static void play_full_disk(void)
{
	struct message m;
	bool told = false;

	peers_connect();
	assert_true(stand_in_ctl_ask(LISTENER, &(struct message){.type = MSG_SUBSCRIBE}));
	request();
	turn_until(is_half_there);
	stand_in_fs_fail(1u << FS_WRITE, 1, ENOSPC);
	turn_until(is_waiting);
	assert_true(stand_in_fs.fired);
	assert_true(fetchd.cancels > 0);
	while (stand_in_ctl_hear(LISTENER, &m))
		told = told || (m.type == MSG_RECORD && m.state == TRANSFER_WAITING);
	assert_true(told);
	finish();
	assert_true(fetchd.sent <= sizeof(content) + (ROOM_DEFAULT + 1) * PIECE);
}

static void test_full_disk(void **state)
{
	(void)state;
	assert_int_equal(serve(play_full_disk), 0);
}

/* A partial reservation is given back for others, and the transfer waits. */
static void play_no_room(void)
{
	peers_connect();
	ask(&(struct message){.type = MSG_GET, .ref = span_str(REF), .source = span_str(SOURCE), .size = 2u << 20});
	stand_in_fs_fail(1u << FS_RESERVE, 1, ENOSPC);
	unsigned truncated = stand_in_fs_made(1u << FS_TRUNCATE);
	turn_until(is_waiting);
	assert_true(stand_in_fs.fired);
	assert_int_equal(stand_in_fs_made(1u << FS_TRUNCATE), truncated + 1);
	assert_int_equal(fetchd.orders, 0);
}

/* Nothing is reserved on tmpfs. */
static void test_partial_reservation_is_given_back(void **state)
{
	struct statfs fs;

	(void)state;
	assert_int_equal(fstatfs(dir.fd, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC)
		skip();
	assert_int_equal(serve(play_no_room), 0);
}

/* The client repeats its request after a failure, like a user. */
static void play_until_done(void)
{
	peers_connect();
	request();
	for (unsigned i = 0; ask_ref(MSG_STATUS), !is_committed(); i++) {
		assert_true(i < TURNS_MAX);
		if (answer.type == MSG_ERROR || answer.state == TRANSFER_FAILED)
			request();
		turn();
	}
	assert_stored();
}

/* An ingest that could not be removed after its commit is removed by the next ingestd. */
static void play_cleaning(void)
{
	peers_connect();
	for (unsigned i = 0; ingest_is_there(); i++) {
		assert_true(i < TURNS_MAX);
		turn();
	}
}

/* Each operation of a transfer fails once, in each way. It succeeds after at most one more request. */
static void test_any_operation_fails(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	unsigned fired = 0;

	for (size_t i = 0; i < LEN(errors); i++) {
		for (unsigned nth = 1; nth == 1 || stand_in_fs.fired; nth++) {
			(void)scene_tear_down(state);
			(void)scene_set_up(state);
			stand_in_fs_fail(FS_ALL, nth, errors[i]);
			if (serve(play_until_done) != 0) { /* it did not start */
				assert_true(stand_in_fs.fired);
				assert_int_equal(serve(play_until_done), 0);
			}
			if (asked > 2)
				fail_msg("operation %u, error %d: requested %u times", nth, errors[i], asked);
			if (ingest_is_there())
				assert_int_equal(serve(play_cleaning), 0);
			fired += stand_in_fs.fired;
		}
	}
	assert_true(fired > 100);
}

/* A user can have only so many unfinished transfers. An existing one can still be requested again. */
static void play_a_share(void)
{
	char url[64];

	for (unsigned i = 0; i <= TRANSFERS_A_USER; i++) {
		(void)snprintf(url, sizeof(url), "https://example.test/%u", i);
		ask(&(struct message){
		    .type = MSG_GET, .ref = span_str(url), .source = span_str(url), .size = SIZE_UNKNOWN});
		assert_int_equal(answer.type, i < TRANSFERS_A_USER ? MSG_RECORD : MSG_ERROR);
	}
	assert_int_equal(answer.fail_class, FAIL_AGAIN);
	assert_non_null(strstr(answer.text, "unfinished transfers"));
	const struct message again = {.type = MSG_GET,
				      .ref = span_str("https://example.test/7"),
				      .source = span_str("https://example.test/7"),
				      .size = SIZE_UNKNOWN};
	ask(&again);
	assert_int_equal(answer.type, MSG_RECORD);
	ask(&(struct message){.type = MSG_ABORT, .ref = span_str("https://example.test/8")});
	assert_int_equal(answer.type, MSG_OK);
	ask(&(struct message){.type = MSG_GET, .ref = span_str(url), .source = span_str(url), .size = SIZE_UNKNOWN});
	assert_int_equal(answer.type, MSG_RECORD);
}

static void test_transfers_of_a_user_are_limited(void **state)
{
	(void)state;
	assert_int_equal(serve(play_a_share), 0);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(test_transfer),
	    SCENE(test_queries),
	    SCENE(test_ping),
	    SCENE(test_client_disconnects),
	    SCENE(test_reset),
	    SCENE(test_failing_reset),
	    SCENE(test_abort),
	    SCENE(test_restart),
	    SCENE(test_reboot),
	    SCENE(test_stops),
	    SCENE(test_failed_sync),
	    SCENE(test_full_disk),
	    SCENE(test_partial_reservation_is_given_back),
	    SCENE(test_any_operation_fails),
	    SCENE(test_transfers_of_a_user_are_limited),
	};
	return cmocka_run_group_tests_name("ingestd serve", tests, NULL, NULL);
}
