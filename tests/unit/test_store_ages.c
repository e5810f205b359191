/* SPDX-License-Identifier: Apache-2.0 */
/* Ages count the time that the machine certainly ran, and nothing that a file says makes anything older than that. */

/* Own */
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/unit_dir.h"

/* The code under test */
#include "common/store/ages.h"

static const uint8_t first_boot[BOOT_ID_SIZE] = {1}, second_boot[BOOT_ID_SIZE] = {2};
static struct digest a, b;

static int set_up(void **state)
{
	digest_of(HASH_SHA256, "a", 1, &a);
	digest_of(HASH_SHA512, "b", 1, &b);
	return unit_dir_set_up(state);
}

static int tear_down(void **state)
{
	stand_in_clock_release();
	return unit_dir_tear_down(state);
}

static struct ages *load(const uint8_t *boot, uint64_t at_s)
{
	struct ages *ages = NULL;

	stand_in_clock_set(at_s * 1000);
	assert_int_equal(ages_load(dir.fd, "ages", boot, &ages), 0);
	return ages;
}

/* Load, keep what is given, store; and say how old `a` was. */
static uint64_t pass(const uint8_t *boot, uint64_t at_s, const struct digest *keep)
{
	struct ages *ages = load(boot, at_s);
	uint64_t age_s = ages_of(ages, &a);

	if (keep)
		assert_int_equal(ages_keep(ages, keep), 0);
	assert_int_equal(ages_store(ages, dir.fd, "ages"), 0);
	ages_free(ages);
	return age_s;
}

static void test_within_a_boot(void **state)
{
	(void)state;
	assert_int_equal(pass(first_boot, 100, &a), 0);
	assert_int_equal(pass(first_boot, 100, &a), 0);
	assert_int_equal(pass(first_boot, 160, &a), 60);
	assert_int_equal(pass(first_boot, 161, &a), 61);
}

/* How long the machine was off is not known. */
static void test_over_boots(void **state)
{
	(void)state;
	assert_int_equal(pass(first_boot, 100, &a), 0);
	assert_int_equal(pass(first_boot, 150, &a), 50);
	assert_int_equal(pass(second_boot, 7, &a), 57);
	assert_int_equal(pass(second_boot, 10, &a), 60);
	assert_int_equal(pass(first_boot, 300, &a), 360);
}

/* A boot time that is before the file's, although the boot is the same, is what a restored machine has. */
static void test_backwards(void **state)
{
	(void)state;
	assert_int_equal(pass(first_boot, 1000, &a), 0);
	assert_int_equal(pass(first_boot, 5, &a), 5);
}

static void test_forgotten(void **state)
{
	(void)state;
	assert_int_equal(pass(first_boot, 100, &a), 0);
	assert_int_equal(pass(first_boot, 200, &b), 100);
	assert_int_equal(pass(first_boot, 300, &a), 0);
	assert_int_equal(pass(first_boot, 310, &a), 10);
}

static void test_many(void **state)
{
	enum { MANY = 2000 };
	struct ages *ages = load(first_boot, 1);
	struct digest d;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		digest_of(HASH_SHA256, &i, sizeof(i), &d);
		assert_int_equal(ages_keep(ages, &d), 0);
	}
	assert_int_equal(ages_store(ages, dir.fd, "ages"), 0);
	ages_free(ages);
	ages = load(first_boot, 4);
	for (int i = 0; i < MANY; i++) {
		digest_of(HASH_SHA256, &i, sizeof(i), &d);
		assert_int_equal(ages_of(ages, &d), 3);
	}
	assert_int_equal(ages_of(ages, &b), 0);
	ages_free(ages);
}

/* What is damaged is new, or at least not older than it was. */
static void test_damaged(void **state)
{
	static const char *const texts[] = {
	    "",
	    "\n",
	    "boot=00\nat=1\nsha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 5\n",
	    "boot=01000000000000000000000000000000\nat=x\nsha256:"
	    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 5\n",
	    "boot=01000000000000000000000000000000\nat=1\nsha256:"
	    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb -5\n",
	    "boot=01000000000000000000000000000000\nat=1\nsha256:"
	    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 5",
	    "boot=01000000000000000000000000000000\nat=1\nsha256:"
	    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 9223372036854775808\n",
	};
	(void)state;
	for (size_t i = 0; i < LEN(texts); i++) {
		unit_write_text(&dir, "ages", texts[i]);
		assert_int_equal(pass(first_boot, 10, NULL), 0);
	}
	unit_write_text(&dir, "ages",
			"boot=01000000000000000000000000000000\nat=1\nnonsense\n"
			"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 5\n");
	assert_int_equal(pass(first_boot, 10, NULL), 14);
	assert_int_equal(mkdirat(dir.fd, "of", 0755), 0);
	struct ages *ages;
	assert_true(ages_load(dir.fd, "of", first_boot, &ages) < 0);
}

int main(void)
{
#define AGES_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    AGES_TEST(test_within_a_boot), AGES_TEST(test_over_boots), AGES_TEST(test_backwards),
	    AGES_TEST(test_forgotten),     AGES_TEST(test_many),       AGES_TEST(test_damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
