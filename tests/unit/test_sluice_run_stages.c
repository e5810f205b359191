/* SPDX-License-Identifier: Apache-2.0 */
/* Which stages serve in a runtime directory, and which leftovers are removed from it. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <sys/file.h>

/* Base */
#include "common/base/lock.h"

/* Wire */
#include "common/wire/stage.h"

/* The code under test */
#include "sluice/run/stages.h"

static void test_serve_and_sweep(void **state)
{
	struct unit_dir d;
	int fd, mine;
	(void)state;
	unit_dir_make(&d);
	assert_false(stages_serve("/no/such/directory"));
	assert_false(stages_serve(d.path));
	assert_int_equal(stage_claim(d.path, STAGE_INGESTD, &fd, NULL), 0);
	assert_true(stages_serve(d.path));

	static const char *const left[] = {"fetch/orders", "ingestd/ctl", "seal/seals",
					   "commitd/lock", "log",         "not-ours"};
	assert_int_equal(mkdirat(d.fd, "seal", 0700), 0);
	assert_int_equal(mkdirat(d.fd, "commitd", 0700), 0);
	for (size_t i = 0; i < LEN(left); i++)
		unit_write_text(&d, left[i], "");
	stages_sweep(d.fd);
	/* Sockets of a live daemon and foreign files are kept. */
	assert_true(unit_exists(&d, "ingestd/lock") && unit_exists(&d, "fetch/orders") &&
		    unit_exists(&d, "ingestd/ctl"));
	assert_false(unit_exists(&d, "seal") || unit_exists(&d, "commitd") || unit_exists(&d, "log"));
	assert_true(unit_exists(&d, "not-ours"));
	assert_int_equal(close(fd), 0);
	assert_false(stages_serve(d.path));
	stages_sweep(d.fd);
	assert_int_equal(unit_count(&d), 1);

	/* A supervisor serves before its stages do. A process that only shares its lock is not a supervisor. */
	assert_int_equal(lock_take_at(d.fd, STAGES_UP_LOCK, LOCK_EXCLUSIVE, "test", &mine, NULL), 0);
	assert_true(stages_serve(d.path));
	assert_int_equal(flock(mine, LOCK_SH), 0);
	assert_false(stages_serve(d.path));
	assert_int_equal(close(mine), 0);

	/* Being services does not mean that the stages run. */
	assert_false(stages_are_services(d.fd));
	unit_write_text(&d, STAGES_SERVICES, "");
	assert_true(stages_are_services(d.fd));
	assert_false(stages_serve(d.path));
	unit_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_serve_and_sweep),
	};
	return cmocka_run_group_tests_name("sluice stages", tests, NULL, NULL);
}
