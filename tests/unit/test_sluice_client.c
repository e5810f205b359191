/*
 * Whom a command takes for its stages. They are played by a child process, which is forked while no socket is open,
 * since nanomsg's thread does not survive that.
 */

/* Own */
#include "tests/unit/unit_dir.h"

/* System */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>

/* The code under test */
#include "sluice/run/client.h"

#define GUARD_S 20

static void answer_ping(struct pipe *p)
{
	struct stat st;
	struct message m;

	if (pipe_receive(p, &m, NULL) < 0)
		return;
	assert_int_equal(m.type, MSG_PING);
	assert_int_equal(fstatat(dir.fd, "store", &st, 0), 0);
	const struct message pong = {
	    .type = MSG_PONG,
	    .incarnation = 7,
	    .version = span_str("1"),
	    .text = span_str("store"),
	    .dev = st.st_dev,
	    .ino = st.st_ino,
	};
	assert_int_equal(pipe_send(p, &pong), 0);
}

_Noreturn static void serve(void)
{
	struct pipe *ingest, *commit;

	(void)alarm(GUARD_S);
	assert_int_equal(pipe_open(dir.path, PIPE_INGEST_CTL, PIPE_REPLY, &ingest), 0);
	assert_int_equal(pipe_open(dir.path, PIPE_COMMIT_CTL, PIPE_REPLY, &commit), 0);
	for (;;) {
		struct pollfd fds[] = {{.fd = pipe_receive_fd(ingest), .events = POLLIN},
				       {.fd = pipe_receive_fd(commit), .events = POLLIN}};
		(void)poll(fds, LEN(fds), -1);
		if (fds[0].revents)
			answer_ping(ingest);
		if (fds[1].revents)
			answer_ping(commit);
	}
}

static void test_whose_store(void **state)
{
	char path[FILE_PATH_SIZE];
	struct client *c = NULL;
	struct reason why = {""};
	(void)state;
	assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
	pid_t stage = fork();
	if (stage == 0)
		serve();
	struct client_options how = {
	    .runtime_dir = dir.path, .store = unit_path(&dir, "store", path), .patience_ms = CLIENT_PATIENCE_MS};
	assert_int_equal(client_open(&how, &c, &why), 0);
	client_close(c);
	how.store = "/somewhere/else";
	assert_int_equal(client_open(&how, &c, &why), EX_CONFIG);
	assert_non_null(strstr(why.text, "/somewhere/else"));
	assert_int_equal(kill(stage, SIGKILL), 0);
	assert_int_equal(waitpid(stage, NULL, 0), stage);
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
	    cmocka_unit_test_setup_teardown(test_whose_store, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_nobody_answers, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("sluice client", tests, NULL, NULL);
}
