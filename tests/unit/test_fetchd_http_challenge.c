/* SPDX-License-Identifier: Apache-2.0 */
/* Challenges: their values, and that a field is parsed completely or refused. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/challenge.h"

#define REALM "https://auth.example/token"

static void test_read(void **state)
{
	static const struct {
		const char *value;
		unsigned schemes;
		const char *realm, *service, *scope;
	} rows[] = {
	    {"Bearer realm=\"" REALM "\",service=\"reg\",scope=\"repository:a/b:pull\"", AUTH_BEARER, REALM, "reg",
	     "repository:a/b:pull"},
	    {"bearer  REALM = \"" REALM "\" , Service=reg,error=\"invalid_token\"", AUTH_BEARER, REALM, "reg", ""},
	    {"Bearer realm=\"a\\\"b\\\\c\"", AUTH_BEARER, "a\"b\\c", "", ""},
	    {"Bearer realm=\"a, b=c\",scope=\"one two,three\"", AUTH_BEARER, "a, b=c", "", "one two,three"},
	    {"Bearer", AUTH_BEARER, "", "", ""},
	    {"Bearer realm=", AUTH_BEARER, "", "", ""}, /* a token68 by its grammar */
	    {"Bearer realm=\"\"", AUTH_BEARER, "", "", ""},
	    {"Basic realm=\"x\"", AUTH_BASIC, "", "", ""},
	    {"BASIC", AUTH_BASIC, "", "", ""},
	    {"Negotiate YWJj==", AUTH_OTHER, "", "", ""},
	    {"Basic realm=\"x\", Bearer realm=\"y\",scope=\"z\"", AUTH_BASIC | AUTH_BEARER, "y", "", "z"},
	    {"Bearer realm=\"y\", Basic realm=\"x\"", AUTH_BASIC | AUTH_BEARER, "y", "", ""},
	    {"Negotiate YWJj==, Bearer realm=\"y\"", AUTH_OTHER | AUTH_BEARER, "y", "", ""},
	    {"Negotiate, Bearer realm=\"y\"", AUTH_OTHER | AUTH_BEARER, "y", "", ""},
	    {"Bearer realm=\"y\", Bearer realm=\"z\"", AUTH_BEARER, "y", "", ""},
	    {", ,Basic realm=\"x\",,", AUTH_BASIC, "", "", ""},
	    {"", 0, "", "", ""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct challenge c = {0};
		assert_true(challenge_add(&c, span_str(rows[i].value)));
		assert_int_equal(c.schemes, rows[i].schemes);
		assert_string_equal(c.realm, rows[i].realm);
		assert_string_equal(c.service, rows[i].service);
		assert_string_equal(c.scope, rows[i].scope);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
	    "Bearer realm=\"unfinished",
	    "Bearer realm=\"unfinished\\",
	    "Bearer realm=\"a\" scope=\"b\"",
	    "Bearer realm=\"a\"junk",
	    "Bearer realm=\"a\",realm=\"b\"",
	    "Bearer realm=\"a\",Realm=b",
	    "Bearer scope=\"a\",scope=\"a\"",
	    "Bearer realm=\"a\x01\"",
	    "Bearer realm=\"a\r\nX: y\"",
	    "Bearer realm=\"a\\\nb\"",
	    "Bearer realm=\"caf\xc3\xa9\"",
	    "Bearer =\"a\"",
	    "Bearer realm=\"a\", \"b\"",
	    "Bearer(realm)",
	    "\"Bearer\"",
	    "Basic realm=\"x\", Bearer realm=\"unfinished",
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct challenge c = {0};
		assert_false(challenge_add(&c, span_str(rows[i])));
		assert_int_equal(c.schemes, AUTH_OTHER);
		assert_string_equal(c.realm, "");
		assert_string_equal(c.scope, "");
	}
	struct challenge c = {0};
	assert_false(challenge_add(&c, span_of("Bearer realm=\"a\0b\"", 18)));
	assert_int_equal(c.schemes, AUTH_OTHER);
}

/* The values of an earlier field stay, whatever a later one has. */
static void test_fields_add_up(void **state)
{
	struct challenge c = {0}, same = {0};
	(void)state;
	assert_true(challenge_add(&c, span_str("Bearer realm=\"a\",scope=\"b\"")));
	same = c;
	assert_true(challenge_eq(&c, &same));
	assert_true(challenge_add(&c, span_str("Basic realm=\"x\"")));
	assert_true(challenge_add(&c, span_str("Bearer realm=\"evil\"")));
	assert_false(challenge_add(&c, span_str("Bearer realm=\"evil")));
	assert_int_equal(c.schemes, AUTH_BASIC | AUTH_BEARER | AUTH_OTHER);
	assert_string_equal(c.realm, "a");
	assert_string_equal(c.scope, "b");
	assert_false(challenge_eq(&c, &same));
}

static bool add_param(const char *name, size_t len)
{
	char text[CHALLENGE_REALM_MAX + 64];
	struct challenge c = {0};
	int at = snprintf(text, sizeof(text), "Bearer %s=\"", name);
	memset(text + at, 'x', len);
	(void)snprintf(text + at + len, sizeof(text) - (size_t)at - len, "\"");
	return challenge_add(&c, span_str(text)) && c.schemes == AUTH_BEARER;
}

static bool add_list(const char *head, const char *member, unsigned count)
{
	char text[1024];
	struct challenge c = {0};
	int at = snprintf(text, sizeof(text), "%s", head);
	for (unsigned i = 0; i < count; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s", i > 0 ? ", " : "", member);
	return challenge_add(&c, span_str(text));
}

/* At the limit and one past it. */
static void test_limits(void **state)
{
	(void)state;
	assert_true(add_param("realm", CHALLENGE_REALM_MAX));
	assert_false(add_param("realm", CHALLENGE_REALM_MAX + 1));
	assert_true(add_param("service", CHALLENGE_SERVICE_MAX));
	assert_false(add_param("service", CHALLENGE_SERVICE_MAX + 1));
	assert_true(add_param("scope", CHALLENGE_SCOPE_MAX));
	assert_false(add_param("scope", CHALLENGE_SCOPE_MAX + 1));
	assert_true(add_list("Bearer ", "x=\"y\"", CHALLENGE_PARAMS_MAX));
	assert_false(add_list("Bearer ", "x=\"y\"", CHALLENGE_PARAMS_MAX + 1));
	assert_true(add_list("", "Basic", CHALLENGE_SCHEMES_MAX));
	assert_false(add_list("", "Basic", CHALLENGE_SCHEMES_MAX + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_fields_add_up),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests_name("fetchd http challenge", tests, NULL, NULL);
}
