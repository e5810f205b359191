/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the body of a refusal. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/refusal.h"

#define DIGITS "0123456789"
#define MANY   DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS
#define ODD    "{\"errors\":[{\"code\":\"A\\u001b[31m\",\"message\":\"b\\nc\\u202ed \\u00fc\"}]}"

static void test_bodies(void **state)
{
	static const struct {
		const char *body, *want; /* behind "403" */
	} rows[] = {
	    {"", ""},
	    {"{}", ""},
	    {"[]", ""},
	    {"denied", ""},
	    {"<html>denied</html>", ""},
	    {"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"not from 192.0.2.7\"}]}", ": DENIED: not from 192.0.2.7"},
	    {"{\"errors\":[{\"code\":\"DENIED\"}]}", ": DENIED"},
	    {"{\"errors\":[{\"message\":\"quota\"}]}", ": quota"},
	    {"{\"errors\":[{\"code\":\"A\",\"message\":\"\",\"detail\":\"quota\"}]}", ": A: quota"},
	    {"{\"errors\":[{\"code\":\"A\",\"detail\":{\"Tag\":\"x\"}}]}", ": A"},
	    {"{\"errors\":[{\"code\":\"A\"},{\"code\":\"B\"}]}", ": A"},
	    {"{\"errors\":[{\"code\":7,\"message\":null}]}", ""},
	    {"{\"errors\":[7]}", ""},
	    {"{\"errors\":[]}", ""},
	    {"{\"errors\":{\"code\":\"A\"}}", ""},
	    {"{\"errors\":[{\"code\":\"DENIED\"}", ""}, /* cut off */
	    {"{\"error\":\"invalid_grant\"}", ": invalid_grant"},
	    {"{\"error\":\"invalid_grant\",\"error_description\":\"expired\"}", ": expired"},
	    {"{\"details\":\"incorrect username or password\"}", ": incorrect username or password"},
	    {"{\"message\":\"blocked\"}", ": blocked"},
	    {"{\"message\":\"Route GET:/a?sig=canary&b=canary not found\"}", ": Route GET:/a?*** not found"},
	    {"{\"message\":\"cannot get '/a?canary'\"}", ": cannot get '/a?***'"},
	    {"{\"message\":\"who? are you?\"}", ": who? are you?"},
	    {"{\"errors\":[{\"code\":\"A?canary\",\"message\":\"?canary\"}]}", ": A?***: ?***"},
	    {"{\"error\":\"bad 'Authorization: bearer canarycanarycana'\"}", ": bad 'Authorization: bearer ***'"},
	    {"{\"error\":\"basic Y2FuYXJ5OmNhbmFyeQ==\"}", ": basic ***"},
	    {"{\"error\":\"Bearer authentication, or xbasic authentication-required\"}",
	     ": Bearer authentication, or xbasic authentication-required"},
	    {"{\"error\":\"" MANY MANY "?canary\"}", ": " MANY MANY},
	    {ODD, ": A\\x1b[31m: b\\x0ac\\xe2\\x80\\xaed ü"},
	    {"{\"message\":\"" MANY MANY "01\"}", ": " MANY MANY},
	    {"Client sent an HTTP request to an HTTPS server.\n",
	     ": this port speaks TLS; set plain_http = no under [registry HOST] in sluice.conf"},
	    {"<center>The plain HTTP request was sent to HTTPS port</center>",
	     ": this port speaks TLS; set plain_http = no under [registry HOST] in sluice.conf"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why;
		reason_set(&why, "403");
		refusal_explain(span_str(rows[i].body), &why);
		if (strncmp(why.text, "403", 3) != 0 || strcmp(why.text + 3, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].body, why.text);
	}
}

/* At the limit, and one byte past it. */
static void test_limit(void **state)
{
	static char body[REFUSAL_BODY_MAX + 2] = "{\"message\":\"blocked\"}";
	struct reason why;
	(void)state;
	memset(body + strlen(body), ' ', sizeof(body) - 1 - strlen(body));
	reason_set(&why, "403");
	refusal_explain(span_of(body, REFUSAL_BODY_MAX + 1), &why);
	assert_string_equal(why.text, "403");
	refusal_explain(span_of(body, REFUSAL_BODY_MAX), &why);
	assert_string_equal(why.text, "403: blocked");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bodies),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("fetchd http refusal", tests, NULL, NULL);
}
