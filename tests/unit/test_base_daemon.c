/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon skeleton: signals and exit codes; and the runtime directory. */

/* Own */
#include "tests/unit/unit_dir.h"

/* System */
#include <signal.h>
#include <sys/wait.h>

/* The code under test */
#include "common/base/daemon.h"
#include "common/base/exit.h"
#include "common/base/process.h"

#define NOBODY 65534

/* A daemon that writes a letter into a pipe for each event. */
struct subject {
	struct loop *loop;
	int out;
	int start_code;
	bool slow; /* stopping does not end it */
};

static void note(const struct subject *s, char letter)
{
	(void)!write(s->out, &letter, 1);
}

static int on_start(void *self, struct loop *loop)
{
	struct subject *s = self;
	s->loop = loop;
	note(s, 'S');
	return s->start_code;
}

static void on_reload(void *self)
{
	note(self, 'H');
}

static void on_stop(void *self)
{
	const struct subject *s = self;
	note(s, 'T');
	if (!s->slow)
		daemon_end(s->loop);
}

static void on_release(void *self)
{
	note(self, 'R');
}

static const struct daemon_hooks hooks = {
    .start = on_start, .reload = on_reload, .stop = on_stop, .release = on_release};

struct child {
	pid_t pid;
	int notes;
};

static struct child child_start(int start_code, bool slow)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct subject s = {.out = ends[1], .start_code = start_code, .slow = slow};
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		process_init("subject");
		_exit(daemon_run(&hooks, &s));
	}
	(void)close(ends[1]);
	return (struct child){.pid = pid, .notes = ends[0]};
}

static void expect(const struct child *c, char letter)
{
	char have = 0;
	assert_int_equal(read(c->notes, &have, 1), 1);
	assert_int_equal(have, letter);
}

/* Assert its exit code and its letters. */
static void expect_end(const struct child *c, const char *notes, int code)
{
	char have[16] = "";
	int status;
	size_t len = 0;
	ssize_t n;
	while ((n = read(c->notes, have + len, sizeof(have) - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(c->notes);
	assert_string_equal(have, notes);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

static void test_signals(void **state)
{
	static const int rows[] = {SIGTERM, SIGINT};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct child c = child_start(0, false);
		expect(&c, 'S');
		assert_int_equal(kill(c.pid, SIGHUP), 0);
		expect(&c, 'H');
		assert_int_equal(kill(c.pid, SIGPIPE), 0);
		assert_int_equal(kill(c.pid, rows[i]), 0);
		expect_end(&c, "TR", 0);
	}
}

static void test_second_signal_ends_at_once(void **state)
{
	(void)state;
	struct child c = child_start(0, true);
	expect(&c, 'S');
	assert_int_equal(kill(c.pid, SIGTERM), 0);
	expect(&c, 'T');
	assert_int_equal(kill(c.pid, SIGHUP), 0);
	assert_int_equal(kill(c.pid, SIGTERM), 0);
	expect_end(&c, "R", 0);
}

static void test_failed_start(void **state)
{
	(void)state;
	struct child c = child_start(69, false);
	expect_end(&c, "SR", 69);
}

static void test_runtime_dir(void **state)
{
	(void)state;
	char path[FILE_PATH_SIZE];
	struct reason why;
	struct stat st;
	int fd = -1;
	assert_int_equal(runtime_dir_make(unit_path(&dir, "run", path), &fd, &why), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(close(fd), 0);
	assert_int_equal(runtime_dir_make(path, &fd, &why), 0);
	assert_int_equal(close(fd), 0);
}

static void test_runtime_dir_refused(void **state)
{
	(void)state;
	char path[FILE_PATH_SIZE];
	struct reason why;
	int fd = -1;
	assert_int_equal(runtime_dir_make(unit_path(&dir, "a/b", path), &fd, &why), -ENOENT);
	unit_write_text(&dir, "file", "");
	assert_int_equal(runtime_dir_make(unit_path(&dir, "file", path), &fd, &why), -ENOTDIR);
	assert_int_equal(mkdirat(dir.fd, "open", 0700), 0);
	static const mode_t open_modes[] = {0757, 0770, 0752};
	for (size_t i = 0; i < LEN(open_modes); i++) {
		assert_int_equal(fchmodat(dir.fd, "open", open_modes[i], 0), 0);
		assert_int_equal(runtime_dir_make(unit_path(&dir, "open", path), &fd, &why), -EPERM);
		assert_non_null(strstr(why.text, "others can write in the runtime directory"));
	}
	assert_int_equal(symlinkat("open", dir.fd, "link"), 0);
	assert_true(runtime_dir_make(unit_path(&dir, "link", path), &fd, &why) < 0);
	if (geteuid() == 0) {
		assert_int_equal(mkdirat(dir.fd, "other", 0700), 0);
		assert_int_equal(fchownat(dir.fd, "other", NOBODY, NOBODY, 0), 0);
		assert_int_equal(runtime_dir_make(unit_path(&dir, "other", path), &fd, &why), -EPERM);
		assert_non_null(strstr(why.text, "belongs to user 65534"));
	}
	assert_int_equal(fd, -1);
}

static void test_runtime_dir_length(void **state)
{
	(void)state;
	char path[RUNTIME_DIR_MAX + 2];
	struct reason why;
	int fd = -1;
	size_t len = (size_t)snprintf(path, sizeof(path), "%s/", dir.path);
	memset(path + len, 'r', sizeof(path) - len);
	path[RUNTIME_DIR_MAX] = '\0';
	assert_int_equal(runtime_dir_make(path, &fd, &why), 0);
	assert_int_equal(close(fd), 0);
	path[RUNTIME_DIR_MAX] = 'r';
	path[RUNTIME_DIR_MAX + 1] = '\0';
	assert_int_equal(runtime_dir_make(path, &fd, &why), -ENAMETOOLONG);
}

static void test_exit_codes(void **state)
{
	static const int rows[][2] = {
	    {0, 0},        {-ENOENT, 66}, {-ENOMEM, 71},       {-EMFILE, 71}, {-EROFS, 73},     {-EACCES, 73},
	    {-EEXIST, 73}, {-EIO, 74},    {-EBADF, 74},        {-ENOSPC, 75}, {-EDQUOT, 75},    {-EAGAIN, 75},
	    {-EPERM, 77},  {-EINVAL, 78}, {-ENAMETOOLONG, 78}, {-EXDEV, 78},  {-ETIMEDOUT, 75}, {-EBADMSG, 65},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		assert_int_equal(exit_code_of(rows[i][0]), rows[i][1]);
}

/*
 * If stderr is closed at start, none of our files may get its descriptor. Nothing can be read from a closed stdin, which
 * would be an empty file, nor written to a closed stdout, which would be lost.
 */
static void test_process_init_opens_the_standard_descriptors(void **state)
{
	(void)state;
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int fd = 0; fd < 3; fd++)
			(void)close(fd);
		process_init("subject");
		bool open_all = fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
		char byte = 0;
		bool fails = read(0, &byte, 1) < 0 && write(1, &byte, 1) < 0;
		_exit(!open_all ? 1 : !fails ? 2 : process_has_stdout() ? 3 : write(2, &byte, 1) == 1 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The user's umask applies, but others never get write access, and we can always use our own files. */
static void test_process_init_keeps_the_umask(void **state)
{
	static const mode_t rows[][2] = {{0, 002},   {002, 002}, {007, 007},  {022, 022},
					 {027, 027}, {077, 077}, {0777, 077}, {0700, 002}};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		int status;
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			(void)umask(rows[i][0]);
			process_init("subject");
			_exit((int)umask(0));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_signals, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_second_signal_ends_at_once, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_failed_start, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_runtime_dir, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_runtime_dir_refused, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_runtime_dir_length, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test(test_exit_codes),
	    cmocka_unit_test(test_process_init_opens_the_standard_descriptors),
	    cmocka_unit_test(test_process_init_keeps_the_umask),
	};
	return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
