/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the service manager: over paths and abstract names, escaped, and from the daemon skeleton at each step.
 */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

/* The code under test */
#include "common/base/daemon.h"
#include "common/base/notify.h"
#include "common/base/process.h"

#define WAIT_MS 10000

static struct unit_dir dir;
static int manager; /* the socket that NOTIFY_SOCKET names */

/* Listen like the manager; `abstract` means without a file. */
static void listen_at(bool abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char path[FILE_PATH_SIZE];
	int len = snprintf(path, sizeof(path), "%s%s/notify", abstract ? "@" : "", dir.path);
	assert_true(len > 0 && (size_t)len < sizeof(a.sun_path));
	memcpy(a.sun_path, path, (size_t)len);
	if (abstract)
		a.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(manager >= 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len + (abstract ? 0 : 1));
	assert_int_equal(bind(manager, (const struct sockaddr *)&a, size), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
}

static int setup(void **state)
{
	(void)state;
	unit_dir_make(&dir);
	listen_at(false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	(void)close(manager);
	unit_dir_remove(&dir);
	return 0;
}

/* The next datagram, or "" when there is none. */
static const char *heard(int wait_ms)
{
	static char text[4096];
	struct pollfd waits = {.fd = manager, .events = POLLIN};
	ssize_t n = poll(&waits, 1, wait_ms) == 1 ? recv(manager, text, sizeof(text) - 1, 0) : 0;
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void test_path(void **state)
{
	(void)state;
	assert_int_equal(notify_send(NOTIFY_READY "\nSTATUS=x"), 0);
	assert_string_equal(heard(0), "READY=1\nSTATUS=x");
}

static void test_abstract(void **state)
{
	(void)state;
	assert_int_equal(close(manager), 0);
	listen_at(true);
	assert_int_equal(notify_send(NOTIFY_STOPPING), 0);
	assert_string_equal(heard(0), "STOPPING=1");
}

static void test_status_is_one_line(void **state)
{
	char longest[2 * NOTIFY_STATUS_MAX];
	(void)state;
	assert_int_equal(notify_status("%d of %s", 3, "a\nREADY=1"), 0);
	assert_string_equal(heard(0), "STATUS=3 of a\\x0aREADY=1");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(notify_status("%s", longest), 0);
	assert_int_equal(strlen(heard(0)), strlen("STATUS=") + NOTIFY_STATUS_MAX - 1);
}

static void test_reloading(void **state)
{
	uint64_t usec = 0;
	struct timespec now;
	(void)state;
	assert_int_equal(notify_reloading(), 0);
	assert_int_equal(sscanf(heard(0), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &usec), 1);
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	assert_true(usec <= now_us && now_us - usec < UINT64_C(60) * 1000000);
}

static void test_nobody_listens(void **state)
{
	static const struct {
		const char *path;
		int want;
	} rows[] = {
	    {"", 0}, {"relative", -EINVAL}, {"/", -EINVAL}, {"@", -EINVAL}, {"/nowhere/notify", -ENOENT},
	};
	char longest[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		assert_int_equal(setenv("NOTIFY_SOCKET", rows[i].path, 1), 0);
		assert_int_equal(notify_send(NOTIFY_READY), rows[i].want);
	}
	memset(longest, '/', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(setenv("NOTIFY_SOCKET", longest, 1), 0);
	assert_int_equal(notify_send(NOTIFY_READY), -EINVAL);
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(notify_send(NOTIFY_READY), 0);
	assert_string_equal(heard(0), "");
}

/* A manager that does not read must not delay us. */
static void test_manager_is_behind(void **state)
{
	int r = 0;
	(void)state;
	for (int i = 0; i < 100000 && r == 0; i++)
		r = notify_send(NOTIFY_WATCHDOG);
	assert_int_equal(r, -EAGAIN);
}

static void test_watchdog(void **state)
{
	static const struct {
		const char *usec;
		int pid; /* added to our pid; -1: not set */
		uint64_t want;
	} rows[] = {
	    {NULL, 0, 0}, {"30000000", 0, 30000000}, {"30000000", -1, 30000000}, {"30000000", 1, 0}, {"x", 0, 0},
	    {"", 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char pid[16];
		(void)snprintf(pid, sizeof(pid), "%d", (int)getpid() + rows[i].pid);
		(void)unsetenv("WATCHDOG_USEC");
		if (rows[i].usec)
			assert_int_equal(setenv("WATCHDOG_USEC", rows[i].usec, 1), 0);
		assert_int_equal(rows[i].pid < 0 ? unsetenv("WATCHDOG_PID") : setenv("WATCHDOG_PID", pid, 1), 0);
		assert_int_equal(notify_watchdog_us(), rows[i].want);
	}
}

/* ── the daemon skeleton ── */

static struct loop *the_loop;
static int start_code;

static int on_start(void *self, struct loop *loop)
{
	(void)self;
	the_loop = loop;
	return start_code;
}

static void on_reload(void *self)
{
	(void)self;
	(void)notify_status("read");
}

static void on_stop(void *self)
{
	(void)self;
	daemon_end(the_loop);
}

static void on_release(void *self)
{
	(void)self;
}

static void on_describe(void *self, struct reason *ret_text)
{
	(void)self;
	reason_set(ret_text, "alive and %s", "well");
}

static pid_t daemon_start(int code)
{
	static const struct daemon_hooks hooks = {on_start, on_reload, on_stop, on_release, on_describe};
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		start_code = code;
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		process_init("subject");
		_exit(daemon_run(&hooks, NULL));
	}
	return pid;
}

static void expect_exit(pid_t pid, int code)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
	assert_string_equal(heard(0), "");
}

static void test_daemon_tells_each_step(void **state)
{
	(void)state;
	pid_t pid = daemon_start(0);
	assert_string_equal(heard(WAIT_MS), "READY=1\nSTATUS=serving");
	assert_int_equal(kill(pid, SIGHUP), 0);
	assert_non_null(strstr(heard(WAIT_MS), "RELOADING=1\n"));
	assert_string_equal(heard(WAIT_MS), "STATUS=read");
	assert_string_equal(heard(WAIT_MS), "READY=1");
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_string_equal(heard(WAIT_MS), "STOPPING=1\nSTATUS=stopping");
	expect_exit(pid, 0);
}

static void test_failed_start_is_not_ready(void **state)
{
	(void)state;
	expect_exit(daemon_start(69), 69);
}

/* The watchdog is fed while the loop turns, and not while it hangs. */
static void test_daemon_is_alive(void **state)
{
	(void)state;
	assert_int_equal(setenv("WATCHDOG_USEC", "40000", 1), 0);
	pid_t pid = daemon_start(0);
	assert_string_equal(heard(WAIT_MS), "READY=1\nSTATUS=serving");
	for (int i = 0; i < 5; i++) {
		assert_string_equal(heard(WAIT_MS), "STATUS=alive and well");
		assert_string_equal(heard(WAIT_MS), "WATCHDOG=1");
	}
	int status;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	while (heard(0)[0] != '\0')
		continue;
	assert_string_equal(heard(200), "");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_path, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_abstract, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_status_is_one_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reloading, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_manager_is_behind, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_daemon_tells_each_step, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failed_start_is_not_ready, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_daemon_is_alive, setup, teardown),
	};
	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
