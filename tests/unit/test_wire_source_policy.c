/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of a source: read back as it was, at each limit and one past it, and refused in any other form. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/wire/source_policy.h"

static char longest[POLICY_MAX + 1];

static struct span long_text(size_t len)
{
	memset(longest, 'A', sizeof(longest));
	return span_of(longest, len);
}

static void assert_read_back(const struct source_policy *p)
{
	AUTO_BUF first = BUF_INIT, again = BUF_INIT;
	struct source_policy back;

	assert_int_equal(source_policy_encode(p, &first), 0);
	assert_true(source_policy_decode(buf_span(&first), &back));
	assert_int_equal(source_policy_encode(&back, &again), 0);
	assert_true(span_eq(buf_span(&first), buf_span(&again)));
	assert_int_equal(back.tls_verify, p->tls_verify);
	assert_int_equal(back.plain_http, p->plain_http);
	assert_int_equal(back.has_certs, p->has_certs);
	assert_true(span_eq(back.authorities, p->authorities) && span_eq(back.client_cert, p->client_cert) &&
		    span_eq(back.client_key, p->client_key) && span_eq(back.secret, p->secret));
	assert_int_equal(back.has_retries, p->has_retries);
	assert_int_equal(back.retries, p->retries);
	assert_int_equal(back.rate, p->rate);
	assert_int_equal(back.owner, p->owner);
	assert_int_equal(back.login, p->login);
	for (size_t cut = 1; cut < first.len && first.len < 200; cut++) /* none but at the end of a field */
		if (source_policy_decode(span_of(first.data, cut), &back))
			assert_true(cut < first.len);
}

static void test_round_trip(void **state)
{
	const struct source_policy rows[] = {
	    {.tls_verify = SAID_YES},
	    {.tls_verify = SAID_NO, .plain_http = true},
	    {.plain_http = true},
	    {.has_certs = true},
	    {.has_certs = true, .authorities = long_text(POLICY_PEM_MAX)},
	    {.has_certs = true, .client_cert = long_text(1), .client_key = long_text(POLICY_CLIENT_MAX)},
	    {.has_retries = true},
	    {.has_retries = true, .retries = POLICY_RETRIES_MAX},
	    {.rate = POLICY_RATE_MAX, .owner = UINT64_MAX},
	    {.rate = 1},
	    {.login = POLICY_LOGIN_ANONYMOUS},
	    {.login = POLICY_LOGIN_BASIC, .secret = long_text(POLICY_SECRET_MAX)},
	    {.login = POLICY_LOGIN_IDENTITY, .secret = span_str("token")},
	    {.tls_verify = SAID_NO,
	     .has_certs = true,
	     .authorities = long_text(POLICY_PEM_MAX),
	     .client_cert = long_text(POLICY_CLIENT_MAX),
	     .client_key = long_text(POLICY_CLIENT_MAX),
	     .has_retries = true,
	     .retries = 3,
	     .rate = 5,
	     .owner = 7,
	     .login = POLICY_LOGIN_BASIC,
	     .secret = long_text(POLICY_SECRET_MAX)},
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		assert_read_back(&rows[i]);
}

#define EIGHT "\0\0\0\0\0\0\0\1"

static void test_refused(void **state)
{
	static const struct {
		const char *name, *bytes;
		size_t len;
	} rows[] = {
	    {"nothing", "", 0},
	    {"half a head", "\1\0", 2},
	    {"a value that is cut off", "\1\0\1", 3},
	    {"tag 0", "\0\0\0", 3},
	    {"an unknown tag", "\x0c\0\0", 3},
	    {"a flag of 2", "\1\0\1\2", 4},
	    {"a long flag", "\1\0\2\1\1", 5},
	    {"an empty flag", "\1\0\0", 3},
	    {"plain_http of 0", "\2\0\1\0", 4},
	    {"a field twice", "\2\0\1\1\2\0\1\1", 8},
	    {"fields in another order", "\2\0\1\1\1\0\1\0", 8},
	    {"plain_http beside tls_verify", "\1\0\1\1\2\0\1\1", 8},
	    {"a NUL in PEM", "\3\0\1\0", 4},
	    {"a certificate without a key", "\3\0\0\4\0\1x", 7},
	    {"a key without a certificate", "\3\0\0\5\0\1x", 7},
	    {"both, but no directory", "\4\0\1x\5\0\1x", 8},
	    {"a certificate that is empty", "\3\0\0\4\0\0\5\0\1x", 10},
	    {"a short number", "\6\0\1\1", 4},
	    {"retries one past the limit", "\6\0\x08\0\0\0\0\0\x0f\x42\x41", 11},
	    {"a rate of 0", "\7\0\x08\0\0\0\0\0\0\0\0\x08\0\x08" EIGHT, 22},
	    {"a rate one past the limit", "\7\0\x08\0\0\1\0\0\0\0\1\x08\0\x08" EIGHT, 22},
	    {"a rate without an owner", "\7\0\x08" EIGHT, 11},
	    {"an owner without a rate", "\x08\0\x08" EIGHT, 11},
	    {"anonymous with a value", "\x09\0\1x", 4},
	    {"anonymous with a password", "\x09\0\0\x0a\0\4YTpi", 10},
	    {"no base64", "\x0a\0\4a\nb=", 7},
	    {"an empty password", "\x0a\0\0", 3},
	    {"a token with a blank", "\x0b\0\3a b", 6},
	    {"an empty token", "\x0b\0\0", 3},
	    {"two logins", "\x0a\0\4YTpi\x0b\0\1t", 11},
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct source_policy p = {.rate = 99};
		if (source_policy_decode(span_of(rows[i].bytes, rows[i].len), &p))
			fail_msg("%s", rows[i].name);
		assert_int_equal(p.rate, 99);
	}
}

/* One byte too many in each text, and in all. */
static void test_limits(void **state)
{
	static const struct {
		uint8_t tag;
		size_t max;
	} rows[] = {{3, POLICY_PEM_MAX}, {10, POLICY_SECRET_MAX}, {11, POLICY_SECRET_MAX}};
	struct source_policy p;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		for (size_t more = 0; more <= 4; more += 4) { /* base64 comes in fours */
			size_t len = rows[i].max + more;
			struct span bytes = long_text(3 + len);
			longest[0] = (char)rows[i].tag;
			longest[1] = (char)(len >> 8);
			longest[2] = (char)(len & 0xff);
			assert_int_equal(source_policy_decode(bytes, &p), more == 0);
		}
	assert_false(source_policy_decode(long_text(POLICY_MAX + 1), &p));
}

static void test_lax(void **state)
{
	(void)state;
	assert_true(source_policy_is_lax(&(struct source_policy){.plain_http = true}));
	assert_true(source_policy_is_lax(&(struct source_policy){.tls_verify = SAID_NO}));
	assert_true(source_policy_is_lax(&(struct source_policy){.has_certs = true}));
	assert_false(source_policy_is_lax(
	    &(struct source_policy){.tls_verify = SAID_YES, .rate = 1, .login = POLICY_LOGIN_ANONYMOUS}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_lax),
	};
	return cmocka_run_group_tests_name("wire source policy", tests, NULL, NULL);
}
