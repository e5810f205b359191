/* SPDX-License-Identifier: Apache-2.0 */
/* Logins: one answer to each request, by the first word of fetchd, and none that others could get. */

/* Own */
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/unit.h"

/* The code under test */
#include "ingestd/logins.h"

static struct transfers transfers;
static struct policies policies;
static struct logins logins;
static struct policy *ann, *bob;

/* The last answer. */
static struct {
	uint64_t client; /* 0: none */
	enum message_type type;
	enum fail_class class;
} heard;

static void on_answer(void *self, uint64_t client, const struct message *m)
{
	(void)self;
	heard.client = client;
	heard.type = m->type;
	heard.class = (enum fail_class)m->fail_class;
}

static int set_up(void **state)
{
	(void)state;
	stand_in_clock_set(1000);
	logins = (struct logins){.answer = on_answer};
	memset(&heard, 0, sizeof(heard));
	assert_int_equal(orders_new(&transfers, &logins.orders), 0);
	assert_int_equal(policies_take(&policies, 1, span_of("\x0a\0\4YTpi", 7), &ann), 0);
	assert_int_equal(policies_take(&policies, 2, span_of("\x0a\0\4YTpi", 7), &bob), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	logins_release(&logins);
	assert_int_equal(logins.len, 0);
	orders_free(logins.orders);
	policy_drop(ann);
	policy_drop(bob);
	assert_true(LIST_EMPTY(&policies));
	return 0;
}

static int ask(uint64_t client, struct policy *policy, const char *host, uint64_t attempt)
{
	return logins_ask(&logins, client, policy, span_str(host), attempt);
}

/* fetchd says something about a login. */
static bool say(enum message_type type, const char *ref, uint64_t attempt)
{
	const struct message m = {
	    .type = type, .ref = span_str(ref), .attempt = attempt, .fail_class = type == MSG_FAIL ? FAIL_DENIED : 0};
	return logins_take(&logins, &m);
}

static void test_answers(void **state)
{
	(void)state;
	assert_int_equal(ask(7, ann, "reg.io", 1), 0);
	assert_int_equal(ask(8, bob, "reg.io", 2), 0);
	assert_false(say(MSG_OPENED, "registry://reg.io", 1));  /* no login's */
	assert_true(say(MSG_OPENED, "registry://reg.io?1", 2)); /* of another attempt */
	assert_true(say(MSG_BEAT, "registry://reg.io?1", 1));
	assert_int_equal(heard.client, 0);
	assert_true(say(MSG_OPENED, "registry://reg.io?1", 1));
	assert_int_equal(heard.client, 7);
	assert_int_equal(heard.type, MSG_OK);
	assert_false(say(MSG_OPENED, "registry://reg.io?1", 1)); /* once */
	assert_true(say(MSG_FAIL, "registry://reg.io?2", 2));
	assert_int_equal(heard.client, 8);
	assert_int_equal(heard.type, MSG_ERROR);
	assert_int_equal(heard.class, FAIL_DENIED);
}

/* A client that asks again gets the answer to what runs; another user's request is another. */
static void test_repeated(void **state)
{
	(void)state;
	assert_int_equal(ask(7, ann, "reg.io", 1), 0);
	assert_int_equal(ask(9, ann, "reg.io", 2), 0);
	assert_int_equal(logins.len, 1);
	assert_int_equal(ask(9, ann, "other.io", 3), 0);
	assert_int_equal(ask(8, bob, "reg.io", 4), 0);
	assert_int_equal(logins.len, 3);
	assert_true(say(MSG_OPENED, "registry://reg.io?1", 1));
	assert_int_equal(heard.client, 9);
}

static void test_refused(void **state)
{
	static const char *const rows[] = {"", "a b", "reg.io/x", "reg.io?x", "index.docker.io", "word"};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		assert_int_equal(ask(7, ann, rows[i], 1), -EINVAL);
	assert_int_equal(logins.len, 0);
}

/* As many as there may be, until those who do not ask again are forgotten. */
static void test_limit(void **state)
{
	char host[32];
	(void)state;
	for (unsigned i = 0; i < LOGINS_MAX; i++) {
		(void)snprintf(host, sizeof(host), "h%u.io", i);
		assert_int_equal(ask(7, ann, host, i + 1), 0);
	}
	assert_int_equal(ask(7, ann, "more.io", 99), -EAGAIN);
	stand_in_clock_set(1000 + LOGIN_AGAIN_MS - 1);
	assert_int_equal(ask(7, ann, "h0.io", 99), 0);
	stand_in_clock_set(1000 + LOGIN_AGAIN_MS);
	assert_int_equal(ask(7, ann, "more.io", 99), 0);
	assert_int_equal(logins.len, 2);
}

#define LOGIN_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    LOGIN_TEST(test_answers),
	    LOGIN_TEST(test_repeated),
	    LOGIN_TEST(test_refused),
	    LOGIN_TEST(test_limit),
	};
	return cmocka_run_group_tests_name("ingestd logins", tests, NULL, NULL);
}
