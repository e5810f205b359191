/* SPDX-License-Identifier: Apache-2.0 */
/* The stages' directories: one instance of each stage, private directories, and how a stage is found. */

/* Own */
#include "tests/unit/unit_dir.h"

/* System */
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Base */
#include "common/base/process.h"
#include "common/base/version.h"

/* The code under test */
#include "common/wire/stage.h"
#include "common/wire/stage_run.h"

#define NOBODY 65534

static void assert_mode(const char *name, mode_t want)
{
	struct stat st;
	assert_int_equal(fstatat(dir.fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	if ((st.st_mode & 07777) != want)
		fail_msg("'%s' has mode %04o, not %04o", name, (unsigned)st.st_mode & 07777, (unsigned)want);
}

static void test_claim(void **state)
{
	char path[FILE_PATH_SIZE];
	struct reason why, holder;
	int fd = -1, other = -1;
	(void)state;
	assert_int_equal(stage_claim(unit_path(&dir, "run", path), STAGE_INGESTD, &fd, &why), 0);
	assert_mode("run", 0750);
	assert_mode("run/ingestd", 0700);
	assert_mode("run/fetch", 0700);
	assert_mode("run/ingestd/lock", 0600);
	assert_mode("run/ingestd/holder", 0644);
	assert_false(unit_exists(&dir, "run/seal") || unit_exists(&dir, "run/commitd"));
	assert_int_equal(stage_claim(path, STAGE_INGESTD, &other, &why), -EWOULDBLOCK);
	assert_non_null(strstr(why.text, "run/ingestd/lock' is held by ingestd "));
	assert_int_equal(other, -1);
	int run = openat(dir.fd, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stage_holder(run, STAGE_INGESTD, &holder);
	assert_true(strncmp(holder.text, "ingestd ", 8) == 0 && strstr(holder.text, " since 20"));
	stage_holder(run, STAGE_FETCHD, &holder);
	assert_string_equal(holder.text, "another process");
	assert_true(stage_runs(run, STAGE_INGESTD));
	assert_false(stage_runs(run, STAGE_FETCHD));
	assert_false(stage_runs(run, STAGE_COMMITD));
	(void)close(fd);
	assert_false(stage_runs(run, STAGE_INGESTD));
	(void)close(run);
}

/* Anybody who can write in one of these directories could replace the stage. */
static void test_wrong_directories(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
		const char *why;
	} rows[] = {
	    {".", 0770, "others can write in the runtime directory"},
	    {".", 0707, "others can write in the runtime directory"},
	    {"commitd", 0770, "/commitd' (mode 0770)"},
	    {"commitd", 0702, "/commitd' (mode 0702)"},
	    {"seal", 02770, "/seal' (mode 2770)"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why = {""};
		int fd = -1;
		assert_int_equal(stage_claim(dir.path, STAGE_COMMITD, &fd, &why), 0);
		(void)close(fd);
		assert_int_equal(fchmodat(dir.fd, rows[i].name, rows[i].mode, 0), 0);
		assert_int_equal(stage_claim(dir.path, STAGE_COMMITD, &fd, &why), -EPERM);
		if (!strstr(why.text, rows[i].why))
			fail_msg("'%s' at %04o: %s", rows[i].name, (unsigned)rows[i].mode, why.text);
		assert_int_equal(fchmodat(dir.fd, rows[i].name, 0700, 0), 0);
	}
}

static void test_directories_of_others(void **state)
{
	struct reason why = {""};
	int fd = -1;
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(dir.fd, "fetch", 0700), 0);
	assert_int_equal(fchownat(dir.fd, "fetch", NOBODY, NOBODY, 0), 0);
	assert_int_equal(stage_claim(dir.path, STAGE_INGESTD, &fd, &why), -EPERM);
	assert_non_null(strstr(why.text, "/fetch' belongs to user 65534"));
	assert_int_equal(symlinkat("/tmp", dir.fd, "seal"), 0);
	assert_true(stage_claim(dir.path, STAGE_COMMITD, &fd, &why) < 0);
}

static void test_nowhere(void **state)
{
	struct reason why = {""};
	char path[RUNTIME_DIR_MAX + 2];
	int fd;
	(void)state;
	assert_int_equal(stage_claim("/no/such/place", STAGE_FETCHD, &fd, &why), -ENOENT);
	memset(path, 'r', sizeof(path));
	path[0] = '/';
	path[RUNTIME_DIR_MAX + 1] = '\0';
	assert_int_equal(stage_claim(path, STAGE_FETCHD, &fd, &why), -ENAMETOOLONG);
}

/* The longest runtime directory has room for every socket. */
static void test_longest(void **state)
{
	char path[RUNTIME_DIR_MAX + 1];
	struct sockaddr_un address;
	(void)state;
	memset(path, 'r', sizeof(path));
	path[RUNTIME_DIR_MAX] = '\0';
	assert_int_equal(stage_ctl_address(path, STAGE_INGESTD, &address), 0);
	assert_int_equal(stage_ctl_address(path, STAGE_COMMITD, &address), 0);
	assert_true(sizeof(address.sun_path) > RUNTIME_DIR_MAX + strlen("/" STAGE_SEAL_DIR "/receipts"));
}

static void test_left_over_and_sweep(void **state)
{
	struct reason name = {""};
	int fd;
	(void)state;
	assert_false(stage_left_over(dir.fd, STAGE_COMMITD, &name));
	assert_int_equal(stage_claim(dir.path, STAGE_COMMITD, &fd, NULL), 0);
	unit_write_text(&dir, "seal/receipts", "");
	unit_write_text(&dir, "commitd/ctl", "");
	assert_false(stage_left_over(dir.fd, STAGE_COMMITD, &name)); /* it is running */
	stage_sweep(dir.fd, STAGE_COMMITD);
	assert_true(unit_exists(&dir, "seal/receipts") && unit_exists(&dir, "commitd/lock"));
	(void)close(fd);
	assert_true(stage_left_over(dir.fd, STAGE_COMMITD, &name));
	assert_string_equal(name.text, "commitd/ctl");
	stage_sweep(dir.fd, STAGE_COMMITD);
	assert_int_equal(unit_count(&dir), 0);
}

/* A stage replaces what lies in place of a socket, but not a directory; nor anything in place of its lock or directories. */
static void test_obstacles(void **state)
{
	static const struct {
		const char *name, *seen;
		bool is_dir;
	} rows[] = {
	    {"commitd/ctl", "commitd/ctl", true},
	    {"commitd/ctl", NULL, false},
	    {"seal/seals", "seal/seals", true},
	    {"seal/seals", NULL, false},
	    {"commitd/lock", "commitd/lock", true},
	    {"commitd", "commitd", false},
	    {"seal", "seal", false},
	    {"seal/other", NULL, true},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason name = {""};
		char path[FILE_PATH_SIZE];
		int fd;
		assert_int_equal(stage_claim(dir.path, STAGE_COMMITD, &fd, NULL), 0);
		assert_false(stage_obstacle(dir.fd, STAGE_COMMITD, &name));
		(void)close(fd);
		stage_sweep(dir.fd, STAGE_COMMITD);
		assert_int_equal(unit_count(&dir), 0);
		if (strchr(rows[i].name, '/')) {
			assert_int_equal(mkdirat(dir.fd, "commitd", 0700), 0);
			assert_int_equal(mkdirat(dir.fd, "seal", 0700), 0);
		}
		if (rows[i].is_dir)
			assert_int_equal(mkdir(unit_path(&dir, rows[i].name, path), 0700), 0);
		else
			unit_write_text(&dir, rows[i].name, "");
		assert_int_equal(stage_obstacle(dir.fd, STAGE_COMMITD, &name), rows[i].seen != NULL);
		assert_string_equal(name.text, rows[i].seen ? rows[i].seen : "");
		if (rows[i].is_dir)
			assert_false(stage_left_over(dir.fd, STAGE_COMMITD, &name));
		unit_dir_tear_down(state);
		unit_dir_set_up(state);
	}
}

/* If its lock is not accessible, fetchd is found by its holder file, and the others by a connection. */
static void test_runs_without_the_lock(void **state)
{
	struct sockaddr_un address;
	int status;
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(fchmodat(dir.fd, ".", 0755, 0), 0);
	assert_int_equal(mkdirat(dir.fd, "fetchd", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "ingestd", 0755), 0);
	unit_write_text(&dir, "fetchd/lock", "");
	unit_write_text(&dir, "ingestd/lock", "");
	assert_int_equal(fchmodat(dir.fd, "fetchd/lock", 0600, 0), 0);
	assert_int_equal(fchmodat(dir.fd, "ingestd/lock", 0600, 0), 0);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(stage_ctl_address(dir.path, STAGE_INGESTD, &address), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fchmodat(dir.fd, "ingestd/ctl", 0666, 0), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (setuid(NOBODY) < 0)
			_exit(9);
		bool wrong = stage_runs(dir.fd, STAGE_INGESTD) || stage_runs(dir.fd, STAGE_FETCHD);
		(void)listen(fd, 1);
		wrong = wrong || !stage_runs(dir.fd, STAGE_INGESTD);
		_exit(wrong ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	char note[64];
	(void)snprintf(note, sizeof(note), "fetchd %d since 2026-01-31T12:34:56Z\n", (int)getpid());
	unit_write_text(&dir, "fetchd/holder", note);
	pid = fork();
	if (pid == 0)
		_exit(setuid(NOBODY) == 0 && stage_runs(dir.fd, STAGE_FETCHD) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(fd);
}

static void test_self(void **state)
{
	struct stage_self one, two;
	(void)state;
	stage_self_init(&one, STAGE_COMMITD);
	stage_self_init(&two, STAGE_COMMITD);
	assert_int_not_equal(one.incarnation, 0);
	assert_int_not_equal(one.incarnation, two.incarnation);
	assert_string_equal(stage_name(one.stage), "commitd");
}

static void test_talk(void **state)
{
	static const struct {
		uint8_t protocol, lowest, highest;
		enum stage_talk want;
		const char *words;
	} rows[] = {
	    {WIRE_VERSION, WIRE_TALK_MIN, WIRE_VERSION, TALK_SAME, NULL},
	    {9, WIRE_VERSION, 9, TALK_NEIGHBOUR, "it 1.0 speaks protocol 2 to 9, we " SLUICE_VERSION " speaks 2"},
	    {9, 1, 9, TALK_NEIGHBOUR, "it 1.0 speaks protocol 1 to 9"},
	    {9, WIRE_VERSION + 1, 9, TALK_OTHER, "it 1.0 speaks protocol 3 to 9"},
	    {1, 1, 1, TALK_OTHER, "it 1.0 speaks protocol 1, we"},
	    {1, 0, 0, TALK_OTHER, "it 1.0 speaks protocol 1,"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason words = {""};
		const struct message m = {.type = MSG_PING,
					  .protocol = rows[i].protocol,
					  .lowest = rows[i].lowest,
					  .highest = rows[i].highest,
					  .version = span_str("1.0")};
		assert_int_equal(stage_talk_of(&m, "it", "we", &words), rows[i].want);
		if (rows[i].words && !strstr(words.text, rows[i].words))
			fail_msg("row %zu: %s", i, words.text);
	}
}

/* Of what both understand, the highest. */
static void test_version_for(void **state)
{
	(void)state;
	for (uint8_t highest = WIRE_TALK_MIN; highest < WIRE_VERSION + 3; highest++) {
		const struct message m = {.type = MSG_HELLO, .lowest = WIRE_TALK_MIN, .highest = highest};
		assert_int_equal(stage_version_for(&m), highest < WIRE_VERSION ? highest : WIRE_VERSION);
	}
}

/* ── as a daemon ── */

static int on_start(void *self, struct loop *loop)
{
	(void)loop;
	(void)!write(*(const int *)self, "S", 1);
	return 0;
}

static void on_stop(void *self)
{
	(void)self;
	_exit(0);
}

static void on_release(void *self)
{
	(void)self;
}

static pid_t daemon_start(int *ret_fd)
{
	static const struct daemon_hooks hooks = {.start = on_start, .stop = on_stop, .release = on_release};
	char path[FILE_PATH_SIZE];
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		process_init("fetchd");
		_exit(stage_run(STAGE_FETCHD, unit_path(&dir, "run", path), &hooks, &ends[1]));
	}
	(void)close(ends[1]);
	*ret_fd = ends[0];
	return pid;
}

static void test_one_instance(void **state)
{
	char letter;
	int first_fd, fd, status;
	(void)state;
	pid_t first = daemon_start(&first_fd);
	assert_int_equal(read(first_fd, &letter, 1), 1);
	pid_t second = daemon_start(&fd);
	assert_int_equal(read(fd, &letter, 1), 0);
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 75);
	(void)close(fd);
	assert_int_equal(kill(first, SIGKILL), 0);
	assert_int_equal(waitpid(first, NULL, 0), first);
	pid_t third = daemon_start(&fd);
	assert_int_equal(read(fd, &letter, 1), 1);
	assert_int_equal(kill(third, SIGTERM), 0);
	assert_int_equal(waitpid(third, &status, 0), third);
	assert_int_equal(status, 0);
	(void)close(fd);
	(void)close(first_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_claim, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_wrong_directories, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_directories_of_others, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test(test_nowhere),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test_setup_teardown(test_left_over_and_sweep, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_obstacles, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_runs_without_the_lock, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test(test_self),
	    cmocka_unit_test(test_talk),
	    cmocka_unit_test(test_version_for),
	    cmocka_unit_test_setup_teardown(test_one_instance, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
