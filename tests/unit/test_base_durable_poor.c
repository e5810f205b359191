/* SPDX-License-Identifier: Apache-2.0 */
/* The same on a file system without flags of renames, hard links and syncs of directories, as some of networks are. */

/* Own */
#include "tests/unit/durable_moves.h"
#include "tests/unit/stand_in_fs.h"

/* The code under test */
#include "common/base/cleanup.h"
#include "common/base/durable.h"

static int set_up(void **state)
{
	stand_in_fs_begin();
	stand_in_fs.is_poor = true;
	return unit_dir_set_up(state);
}

static void test_sync(void **state)
{
	(void)state;
	AUTO_FD fd = openat(dir.fd, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_false(durable_knows_dirs(dir.fd));
	assert_int_equal(durable_sync(dir.fd), 0);
	assert_int_equal(durable_sync_dir(dir.fd), 0);
	assert_int_equal(durable_mkdir_at(dir.fd, "d", 0755), 0);
	assert_int_equal(durable_replace_at(dir.fd, "x", "one", 3, 0444), 0);
	unit_assert_content(&dir, "x", "one");
	stand_in_fs_fail(1u << FS_SYNC, 1, EIO); /* no other error is lived with, and of a file none is */
	assert_int_equal(durable_sync(dir.fd), -EIO);
	stand_in_fs_fail(1u << FS_SYNC, 1, EIO);
	assert_true(durable_knows_dirs(dir.fd));
	stand_in_fs_fail(1u << FS_SYNC, 1, EINVAL);
	assert_int_equal(durable_sync(fd), -EINVAL);
	stand_in_fs.is_poor = false;
	assert_true(durable_knows_dirs(dir.fd));
}

static void test_move(void **state)
{
	(void)state;
	AUTO_FD to = durable_moves();
	stand_in_fs_fail(1u << FS_LINK, 1, EXDEV);
	assert_int_equal(durable_move_at(dir.fd, "b", to, "c"), -EXDEV);
	unit_assert_content(&dir, "b", "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_sync, set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_move, set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("durable, poor", tests, NULL, NULL);
}
