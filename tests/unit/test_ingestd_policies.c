/* SPDX-License-Identifier: Apache-2.0 */
/* Policies in memory: shared by who said the same, bounded for each user, and gone with their last transfer. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <sys/prctl.h>

/* The code under test */
#include "ingestd/policies.h"

#define SECRET  "\x0a\0\4YTpi"
#define RETRIES "\6\0\x08\0\0\0\0\0\0\0"

static struct policies policies;

static struct policy *take(uid_t uid, struct span bytes)
{
	struct policy *p = NULL;

	assert_int_equal(policies_take(&policies, uid, bytes, &p), 0);
	return p;
}

static void test_sharing(void **state)
{
	struct policy *none = NULL;

	(void)state;
	assert_null(take(1, span_of(NULL, 0)));
	assert_int_equal(policy_bytes(NULL).len, 0);
	assert_int_equal(policies_take(&policies, 1, span_str("x"), &none), -EINVAL);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	struct policy *retries = take(1, span_of(RETRIES "\1", 11));
	assert_false(policy_has_secret(retries));
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	struct policy *a = take(1, span_of(SECRET, 7)), *again = take(1, span_of(SECRET, 7));
	struct policy *of_other = take(2, span_of(SECRET, 7));
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	assert_ptr_equal(a, again);
	assert_ptr_not_equal(a, of_other);
	assert_true(policy_has_secret(a) && span_eq(policy_bytes(a), span_of(SECRET, 7)));
	assert_ptr_equal(policy_share(a), a);
	for (unsigned i = 0; i < 3; i++)
		policy_drop(a);
	policy_drop(of_other);
	policy_drop(retries);
	policy_drop(NULL);
	assert_true(LIST_EMPTY(&policies));
}

static void test_limit_of_a_user(void **state)
{
	struct policy *all[POLICIES_A_USER], *more = NULL;
	char bytes[] = RETRIES "\1";

	(void)state;
	for (size_t i = 0; i < LEN(all); i++) {
		bytes[10] = (char)(i + 1);
		all[i] = take(1, span_of(bytes, 11));
	}
	bytes[10] = LEN(all) + 1;
	assert_int_equal(policies_take(&policies, 1, span_of(bytes, 11), &more), -EAGAIN);
	assert_null(more);
	policy_drop(take(2, span_of(bytes, 11)));
	policy_drop(all[0]);
	policy_drop(take(1, span_of(bytes, 11)));
	for (size_t i = 1; i < LEN(all); i++)
		policy_drop(all[i]);
	assert_true(LIST_EMPTY(&policies));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sharing),
	    cmocka_unit_test(test_limit_of_a_user),
	};
	return cmocka_run_group_tests_name("ingestd policies", tests, NULL, NULL);
}
