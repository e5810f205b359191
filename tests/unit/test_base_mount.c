/* SPDX-License-Identifier: Apache-2.0 */
/* Which file system something is on. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <fcntl.h>

/* The code under test */
#include "common/base/cleanup.h"
#include "common/base/mount.h"

static void test_type(void **state)
{
	char type[MOUNT_TYPE_SIZE];
	(void)state;
	AUTO_FD proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mount_type(proc, type);
	assert_string_equal(type, "proc");
	mount_type(-1, type);
	assert_string_equal(type, "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_type),
	};
	return cmocka_run_group_tests_name("mount", tests, NULL, NULL);
}
