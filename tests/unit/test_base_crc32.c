/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32, and the big-endian integers of records. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/be.h"
#include "common/base/crc32.h"

static void test_vectors(void **state)
{
	static const struct {
		const char *text;
		uint32_t want;
	} rows[] = {
	    {"", 0},
	    {"a", 0xe8b7be43},
	    {"123456789", 0xcbf43926},
	    {"The quick brown fox jumps over the lazy dog", 0x414fa339},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		assert_int_equal(crc32_of(rows[i].text, strlen(rows[i].text)), rows[i].want);
}

/* Every single flipped bit is detected. */
static void test_every_bit(void **state)
{
	(void)state;
	uint8_t data[512] = {1, 2, 3};
	uint32_t want = crc32_of(data, sizeof(data));
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] = (uint8_t)(data[bit / 8] ^ 1u << bit % 8);
		assert_int_not_equal(crc32_of(data, sizeof(data)), want);
		data[bit / 8] = (uint8_t)(data[bit / 8] ^ 1u << bit % 8);
	}
	assert_int_equal(crc32_of(data, sizeof(data)), want);
}

static void test_big_endian(void **state)
{
	static const struct {
		uint64_t value;
		unsigned width;
		uint8_t want[8];
	} rows[] = {
	    {0x12, 1, {0x12}},
	    {0x1234, 2, {0x12, 0x34}},
	    {0xfedcba98, 4, {0xfe, 0xdc, 0xba, 0x98}},
	    {0x0123456789abcdef, 8, {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}},
	    {UINT64_MAX, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		uint8_t have[8] = {0};
		be_put(have, rows[i].value, rows[i].width);
		assert_memory_equal(have, rows[i].want, sizeof(have));
		assert_int_equal(be_get(have, rows[i].width), rows[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_every_bit),
	    cmocka_unit_test(test_big_endian),
	};
	return cmocka_run_group_tests_name("crc32", tests, NULL, NULL);
}
