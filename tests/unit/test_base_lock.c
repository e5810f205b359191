/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: who holds them, and what happens when the holder dies or unlinks the file. */

/* Own */
#include "tests/unit/unit_dir.h"
#include "tests/unit/unit_flock.h"

/* System */
#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>

/* The code under test */
#include "common/base/cleanup.h"
#include "common/base/exit.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/lock.h"

#define ROUNDS 300
#define RACERS 4

/* Start a child that holds the lock until it is killed. Returns when it has the lock. */
static pid_t holder_start(enum lock_mode mode)
{
	int ends[2];
	char byte = 0;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd;
		byte = lock_take_at(dir.fd, "lock", mode, "holder", &fd, NULL) == 0;
		(void)!write(ends[1], &byte, 1);
		(void)pause();
		_exit(0);
	}
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	(void)close(ends[0]);
	assert_int_equal(byte, 1);
	return pid;
}

static void holder_kill(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_modes(void **state)
{
	static const struct {
		enum lock_mode held, asked;
		int want;
	} rows[] = {
	    {LOCK_EXCLUSIVE, LOCK_EXCLUSIVE, -EWOULDBLOCK}, {LOCK_EXCLUSIVE, LOCK_SHARED, -EWOULDBLOCK},
	    {LOCK_SHARED, LOCK_EXCLUSIVE, -EWOULDBLOCK},    {LOCK_SHARED, LOCK_SHARED, 0},
	    {LOCK_EXCLUSIVE, LOCK_SERVE, -EWOULDBLOCK},     {LOCK_SERVE, LOCK_SHARED, -EWOULDBLOCK},
	    {LOCK_SERVE, LOCK_SERVE, -EWOULDBLOCK},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_FD fd = -1;
		AUTO_FD later = -1;
		pid_t pid = holder_start(rows[i].held);
		assert_int_equal(lock_take_at(dir.fd, "lock", rows[i].asked, "asker", &fd, NULL), rows[i].want);
		assert_int_equal(fd >= 0, rows[i].want == 0);
		fd = close_fd(fd);
		holder_kill(pid);
		assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "asker", &later, NULL), 0);
	}
}

static void test_holder_is_named(void **state)
{
	(void)state;
	char want[64];
	struct reason holder;
	int fd = -1;
	pid_t pid = holder_start(LOCK_EXCLUSIVE);
	assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "asker", &fd, &holder), -EWOULDBLOCK);
	(void)snprintf(want, sizeof(want), "holder %d since 20", (int)pid);
	assert_memory_equal(holder.text, want, strlen(want));
	assert_int_equal(holder.text[strlen(holder.text) - 1], 'Z');
	holder_kill(pid);
}

/* The content of the file is not trusted. */
static void test_strange_content(void **state)
{
	(void)state;
	struct reason holder;
	int none = -1;
	AUTO_FD fd = -1;
	assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "a", &fd, NULL), 0);
	unit_write_text(&dir, "lock", "a\x1b[31m 1\nsecond line\n");
	assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "b", &none, &holder), -EWOULDBLOCK);
	assert_string_equal(holder.text, "a\\x1b[31m 1");
	static const char *const silent[] = {"", "no end", "\nb 1 since 2026\n"};
	for (size_t i = 0; i < LEN(silent); i++) {
		unit_write_text(&dir, "lock", silent[i]);
		assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "b", &none, &holder), -EWOULDBLOCK);
		assert_string_equal(holder.text, "another process");
	}
}

static void test_longer_text_is_replaced(void **state)
{
	(void)state;
	char text[256] = "";
	AUTO_FD fd = -1;
	unit_write_text(&dir, "lock", "a-very-long-program-name 1234567890 since 2026-01-31T12:34:56Z and more\n");
	assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "b", &fd, NULL), 0);
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
}

static void test_refused(void **state)
{
	(void)state;
	int none = -1;
	unit_write_text(&dir, "victim", "victim");
	assert_int_equal(symlinkat("victim", dir.fd, "lock"), 0);
	assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "a", &none, NULL), -ELOOP);
	assert_int_equal(linkat(dir.fd, "victim", dir.fd, "hard", 0), 0);
	assert_int_equal(lock_take_at(dir.fd, "hard", LOCK_EXCLUSIVE, "a", &none, NULL), -EINVAL);
	assert_int_equal(none, -1);
	unit_assert_content(&dir, "victim", "victim");
}

/* The directory is gone: an error, not an endless loop. */
static void test_no_directory(void **state)
{
	(void)state;
	int none = -1;
	assert_int_equal(mkdirat(dir.fd, "sub", 0755), 0);
	AUTO_FD sub = openat(dir.fd, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(unlinkat(dir.fd, "sub", AT_REMOVEDIR), 0);
	assert_int_equal(lock_take_at(sub, "lock", LOCK_EXCLUSIVE, "a", &none, NULL), -ENOENT);
}

/* The lock of an unlinked file protects nothing, so a waiter must take the new file's. */
static void test_wait_through_an_unlink(void **state)
{
	(void)state;
	AUTO_FD fd = -1;
	int status, ends[2];
	char byte;
	assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_EXCLUSIVE, "a", &fd, NULL), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct stat ours, named;
		int mine;
		(void)close(fd);
		flock_tells = ends[1];
		int r = lock_wait_at(dir.fd, "lock", LOCK_EXCLUSIVE, "b", &mine);
		bool same = r == 0 && fstat(mine, &ours) == 0 && fstatat(dir.fd, "lock", &named, 0) == 0 &&
			    ours.st_ino == named.st_ino;
		_exit(same ? 0 : 1);
	}
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1); /* it has the old file open */
	assert_int_equal(unlinkat(dir.fd, "lock", 0), 0);
	fd = close_fd(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(ends[0]);
}

/* The rounds of one process: lock, check that nobody else is inside, unlink, unlock. Exit code 0: never two inside. */
static int race(const char *inside)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd;
		if (lock_wait_at(dir.fd, "lock", LOCK_EXCLUSIVE, "racer", &fd) < 0)
			return 2;
		int in = openat(dir.fd, inside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (in < 0)
			return 1;
		(void)close(in);
		(void)unlinkat(dir.fd, inside, 0);
		(void)unlinkat(dir.fd, "lock", 0);
		(void)close(fd);
	}
	return 0;
}

static void test_race_of_unlinkers(void **state)
{
	(void)state;
	pid_t pids[RACERS];
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(race("inside"));
	}
	for (int i = 0; i < RACERS; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void test_is_held(void **state)
{
	static const struct {
		enum lock_mode held;
		bool want;
	} rows[] = {{LOCK_SHARED, false}, {LOCK_EXCLUSIVE, true}, {LOCK_SERVE, true}};
	(void)state;
	assert_false(lock_is_held_at(dir.fd, "lock"));
	for (size_t i = 0; i < LEN(rows); i++) {
		pid_t pid = holder_start(rows[i].held);
		assert_int_equal(lock_is_held_at(dir.fd, "lock"), rows[i].want);
		holder_kill(pid);
		assert_false(lock_is_held_at(dir.fd, "lock"));
	}
}

/* A daemon that starts while a command checks its lock serves after the check. */
static void test_check_does_not_stop_a_start(void **state)
{
	AUTO_FD fd = -1;
	int status, ends[2];
	(void)state;
	pid_t looker = holder_start(LOCK_SHARED);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t end = fork();
	assert_true(end >= 0);
	if (end == 0) {
		char byte;
		(void)close(ends[1]);
		bool refused = read(ends[0], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1; /* it tries again */
		_exit(refused ? kill(looker, SIGKILL) : 1);
	}
	flock_tells = ends[1];
	assert_int_equal(lock_take_at(dir.fd, "lock", LOCK_SERVE, "test", &fd, NULL), 0);
	flock_tells = 0;
	(void)close(ends[1]);
	assert_int_equal(waitpid(end, &status, 0), end);
	assert_int_equal(status, 0);
	(void)close(ends[0]);
	assert_int_equal(waitpid(looker, NULL, 0), looker);
}

/* If flock(2) does nothing or is not supported, no lock is trusted. */
static void test_unsupported_locks(void **state)
{
	static const struct {
		bool lies;
		int error, want;
	} rows[] = {
	    {false, 0, 0},      {true, 0, -EOPNOTSUPP}, {false, ENOSYS, -EOPNOTSUPP}, {false, ENOLCK, -EOPNOTSUPP},
	    {false, EIO, -EIO},
	};
	(void)state;
	unit_write_text(&dir, "file", "text");
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_FD exclusive = -1, serving = -1, waited = -1, shared = -1;
		flock_lies = rows[i].lies;
		flock_error = rows[i].error;
		assert_int_equal(lock_take_at(dir.fd, "a", LOCK_EXCLUSIVE, "test", &exclusive, NULL), rows[i].want);
		assert_int_equal(lock_take_at(dir.fd, "b", LOCK_SERVE, "test", &serving, NULL), rows[i].want);
		assert_int_equal(lock_wait_at(dir.fd, "c", LOCK_EXCLUSIVE, "test", &waited), rows[i].want);
		assert_int_equal(lock_take_at(dir.fd, "d", LOCK_SHARED, "test", &shared, NULL), rows[i].want);
		assert_int_equal(lock_works_at(dir.fd, "file"), rows[i].want);
		flock_lies = false;
		flock_error = 0;
	}
	assert_int_equal(exit_code_of(-EOPNOTSUPP), EX_CONFIG);
}

/* A lock file of an earlier version that others could open, and lock, is closed to them. */
static void test_closed_to_others(void **state)
{
	AUTO_FD fd = -1;
	struct stat st;
	(void)state;
	unit_write_text(&dir, "wide", "");
	assert_int_equal(fs_fchmodat(dir.fd, "wide", 0644, 0), 0);
	assert_int_equal(lock_take_at(dir.fd, "wide", LOCK_EXCLUSIVE, "test", &fd, NULL), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_modes, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_holder_is_named, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_strange_content, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_longer_text_is_replaced, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_refused, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_no_directory, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_wait_through_an_unlink, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_is_held, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_check_does_not_stop_a_start, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_race_of_unlinkers, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_unsupported_locks, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_closed_to_others, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
