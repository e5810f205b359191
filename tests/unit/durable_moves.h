/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move promises on every file system: of those with flags of renames, and of those without these and without
 * links.
 */
#ifndef SLUICE_TESTS_UNIT_DURABLE_MOVES_H
#define SLUICE_TESTS_UNIT_DURABLE_MOVES_H

/* Own */
#include "tests/unit/unit_dir.h"

/* The code under test */
#include "common/base/durable.h"

/* Returns the target directory, with a blob and a link in it; "b" could not be moved there. The caller closes it. */
static inline int durable_moves(void)
{
	assert_int_equal(mkdirat(dir.fd, "to", 0755), 0);
	int to = openat(dir.fd, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unit_write_text(&dir, "a", "a");
	unit_write_text(&dir, "b", "b");
	assert_int_equal(durable_move_at(dir.fd, "a", to, "blob"), 0);
	assert_false(unit_exists(&dir, "a"));
	unit_assert_content(&dir, "to/blob", "a");
	assert_int_equal(durable_move_at(dir.fd, "b", to, "blob"), -EEXIST);
	unit_assert_content(&dir, "b", "b");
	unit_assert_content(&dir, "to/blob", "a");
	assert_int_equal(durable_move_at(dir.fd, "absent", to, "x"), -ENOENT);
	assert_int_equal(symlinkat("nowhere", to, "link"), 0);
	assert_int_equal(durable_move_at(dir.fd, "b", to, "link"), -EEXIST);
	unit_assert_content(&dir, "b", "b");
	return to;
}

#endif
