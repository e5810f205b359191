/* SPDX-License-Identifier: Apache-2.0 */
/* The visible effects of durable operations. tests/power shows that they survive a power cut. */

/* Own */
#include "tests/unit/durable_moves.h"

/* System */
#include <signal.h>
#include <sys/resource.h>

/* The code under test */
#include "common/base/cleanup.h"
#include "common/base/durable.h"

static void test_sync(void **state)
{
	(void)state;
	AUTO_FD fd = openat(dir.fd, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(durable_sync_data(fd), 0);
	assert_int_equal(durable_sync(fd), 0);
	assert_int_equal(durable_sync(dir.fd), 0);
	assert_int_equal(durable_sync_data(-1), -EBADF);
	assert_int_equal(durable_sync(-1), -EBADF);
}

static void test_mkdir(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(durable_mkdir_at(dir.fd, "d", 0755), 0);
	assert_int_equal(durable_mkdir_at(dir.fd, "d", 0755), 0);
	assert_int_equal(fstatat(dir.fd, "d", &st, 0), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(durable_mkdir_at(dir.fd, "absent/d", 0755), -ENOENT);
}

static void test_replace(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(durable_replace_at(dir.fd, "x", "one", 3, 0444), 0);
	unit_assert_content(&dir, "x", "one");
	assert_int_equal(fstatat(dir.fd, "x", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(durable_replace_at(dir.fd, "x", "second", 6, 0644), 0);
	unit_assert_content(&dir, "x", "second");
	assert_int_equal(durable_replace_at(dir.fd, "x", NULL, 0, 0644), 0);
	unit_assert_content(&dir, "x", "");
	assert_int_equal(unit_count(&dir), 1);
}

/* A file of the temporary's name is left from a crash or another program. */
static void test_replace_with_leftovers(void **state)
{
	(void)state;
	unit_write_text(&dir, ".x.new", "left over and longer");
	assert_int_equal(durable_replace_at(dir.fd, "x", "one", 3, 0644), 0);
	unit_assert_content(&dir, "x", "one");
	unit_write_text(&dir, "victim", "victim");
	assert_int_equal(symlinkat("victim", dir.fd, ".x.new"), 0);
	assert_int_equal(durable_replace_at(dir.fd, "x", "two", 3, 0644), 0);
	unit_assert_content(&dir, "x", "two");
	unit_assert_content(&dir, "victim", "victim");
	assert_int_equal(linkat(dir.fd, "victim", dir.fd, ".x.new", 0), 0);
	assert_int_equal(durable_replace_at(dir.fd, "x", "three", 5, 0644), 0);
	unit_assert_content(&dir, "victim", "victim");
	assert_int_equal(unit_count(&dir), 2);
}

static void test_failed_replace(void **state)
{
	(void)state;
	static char data[8192];
	struct rlimit old, small;
	unit_write_text(&dir, "x", "old");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	small = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = durable_replace_at(dir.fd, "x", data, sizeof(data), 0644);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	unit_assert_content(&dir, "x", "old");
	assert_int_equal(unit_count(&dir), 1);
	assert_int_equal(mkdirat(dir.fd, "d", 0755), 0);
	assert_int_equal(durable_replace_at(dir.fd, "d", "x", 1, 0644), -EISDIR);
	assert_int_equal(unit_count(&dir), 2);
}

static void test_replace_name_length(void **state)
{
	(void)state;
	char name[NAME_MAX + 1];
	memset(name, 'n', sizeof(name));
	name[NAME_MAX - 5] = '\0';
	assert_int_equal(durable_replace_at(dir.fd, name, "x", 1, 0644), 0);
	name[NAME_MAX - 5] = 'n';
	name[NAME_MAX - 4] = '\0';
	assert_int_equal(durable_replace_at(dir.fd, name, "x", 1, 0644), -ENAMETOOLONG);
}

static void test_move(void **state)
{
	(void)state;
	AUTO_FD to = durable_moves();
	assert_true(to >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_sync, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_mkdir, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_replace, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_replace_with_leftovers, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_failed_replace, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_replace_name_length, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_move, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("durable", tests, NULL, NULL);
}
