/* SPDX-License-Identifier: Apache-2.0 */
/* The list of transfers: written to a file, shown on a terminal of every width, and watched. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/show/listing.h"
#include "sluice/show/text.h"

#define MIB (UINT64_C(1) << 20)
#define A   "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B   "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C   "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define D   "manifest://h:5000/a:1"
#define WHY "waiting until 1970-01-01T00:10:00Z to try 'h:5000' again: 429 Too Many Requests"

static struct status list[] = {
    {.ref = D, .state = TRANSFER_QUEUED, .total = SIZE_UNKNOWN},
    {.ref = A, .state = TRANSFER_FAILED, .offset = 1, .total = MIB, .attempts = 3, .text = "not\x1b there"},
    {.ref = B, .state = TRANSFER_WAITING, .total = 64 * MIB, .attempts = 12, .until_s = 600, .text = WHY},
    {.ref = C, .state = TRANSFER_FETCHING, .offset = 16 * MIB, .total = 64 * MIB, .rate = 8 * MIB, .attempts = 1},
};
static const struct status_list all = {.rows = list, .len = LEN(list)};

static void test_whole(void **state)
{
	AUTO_BUF out = BUF_INIT;
	(void)state;
	assert_int_equal(listing_whole(&all, &out), 0);
	assert_non_null(strstr(out.data, "\n" C "  fetching  16777216  67108864  8.0MiB/s  6s   1970-01-01T00:00:00Z  "
					 "1970-01-01T00:00:00Z  1\n"));
	assert_non_null(strstr(out.data, "  12        " WHY "\n"));
	assert_non_null(strstr(out.data, "  not\\x1b there\n"));
}

static void test_narrow(void **state)
{
	AUTO_BUF out = BUF_INIT;
	(void)state;
	assert_int_equal(listing_narrow(&all, 39, &out), 0);
	assert_string_equal(out.data, "REF           STATE     DONE\n"
				      "cccccccccccc  fetching  16.0MiB/64.0MiB\n"
				      "bbbbbbbbbbbb  waiting   0B/64.0MiB\n"
				      "  waiting until 1970-01-01T00:10:00Z to\n"
				      "  try 'h:5000' again: 429 Too Many\n"
				      "  Requests\n"
				      "aaaaaaaaaaaa  failed    1B/1.0MiB\n"
				      "  not\\x1b there\n"
				      "manifest      queued    0B\n"
				      "  " D "\n");
	buf_clear(&out);
	assert_int_equal(listing_narrow(&all, 79, &out), 0);
	assert_non_null(strstr(out.data, "REF           STATE     DONE             RATE       ETA     TRIES\n"));
	assert_non_null(strstr(out.data, "cccccccccccc  fetching  16.0MiB/64.0MiB  8.0MiB/s   6s      1\n"));
}

/* At every width, no line is too wide and no text is lost. */
static void test_no_width_overflows(void **state)
{
	(void)state;
	for (unsigned width = 19; width < 200; width++) {
		AUTO_BUF out = BUF_INIT;
		assert_int_equal(listing_narrow(&all, width, &out), 0);
		for (const char *at = out.data, *end; (end = strchr(at, '\n')); at = end + 1)
			assert_true((size_t)(end - at) <= width);
		assert_non_null(strstr(out.data, "Requests"));
	}
}

static void test_watched(void **state)
{
	static const struct {
		unsigned height;
		const char *want; /* the last line */
	} rows[] = {{1, "1 of 4 transfers under way, 8.0MiB/s\n"},
		    {2, "1 of 4 transfers under way, 8.0MiB/s\n"},
		    {3, "and 4 more\n"},
		    {4, "and 3 more\n"},
		    {5, "and 3 more\n"},
		    {6, "and 2 more\n"},
		    {8, "and 1 more\n"},
		    {9, "  " D "\n"},
		    {20, "  " D "\n"}};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		unsigned lines = 0;
		assert_int_equal(listing_watched(&all, 60, rows[i].height, &out), 0);
		for (const char *at = out.data; (at = strchr(at, '\n')); at++)
			lines++;
		assert_true(lines <= rows[i].height);
		assert_string_equal(out.data + out.len - strlen(rows[i].want), rows[i].want);
		if (rows[i].height > 6)
			assert_non_null(
			    strstr(out.data, "  waiting until 1970-01-01T00:10:00Z to try 'h:5000' again..\n"));
	}
	AUTO_BUF out = BUF_INIT;
	assert_int_equal(listing_watched(&(struct status_list){.rows = NULL}, 60, 20, &out), 0);
	assert_string_equal(out.data, "0 of 0 transfers under way, 0B/s\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_narrow),
	    cmocka_unit_test(test_no_width_overflows),
	    cmocka_unit_test(test_watched),
	};
	return cmocka_run_group_tests_name("sluice listing", tests, NULL, NULL);
}
