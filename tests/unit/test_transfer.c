/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary of transfers: which refs are valid, exit codes and names. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/transfer.h"

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_ref_check(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
	    {"a", 0},
	    {D, 0},
	    {"manifest://h.io/a:t", 0},
	    {"sha256", 0},
	    {"md5:00", 0},
	    {"../../etc/passwd", 0}, /* only its hash is ever a name */
	    {"", -EINVAL},
	    {" ", -EINVAL},
	    {"a b", -EINVAL},
	    {"a\n", -EINVAL},
	    {"\x1b[2J", -EINVAL},
	    {"sha256:", -EINVAL},
	    {"sha512:"
	     "00",
	     -EINVAL},
	    {D "0", -EINVAL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why = {""};
		if (ref_check(span_str(rows[i].text), &why) != rows[i].want)
			fail_msg("'%s'", rows[i].text);
		assert_int_equal(why.text[0] != '\0', rows[i].want != 0);
	}
	char ref[REF_MAX + 1];
	memset(ref, 'r', sizeof(ref));
	assert_int_equal(ref_check(span_of(ref, REF_MAX), NULL), 0);
	assert_int_equal(ref_check(span_of(ref, REF_MAX + 1), NULL), -EINVAL);
}

static void test_codes_and_names(void **state)
{
	static const int codes[FAIL_CLASS_MAX + 1] = {0, 75, 66, 77, 65, 69, 75, 74, 75, 64, 75};
	(void)state;
	for (int c = 0; c <= FAIL_CLASS_MAX; c++)
		assert_int_equal(fail_exit_code((enum fail_class)c), codes[c]);
	assert_string_equal(transfer_state_name(TRANSFER_QUEUED), "queued");
	assert_string_equal(transfer_state_name(TRANSFER_FAILED), "failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ref_check),
	    cmocka_unit_test(test_codes_and_names),
	};
	return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
