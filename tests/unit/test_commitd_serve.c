/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon in a process of its own; the test plays ingestd and sluice.
 */

/* Own */
#include "tests/unit/test_commitd_seal.h"

/* System */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>

/* Base */
#include "common/base/process.h"

/* OCI */
#include "common/oci/transfer.h"

/* Base */
#include "common/base/opt.h"

/* Wire */
#include "common/wire/ctl_client.h"
#include "common/wire/pipe.h"

/* The code under test */
#include "commitd/commit.h"
#include "commitd/seals.h"
#include "commitd/serve.h"

#define PATIENCE_MS 20000
#define SEALS       (3 * COMMIT_BATCH_MAX)
#define INGESTD     7 /* its incarnation */

static struct store st;
static char runtime_dir[PATH_SIZE];
static pid_t daemon_pid;
static struct pipe *seals, *receipts;
static struct ctl_client *control;

/* By exec: nanomsg does not survive a fork. */
static pid_t daemon_start(const char *dir)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)execl("/proc/self/exe", "commitd", st.path, dir, (char *)NULL);
		_exit(EX_OSERR);
	}
	return pid;
}

static int daemon_wait(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void push(const struct message *m)
{
	struct pollfd waits = {.fd = pipe_send_fd(seals), .events = POLLIN};
	while (pipe_send(seals, m) == -EAGAIN)
		assert_int_equal(poll(&waits, 1, PATIENCE_MS), 1);
}

/* Receipts follow after it. */
static void say_hello(void)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = INGESTD};
	stage_introduce(&hello);
	push(&hello);
}

static int setup(void **state)
{
	(void)state;
	store_open(&st);
	(void)snprintf(runtime_dir, sizeof(runtime_dir), "%.80s-run", st.path);
	daemon_pid = daemon_start(runtime_dir);
	while (access(runtime_dir, F_OK) != 0)
		(void)poll(NULL, 0, 5);
	assert_int_equal(pipe_open(runtime_dir, PIPE_RECEIPTS, PIPE_PULL, &receipts), 0);
	assert_int_equal(pipe_open(runtime_dir, PIPE_SEALS, PIPE_PUSH, &seals), 0);
	while (ctl_connect(runtime_dir, STAGE_COMMITD, &control) < 0)
		(void)poll(NULL, 0, 5);
	say_hello();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ctl_disconnect(control);
	pipe_close(seals);
	pipe_close(receipts);
	assert_int_equal(kill(daemon_pid, SIGTERM), 0);
	assert_int_equal(daemon_wait(daemon_pid), EX_OK);
	store_close(&st);
	assert_int_equal(nftw(runtime_dir, store_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	return 0;
}

static void next_receipt(struct message *ret_message)
{
	struct pollfd waits = {.fd = pipe_receive_fd(receipts), .events = POLLIN};
	int r;
	while ((r = pipe_receive(receipts, ret_message, NULL)) == -EAGAIN)
		assert_int_equal(poll(&waits, 1, PATIENCE_MS), 1);
	assert_int_equal(r, 0);
}

/* The next message is the receipt. */
static void next_answer(struct message *ret_message)
{
	do {
		next_receipt(ret_message);
	} while (ret_message->type == MSG_HELLO);
}

static void push_seal(const char *ref, const char *text, uint8_t provenance)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m = store_seal(&st, ref, text, provenance, digest);
	push(&m);
}

/* A ref that is a decimal number. */
static uint64_t number_of(struct span ref)
{
	char text[32];
	uint64_t n;
	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(ref));
	assert_int_equal(opt_parse_number(OPT_COUNT, text, &n), 0);
	return n;
}

static void test_many_seals(void **state)
{
	char ref[32], text[32], path[PATH_SIZE];
	bool answered[SEALS] = {false};
	struct message m;
	(void)state;
	for (unsigned i = 0; i < SEALS; i++) {
		(void)snprintf(ref, sizeof(ref), "%u", i);
		(void)snprintf(text, sizeof(text), "text %03u", i);
		ingest_make(&st, ref, text);
		push_seal(ref, text, i % 5 == 2 ? PROVENANCE_MENDED : 0);
	}
	for (unsigned i = 0; i < SEALS; i++) {
		next_answer(&m);
		assert_int_equal(m.type, MSG_COMMITTED);
		uint64_t which = number_of(m.ref);
		assert_true(which < SEALS && !answered[which]);
		answered[which] = true;
	}
	for (unsigned i = 0; i < SEALS; i++) {
		(void)snprintf(text, sizeof(text), "text %03u", i);
		struct digest d = digest_of_text(text);
		blob_of(&st, &d, path);
		assert_true(file_is(path, text));
	}
}

static void test_continues_after_a_rejection(void **state)
{
	struct message m;
	(void)state;
	ingest_make(&st, "bad", "abd");
	ingest_make(&st, "good", "abc");
	push(&(struct message){.type = MSG_OK}); /* not valid here: refused, without effect */
	push_seal("bad", "abc", PROVENANCE_REBOOTED);
	push_seal("gone", "nothing", 0);
	next_answer(&m);
	assert_int_equal(m.type, MSG_REJECTED);
	assert_int_equal(m.fail_class, span_eq(m.ref, span_str("bad")) ? FAIL_BAD_DATA : FAIL_MISSING);
	next_answer(&m);
	assert_int_equal(m.type, MSG_REJECTED);
	push_seal("good", "abc", 0);
	next_answer(&m);
	assert_int_equal(m.type, MSG_COMMITTED);
	assert_true(span_eq(m.ref, span_str("good")));
}

/*
 * More seals than it accepts at once, and no receipt is read until it accepts no more. None is lost or repeated.
 */
static void test_back_pressure(void **state)
{
	static bool answered[4 * SEALS_IN_HAND_MAX];
	size_t total = sizeof(answered), sent = 0;
	char ref[32];
	struct message m;
	(void)state;
	memset(answered, 0, sizeof(answered));
	for (size_t got = 0; got < total; got++) {
		struct pollfd waits = {.fd = pipe_send_fd(seals), .events = POLLIN};
		while (sent < total && poll(&waits, 1, got == 0 ? 500 : 0) == 1) {
			(void)snprintf(ref, sizeof(ref), "%zu", sent++);
			push_seal(ref, "nowhere", 0);
		}
		next_answer(&m);
		assert_int_equal(m.type, MSG_REJECTED);
		uint64_t which = number_of(m.ref);
		assert_true(which < total && !answered[which]);
		answered[which] = true;
	}
}

/* Killed and restarted: the repeated seal finds the blob. */
static void test_killed(void **state)
{
	struct message m;
	(void)state;
	ingest_make(&st, "one", "1");
	push_seal("one", "1", 0);
	next_answer(&m);
	assert_int_equal(m.type, MSG_COMMITTED);
	assert_int_equal(kill(daemon_pid, SIGKILL), 0);
	assert_int_equal(daemon_wait(daemon_pid), -SIGKILL);
	daemon_pid = daemon_start(runtime_dir);
	/* Messages in the broken pipe are lost. The HELLO of the new commitd makes ingestd send its seals again. */
	do {
		next_receipt(&m);
		if (m.type == MSG_HELLO && m.peer != INGESTD)
			say_hello();
		if (m.type == MSG_HELLO)
			push_seal("one", "1", PROVENANCE_MENDED);
	} while (m.type == MSG_HELLO);
	assert_int_equal(m.type, MSG_COMMITTED);
}

static void ask(const struct message *request, struct message *ret_answer)
{
	assert_int_equal(ctl_ask(control, request, PATIENCE_MS, ret_answer), 0);
}

static void test_control(void **state)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = digest_of_text("{}");
	struct message m;
	uint64_t dev, ino;
	(void)state;
	layout_identity(st.layout, &dev, &ino);
	assert_int_equal(ctl_ping(control, STAGE_COMMITD, PATIENCE_MS, &m, NULL), 0);
	assert_true(m.dev == dev && m.ino == ino && span_eq(m.text, span_str(layout_path(st.layout))));

	digest_format(&d, digest);
	struct message set = {
	    .type = MSG_SET_NAME, .name = span_str("a:1"), .digest = span_str(digest), .size = SIZE_UNKNOWN};
	ask(&set, &m);
	assert_int_equal(m.type, MSG_ERROR);
	assert_int_equal(m.fail_class, FAIL_NOT_FOUND);
	set.name = span_str("../:");
	ask(&set, &m);
	assert_int_equal(m.fail_class, FAIL_USAGE);
	set.name = span_str("a:1");
	set.digest = span_str("sha256:../x");
	ask(&set, &m);
	assert_int_equal(m.fail_class, FAIL_USAGE);
	ask(&(struct message){.type = MSG_STATUS, .ref = span_str("x")}, &m);
	assert_int_equal(m.fail_class, FAIL_USAGE);
	ask(&(struct message){.type = MSG_REMOVE_NAME, .name = span_str("a:1")}, &m);
	assert_int_equal(m.type, MSG_OK);
}

static void test_naming_is_published(void **state)
{
	static const char text[] = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
				   "\"manifests\":[]}";
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = blob_make(&st, text);
	const struct message all = {.type = MSG_SUBSCRIBE}, others = {.type = MSG_SUBSCRIBE, .ref = span_str("b:1")};
	struct ctl_client *events = NULL, *deaf = NULL;
	struct message m;
	(void)state;
	digest_format(&d, digest);
	assert_int_equal(ctl_connect(runtime_dir, STAGE_COMMITD, &events), 0);
	assert_int_equal(ctl_connect(runtime_dir, STAGE_COMMITD, &deaf), 0);
	assert_int_equal(ctl_ask(events, &all, PATIENCE_MS, &m), 0);
	assert_int_equal(m.type, MSG_OK);
	assert_int_equal(ctl_ask(deaf, &others, PATIENCE_MS, &m), 0);
	struct message set = {
	    .type = MSG_SET_NAME, .name = span_str("a:1"), .digest = span_str(digest), .size = strlen(text)};
	ask(&set, &m);
	assert_int_equal(m.type, MSG_OK);
	assert_int_equal(ctl_receive(events, PATIENCE_MS, &m), 0);
	assert_int_equal(m.type, MSG_NAMED);
	assert_true(span_eq(m.name, span_str("a:1")) && span_eq(m.digest, span_str(digest)));
	assert_int_equal(ctl_receive(deaf, 0, &m), -EAGAIN);
	ctl_disconnect(events);
	ctl_disconnect(deaf);
}

/* A store is served once, whether the runtime directories are the same or not. */
static void test_one_commitd_per_store(void **state)
{
	char other[PATH_SIZE];
	struct message m;
	(void)state;
	assert_int_equal(ctl_ping(control, STAGE_COMMITD, PATIENCE_MS, &m, NULL), 0);
	assert_int_equal(daemon_wait(daemon_start(runtime_dir)), EX_TEMPFAIL);
	(void)snprintf(other, sizeof(other), "%.80s-two", st.path);
	assert_int_equal(daemon_wait(daemon_start(other)), EX_TEMPFAIL);
	assert_int_equal(nftw(other, store_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		process_init("commitd");
		return serve_run(&(struct settings){.store = argv[1], .runtime_dir = argv[2]});
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_many_seals, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_continues_after_a_rejection, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_back_pressure, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_control, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_naming_is_published, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_commitd_per_store, setup, teardown),
	};
	return cmocka_run_group_tests_name("commitd serve", tests, NULL, NULL);
}
