/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories: what is opened or refused, and complete reads and writes. */

/* Own */
#include "tests/unit/unit_dir.h"

/* System */
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The code under test */
#include "common/base/cleanup.h"
#include "common/base/file.h"

static void socket_make(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[FILE_PATH_SIZE];
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", unit_path(&dir, name, path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(close(fd), 0);
}

/* A victim that must not change, and everything that an attacker could put at the path that we open. */
static void scene_make(void)
{
	unit_write_text(&dir, "victim", "victim");
	unit_write_text(&dir, "other", "other");
	unit_write_text(&dir, "file", "file");
	assert_int_equal(symlinkat("victim", dir.fd, "symlink"), 0);
	assert_int_equal(symlinkat("nowhere", dir.fd, "dangling"), 0);
	assert_int_equal(linkat(dir.fd, "other", dir.fd, "hardlink", 0), 0);
	assert_int_equal(mkdirat(dir.fd, "dir", 0755), 0);
	assert_int_equal(mkfifoat(dir.fd, "fifo", 0644), 0);
	socket_make("socket");
}

static void test_open(void **state)
{
	static const struct {
		const char *name;
		int read, write, make; /* O_RDONLY; O_RDWR | O_TRUNC; O_WRONLY | O_CREAT | O_TRUNC */
	} rows[] = {
	    {"symlink", -ELOOP, -ELOOP, -ELOOP},     {"dangling", -ELOOP, -ELOOP, -ELOOP},
	    {"hardlink", -EINVAL, -EINVAL, -EINVAL}, {"dir", -EINVAL, -EINVAL, -EINVAL},
	    {"fifo", -EINVAL, -EINVAL, -EINVAL},     {"socket", -EINVAL, -EINVAL, -EINVAL},
	    {"absent", -ENOENT, -ENOENT, 0},         {"file", 0, 0, 0},
	};
	(void)state;
	scene_make();
	for (size_t i = 0; i < LEN(rows); i++) {
		const int flags[] = {O_RDONLY, O_RDWR | O_TRUNC, O_WRONLY | O_CREAT | O_TRUNC};
		const int want[] = {rows[i].read, rows[i].write, rows[i].make};
		for (size_t j = 0; j < LEN(flags); j++) {
			AUTO_FD fd = -1;
			struct stat st;
			int r = file_open_at(dir.fd, rows[i].name, flags[j], 0644, &fd, &st);
			if (r != want[j] || (fd >= 0) != (r == 0))
				fail_msg("%s, %zu: %d", rows[i].name, j, r);
			if (r == 0 && j > 0)
				assert_int_equal(st.st_size, 0);
		}
	}
	unit_assert_content(&dir, "victim", "victim");
	unit_assert_content(&dir, "other", "other");
}

static void test_open_for_reading_with_links(void **state)
{
	(void)state;
	scene_make();
	AUTO_FD fd = -1;
	struct stat st;
	assert_int_equal(file_open_read_at(dir.fd, "hardlink", &fd, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	int none = -1;
	assert_int_equal(file_open_read_at(dir.fd, "symlink", &none, NULL), -ELOOP);
	assert_int_equal(file_open_read_at(dir.fd, "fifo", &none, NULL), -EINVAL);
	assert_int_equal(none, -1);
}

static void test_open_closes_on_exec(void **state)
{
	(void)state;
	unit_write_text(&dir, "file", "x");
	AUTO_FD fd = -1;
	assert_int_equal(file_open_at(dir.fd, "file", O_RDONLY, 0, &fd, NULL), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void test_dir_open(void **state)
{
	(void)state;
	scene_make();
	AUTO_FD a = -1;
	AUTO_FD b = -1;
	int none = -1;
	assert_int_equal(dir_open_at(dir.fd, "new", false, &none), -ENOENT);
	assert_int_equal(dir_open_at(dir.fd, "new", true, &a), 0);
	assert_int_equal(dir_open_at(dir.fd, "dir", true, &b), 0);
	assert_int_equal(dir_open_at(dir.fd, "file", true, &none), -ENOTDIR);
	assert_int_equal(symlinkat("dir", dir.fd, "dirlink"), 0);
	assert_true(dir_open_at(dir.fd, "dirlink", true, &none) < 0);
	assert_int_equal(none, -1);
}

static void test_write_all_counts_written_bytes(void **state)
{
	(void)state;
	static uint8_t data[8192];
	struct rlimit old, small = {.rlim_cur = 5000, .rlim_max = RLIM_INFINITY};
	AUTO_FD fd = openat(dir.fd, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	size_t written = 0;
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = file_write_all(fd, data, sizeof(data), &written);
	int at = file_pwrite_all(fd, data, sizeof(data), 100);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(written, 5000);
	assert_int_equal(at, -EFBIG);
	assert_int_equal(file_write_all(fd, data, 10, &written), 0);
	assert_int_equal(written, 10);
}

static void test_read_and_write_at(void **state)
{
	(void)state;
	AUTO_FD fd = openat(dir.fd, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char text[16] = "";
	size_t len = 99;
	assert_int_equal(file_pwrite_all(fd, "hello", 5, 3), 0);
	assert_int_equal(file_pread_full(fd, text, 5, 3, &len), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(file_pread_full(fd, text, 10, 4, &len), 0);
	assert_int_equal(len, 4);
	assert_int_equal(file_pread_full(fd, text, 10, 100, &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(file_pread_full(-1, text, 10, 0, &len), -EBADF);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
}

static void test_read_full_from_a_pipe(void **state)
{
	(void)state;
	int ends[2];
	char text[16];
	size_t len = 0;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	assert_int_equal(write(ends[1], "def", 3), 3);
	assert_int_equal(file_read_full(ends[0], text, 4, &len), 0);
	assert_int_equal(len, 4);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(file_read_full(ends[0], text, 4, &len), 0);
	assert_int_equal(len, 2);
	assert_memory_equal(text, "ef", 2);
	assert_int_equal(close(ends[0]), 0);
}

static void test_load(void **state)
{
	(void)state;
	AUTO_BUF b = BUF_INIT;
	unit_write_text(&dir, "file", "0123456789");
	assert_int_equal(buf_append_str(&b, ">"), 0);
	assert_int_equal(file_load_at(dir.fd, "file", 10, &b), 0);
	assert_string_equal(b.data, ">0123456789");
	assert_int_equal(file_load_at(dir.fd, "file", 9, &b), -EFBIG);
	assert_int_equal(file_load_at(dir.fd, "absent", 9, &b), -ENOENT);
	assert_string_equal(b.data, ">0123456789");
	unit_write_text(&dir, "empty", "");
	assert_int_equal(file_load_at(dir.fd, "empty", 0, &b), 0);
	assert_string_equal(b.data, ">0123456789");
}

static void test_remove(void **state)
{
	(void)state;
	scene_make();
	assert_int_equal(dir_remove_at(dir.fd, "absent"), 0);
	assert_int_equal(dir_remove_at(dir.fd, "dir"), 0);
	assert_false(unit_exists(&dir, "dir"));
	assert_int_equal(mkdirat(dir.fd, "full", 0755), 0);
	unit_write_text(&dir, "full/a", "x");
	assert_int_equal(symlinkat("../victim", dir.fd, "full/b"), 0);
	assert_int_equal(mkfifoat(dir.fd, "full/c", 0600), 0);
	assert_int_equal(mkdirat(dir.fd, "full/d", 0755), 0);
	assert_int_equal(dir_remove_at(dir.fd, "full"), 0);
	assert_false(unit_exists(&dir, "full"));
	unit_assert_content(&dir, "victim", "victim");
	assert_int_equal(dir_remove_at(dir.fd, "victim"), -ENOTDIR);
}

static void test_remove_refuses_a_tree(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(dir.fd, "full", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "full/sub", 0755), 0);
	unit_write_text(&dir, "full/sub/x", "x");
	assert_int_equal(dir_remove_at(dir.fd, "full"), -ENOTEMPTY);
	unit_assert_content(&dir, "full/sub/x", "x");
}

static void test_remove_a_name(void **state)
{
	static const char *const names[] = {"absent", "symlink", "dangling", "hardlink",
					    "dir",    "fifo",    "socket",   "file"};
	(void)state;
	scene_make();
	for (size_t i = 0; i < LEN(names); i++) {
		assert_int_equal(name_remove_at(dir.fd, names[i]), 0);
		assert_false(unit_exists(&dir, names[i]));
	}
	unit_assert_content(&dir, "victim", "victim");
	unit_assert_content(&dir, "other", "other");
	assert_int_equal(mkdirat(dir.fd, "full", 0755), 0);
	unit_write_text(&dir, "full/x", "x");
	assert_int_equal(name_remove_at(dir.fd, "full"), -ENOTEMPTY);
}

static void test_space(void **state)
{
	(void)state;
	uint64_t bytes = 0;
	assert_int_equal(file_space_left(dir.fd, &bytes), 0);
	assert_true(bytes > 0);
	assert_int_equal(file_space_left(-1, &bytes), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_open, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_open_for_reading_with_links, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_open_closes_on_exec, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_dir_open, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_write_all_counts_written_bytes, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_read_and_write_at, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_read_full_from_a_pipe, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_load, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_remove, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_remove_refuses_a_tree, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_remove_a_name, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_space, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
