/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the body of a refusal. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/refusal.h"

#define DIGITS "0123456789"
#define MANY   DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS
#define ODD    "{\"errors\":[{\"code\":\"A\\u001b[31m\",\"message\":\"b\\nc\\u202ed \\u00fc\"}]}"

static const struct buf none;

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
	    {"<html><head><title>400 No required SSL certificate was sent</title></head></html>",
	     ": the server requires a client certificate: set client_cert under [registry HOST] in sluice.conf"},
	    {"<center>The SSL certificate error</center>", ": the server does not accept the client certificate"},
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
		refusal_explain(span_str(rows[i].body), &none, &why);
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
	refusal_explain(span_of(body, REFUSAL_BODY_MAX + 1), &none, &why);
	assert_string_equal(why.text, "403");
	refusal_explain(span_of(body, REFUSAL_BODY_MAX), &none, &why);
	assert_string_equal(why.text, "403: blocked");
}

/* What was sent is not shown, however it is quoted. */
static void test_sent(void **state)
{
	static const struct {
		const char *body, *want;
	} rows[] = {
	    {"{\"message\":\"signature 0123456789abcdef+/= is wrong\"}", ": signature *** is wrong"},
	    {"{\"message\":\"0123456789ABCDEF%2b%2F%3D\"}", ": ***"},
	    {"{\"message\":\"X-Sig=0123456789abcdef... has expired\"}", ": X-Sig=***... has expired"},
	    {"{\"message\":\"X-Sig=0123456789abcde has expired\"}", ": X-Sig=0123456789abcde has expired"},
	    {"{\"message\":\"no 87654321, 8765432, or of another name\"}", ": no ***, 8765432, or of another name"},
	    {"{\"message\":\"the bare one\"}", ": the ***"},
	    {"{\"error\":\"token eyJhbGciOi.J9.x is unknown\"}", ": token *** is unknown"},
	    {"{\"errors\":[{\"code\":\"eyJhbGciOi.J9.x\",\"message\":\"[eyJhbGciOi.J9.x]\"}]}", ": ***: [***]"},
	    {"{\"errors\":[{\"code\":\"opaque secret\"}]}", ": ***"},
	};
	struct buf sent = BUF_INIT;
	(void)state;
	assert_int_equal(
	    refusal_add_values(&sent, "X-Sig=0123456789abcdef%2B%2F%3D&n=87654321&m=8765432&bare one&&=&%", NULL), 0);
	assert_int_equal(refusal_add_values(&sent, "a=of another name&b=", "b"), 0);
	assert_int_equal(refusal_add_authorization(&sent, "Bearer eyJhbGciOi.J9.x"), 0);
	assert_int_equal(refusal_add_authorization(&sent, "X-Token: opaque secret"), 0);
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why;
		reason_set(&why, "403");
		refusal_explain(span_str(rows[i].body), &sent, &why);
		if (strcmp(why.text + 3, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].body, why.text);
	}
	buf_wipe(&sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bodies),
	    cmocka_unit_test(test_sent),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("fetchd http refusal", tests, NULL, NULL);
}
