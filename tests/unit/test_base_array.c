/* SPDX-License-Identifier: Apache-2.0 */
/* Growable arrays: elements are kept, and a failure changes nothing. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/array.h"

static void test_grows(void **state)
{
	size_t len = 0, room = 0, moves = 0;
	uint32_t *all = NULL;
	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		size_t before = room;
		uint32_t *grown = array_room(all, len, &room, sizeof(*grown));
		assert_non_null(grown);
		all = grown;
		assert_true(room > len);
		moves += room != before;
		all[len++] = i;
	}
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(all[i], i);
	assert_true(moves < 16);
	free(all);
}

static void test_too_much(void **state)
{
	size_t room = SIZE_MAX / 2 + 1;
	char byte;
	(void)state;
	assert_null(array_room(&byte, room, &room, 1));
	assert_int_equal(room, SIZE_MAX / 2 + 1);
	room = SIZE_MAX / 16;
	assert_null(array_room(NULL, room, &room, 64));
	assert_int_equal(room, SIZE_MAX / 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_grows),
	    cmocka_unit_test(test_too_much),
	};
	return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
