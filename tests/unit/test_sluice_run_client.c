/* SPDX-License-Identifier: Apache-2.0 */
/* How a command checks and follows its stages, which a child process plays. */

/* Own */
#include "tests/unit/unit_dir.h"

/* System */
#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>

/* Wire */
#include "common/wire/ctl.h"

/* The code under test */
#include "sluice/run/client.h"

#define GUARD_S 20
#define SLOW_MS 2500 /* more than a client waits before it looks whether it should go on */

/* In the child: a request that takes long. */
static struct {
	struct ctl *ctl;
	struct loop_timer end;
	uint64_t client;
	uint64_t asked; /* how often */
} slow;

static void on_slow_end(void *self)
{
	(void)self;
	const struct message m = {
	    .type = MSG_RECORD, .ref = span_str("slow"), .state = TRANSFER_FETCHING, .size = slow.asked};
	ctl_answer(slow.ctl, slow.client, &m);
}

static void on_request(void *self, const struct ctl_asker *who, const struct message *m)
{
	struct ctl **ctl = self;

	if (span_eq(m->ref, span_str("slow"))) {
		slow.ctl = *ctl;
		slow.client = who->client;
		if (slow.asked++ == 0)
			loop_timer_set(&slow.end, SLOW_MS);
		return;
	}
	const struct message record = {.type = MSG_RECORD, .ref = m->ref, .state = TRANSFER_FETCHING};
	/* An event of another ref, and one of a requested ref. */
	const struct message other = {.type = MSG_RECORD, .ref = span_str("other"), .state = TRANSFER_FETCHING};
	ctl_publish(*ctl, other.ref, &other);
	ctl_publish(*ctl, record.ref, &record);
	ctl_answer(*ctl, who->client, &record);
}

static void on_describe(void *self, struct message *pong)
{
	struct stat st;
	(void)self;
	assert_int_equal(fstatat(dir.fd, "store", &st, 0), 0);
	pong->dev = st.st_dev;
	pong->ino = st.st_ino;
	pong->text = span_str("store");
}

_Noreturn static void serve(uint64_t incarnation)
{
	static const struct ctl_hooks hooks = {.request = on_request, .describe = on_describe};
	struct stage_self selves[] = {{STAGE_INGESTD, incarnation, 1}, {STAGE_COMMITD, 8, 1}};
	struct ctl *ctls[2];
	struct loop *loop;

	(void)alarm(GUARD_S);
	assert_int_equal(loop_new(&loop), 0);
	loop_timer_init(&slow.end, loop, on_slow_end, NULL);
	for (size_t i = 0; i < LEN(ctls); i++) {
		const struct ctl_env env = {.loop = loop,
					    .runtime_dir = dir.path,
					    .identity = &selves[i],
					    .refused = COUNT_REFUSED_INGEST_CTL,
					    .hooks = &hooks,
					    .self = &ctls[i]};
		assert_int_equal(ctl_new(&env, &ctls[i], NULL), 0);
	}
	loop_run(loop);
	_exit(0);
}

static pid_t stage_start(uint64_t incarnation)
{
	pid_t pid = fork();
	if (pid == 0)
		serve(incarnation);
	return pid;
}

static void stage_kill(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Of a stage that serves this directory's store. */
static struct client *client_begin(void)
{
	static char path[FILE_PATH_SIZE]; /* which the client borrows */
	const struct client_options how = {
	    .runtime_dir = dir.path, .store = unit_path(&dir, "store", path), .patience_ms = CLIENT_PATIENCE_MS};
	struct client *c = NULL;
	struct reason why = {""};

	assert_int_equal(client_open(&how, &c, &why), 0);
	return c;
}

static void test_stage_of_another_store(void **state)
{
	char path[FILE_PATH_SIZE];
	struct client *c = NULL;
	struct reason why = {""};
	(void)state;
	assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
	pid_t stage = stage_start(7);
	struct client_options how = {
	    .runtime_dir = dir.path, .store = unit_path(&dir, "store", path), .patience_ms = CLIENT_PATIENCE_MS};
	assert_int_equal(client_open(&how, &c, &why), 0);
	const struct message get = {.type = MSG_GET, .ref = span_str("r"), .source = span_str("http://x/")};
	struct message m;
	bool changed = true;
	assert_int_equal(client_ask(c, STAGE_INGESTD, &get, &m, &why), 0);
	assert_int_equal(m.type, MSG_RECORD);
	while (client_event(c, 100, &m))
		continue;
	/* Only events of the requested ref. */
	assert_int_equal(client_ask(c, STAGE_INGESTD, &get, &m, &why), 0);
	assert_true(client_event(c, GUARD_S * 1000, &m));
	assert_true(span_eq(m.ref, span_str("r")));
	assert_false(client_event(c, 0, &m));
	assert_int_equal(client_check_incarnation(c, &changed, &why), 0);
	assert_false(changed);
	client_close(c);
	how.store = "/somewhere/else";
	assert_int_equal(client_open(&how, &c, &why), EX_CONFIG);
	assert_non_null(strstr(why.text, "/somewhere/else"));
	stage_kill(stage);
}

/* A waiting client is told at once that its stage is gone, and receives events of the next one without a request. */
static void test_restarted_stage(void **state)
{
	const struct message get = {.type = MSG_GET, .ref = span_str("r"), .source = span_str("http://x/")};
	const struct message status = {.type = MSG_STATUS, .ref = span_str("r")};
	struct reason why = {""};
	struct message m;
	bool changed = false;
	(void)state;
	assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
	pid_t stage = stage_start(7);
	struct client *c = client_begin();
	assert_int_equal(client_ask(c, STAGE_INGESTD, &get, &m, &why), 0);
	assert_true(client_event(c, GUARD_S * 1000, &m));
	assert_false(client_missed(c));
	stage_kill(stage);
	assert_false(client_event(c, GUARD_S * 1000, &m));
	assert_true(client_missed(c));
	assert_false(client_missed(c));
	stage = stage_start(9);
	assert_int_equal(client_check_incarnation(c, &changed, &why), 0);
	assert_true(changed);
	assert_true(client_missed(c)); /* between the two connections */
	assert_int_equal(client_ask(c, STAGE_INGESTD, &status, &m, &why), 0);
	assert_true(client_event(c, GUARD_S * 1000, &m));
	assert_true(span_eq(m.ref, span_str("r")));
	assert_false(client_missed(c));
	client_close(c);
	stage_kill(stage);
}

/* It is asked once: a second request would only add to its work. */
static void test_slow_stage(void **state)
{
	const struct message status = {.type = MSG_STATUS, .ref = span_str("slow")};
	struct reason why = {""};
	struct message m;
	(void)state;
	assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
	pid_t stage = stage_start(7);
	struct client *c = client_begin();
	assert_int_equal(client_ask(c, STAGE_INGESTD, &status, &m, &why), 0);
	assert_int_equal(m.size, 1);
	client_close(c);
	stage_kill(stage);
}

static void test_nobody_answers(void **state)
{
	struct client *c;
	struct reason why = {""};
	(void)state;
	const struct client_options how = {.runtime_dir = dir.path, .store = dir.path, .patience_ms = 300};
	assert_int_equal(client_open(&how, &c, &why), EX_TEMPFAIL);
	assert_non_null(strstr(why.text, "ingestd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_stage_of_another_store, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_restarted_stage, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_slow_stage, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_nobody_answers, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("sluice client", tests, NULL, NULL);
}
