/* SPDX-License-Identifier: Apache-2.0 */
/* The line of a blob and the total line, at every width. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/show/bar.h"

#define MIB (UINT64_C(1) << 20)

#define ITEM(...)                                                                                                      \
	{                                                                                                              \
		.label = "0123456789ab", .begun = true, __VA_ARGS__                                                    \
	}

static const struct row {
	const char *name;
	struct bar item;
	unsigned width;
	const char *want;
} rows[] = {
    {"fetching at 80", ITEM(.state = TRANSFER_FETCHING, .offset = 16 * MIB, .total = 64 * MIB, .rate = 8 * MIB), 79,
     "0123456789ab fetching [====>                 ] 16.0MiB/64.0MiB  8.0MiB/s     6s"},
    {"fetching at 40", ITEM(.state = TRANSFER_FETCHING, .offset = 16 * MIB, .total = 64 * MIB, .rate = 8 * MIB), 39,
     "0123456789ab fetching 16.0MiB/64.0MiB"},
    {"too narrow for the amount",
     ITEM(.state = TRANSFER_FETCHING, .offset = 16 * MIB, .total = 64 * MIB, .rate = 8 * MIB), 30,
     "0123456789ab fetching"},
    {"too narrow for anything",
     ITEM(.state = TRANSFER_FETCHING, .offset = 16 * MIB, .total = 64 * MIB, .rate = 8 * MIB), 10, "0123456789"},
    {"bar but no rate", ITEM(.state = TRANSFER_FETCHING, .offset = 32 * MIB, .total = 64 * MIB, .rate = 8 * MIB), 50,
     "0123456789ab fetching [====>     ] 32.0MiB/64.0MiB"},
    {"bar and rate but no time left",
     ITEM(.state = TRANSFER_FETCHING, .offset = 32 * MIB, .total = 64 * MIB, .rate = 8 * MIB), 57,
     "0123456789ab fetching [==>    ] 32.0MiB/64.0MiB  8.0MiB/s"},
    {"nothing yet", ITEM(.state = TRANSFER_FETCHING, .total = 64 * MIB), 79,
     "0123456789ab fetching [                      ]      0B/64.0MiB"},
    {"length unknown", ITEM(.state = TRANSFER_FETCHING, .offset = 5 * MIB, .total = SIZE_UNKNOWN, .rate = MIB), 79,
     "0123456789ab fetching                                   5.0MiB  1.0MiB/s"},
    {"done", ITEM(.state = TRANSFER_COMMITTED, .offset = 64 * MIB, .total = 64 * MIB, .rate = MIB), 79,
     "0123456789ab done     [======================]         64.0MiB"},
    {"empty and done", ITEM(.state = TRANSFER_COMMITTED, .total = 0), 79,
     "0123456789ab done     [======================]              0B"},
    {"stored already", ITEM(.state = TRANSFER_COMMITTED, .was_here = true, .total = MIB), 79,
     "0123456789ab exists   [======================]          1.0MiB"},
    {"not requested yet", {.label = "0123456789ab", .total = MIB}, 39, "0123456789ab pending        0B/1.0MiB"},
    {"waiting", ITEM(.state = TRANSFER_WAITING, .total = MIB, .text = "for space: 5 GiB are missing"), 79,
     "0123456789ab waiting  for space: 5 GiB are missing"},
    {"waiting until", ITEM(.state = TRANSFER_WAITING, .total = MIB, .until_s = 1090, .text = "the server said so"), 79,
     "0123456789ab waiting   1m30s the server said so"},
    {"waiting at 40", ITEM(.state = TRANSFER_WAITING, .total = MIB, .text = "for space: 5 GiB are missing"), 39,
     "0123456789ab waiting  for space: 5 GiB"},
    {"largest numbers",
     ITEM(.state = TRANSFER_FETCHING, .offset = 1023 * MIB, .total = 1023 * MIB + 1, .rate = 1023 * MIB), 79,
     "0123456789ab fetching [====================> ] 1023MiB/1023MiB 1023MiB/s     1s"},
};

/* Trailing blanks are ignored. */
static void trim(struct buf *line)
{
	while (line->len > 0 && line->data[line->len - 1] == ' ')
		line->data[--line->len] = '\0';
}

static void test_line(void **state)
{
	const struct row *row;
	(void)state;
	for_each_row(row, rows)
	{
		AUTO_BUF line = BUF_INIT;
		assert_int_equal(bar_line(&row->item, row->width, 1000, &line), 0);
		assert_true(line.len <= row->width);
		trim(&line);
		if (strcmp(line.data, row->want) != 0)
			fail_msg("%s:\n'%s', not\n'%s'", row->name, line.data, row->want);
	}
}

static void test_no_width_overflows(void **state)
{
	const struct row *row;
	(void)state;
	for_each_row(row, rows)
	{
		for (unsigned width = 1; width < 700; width++) {
			AUTO_BUF line = BUF_INIT;
			assert_int_equal(bar_line(&row->item, width, 1000, &line), 0);
			assert_true(line.len <= width);
		}
	}
}

static void test_summary(void **state)
{
	static const struct bar items[] = {
	    ITEM(.state = TRANSFER_COMMITTED, .offset = MIB, .total = MIB),
	    ITEM(.state = TRANSFER_FETCHING, .offset = MIB, .total = 2 * MIB, .rate = MIB),
	    ITEM(.state = TRANSFER_QUEUED, .total = SIZE_UNKNOWN),
	};
	static const struct bar most[] = {
	    ITEM(.state = TRANSFER_FETCHING, .offset = 1023 * MIB - 59 * 60 * MIB / 16, .total = 1023 * MIB,
		 .rate = MIB / 16),
	};
	static const struct {
		const struct bar *items;
		size_t len;
		unsigned width;
		const char *want;
	} cases[] = {
	    {items, 3, 79, "1 of 3 blobs, 2.0MiB of 3.0MiB, 1.0MiB/s"}, /* the size of one is unknown */
	    {items, 2, 79, "1 of 2 blobs, 2.0MiB of 3.0MiB, 1.0MiB/s, 1s left"},
	    {items, 2, 49, "1 of 2 blobs, 2.0MiB of 3.0MiB, 1.0MiB/s, 1s left"},
	    {items, 2, 48, "1/2 2.0MiB/3.0MiB 1.0MiB/s 1s"},
	    {items, 2, 29, "1/2 2.0MiB/3.0MiB 1.0MiB/s 1s"},
	    {items, 2, 28, "1/2 2.0MiB/3.0MiB 1.0MiB/s"},
	    {items, 2, 25, "1/2 2.0MiB/3.0MiB"},
	    {items, 2, 3, "1/2"},
	    {items, 2, 2, "1/"},
	    {items, 1, 79, "1 of 1 blobs, 1.0MiB of 1.0MiB"},
	    {items, 1, 20, "1/1 1.0MiB/1.0MiB"},
	    {most, 1, 39, "0/1 802MiB/1023MiB 64.0KiB/s 59m00s"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		AUTO_BUF line = BUF_INIT;
		assert_int_equal(bar_summary(cases[i].items, cases[i].len, cases[i].width, &line), 0);
		assert_string_equal(line.data, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_no_width_overflows),
	    cmocka_unit_test(test_summary),
	};
	return cmocka_run_group_tests_name("sluice bar", tests, NULL, NULL);
}
