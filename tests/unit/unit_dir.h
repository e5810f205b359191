/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An empty directory `dir` for each test, created before and removed after it.
 */
#ifndef SLUICE_TESTS_UNIT_DIR_H
#define SLUICE_TESTS_UNIT_DIR_H

#include "tests/unit/unit.h"

static struct unit_dir dir;

static inline int unit_dir_set_up(void **state)
{
	(void)state;
	unit_dir_make(&dir);
	return 0;
}

static inline int unit_dir_tear_down(void **state)
{
	(void)state;
	unit_dir_remove(&dir);
	return 0;
}

#endif
