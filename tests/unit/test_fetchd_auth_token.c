/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: which realms are allowed, the request, and which answers are valid. */

/* Own */
#include "tests/unit/fetchd_settings.h"

/* The code under test */
#include "fetchd/auth/token.h"

static const struct {
	const char *registry, *realm;
	bool right;
	enum guard_zone nearest;
} realms[] = {
    {"https://reg.example", "https://auth.example/token", true, ZONE_PRIVATE},
    {"https://reg.example", "https://auth.example:8443/token?a=b", true, ZONE_PRIVATE},
    {"https://reg.example", "https://reg.example/token", true, ZONE_ANY},
    {"https://reg.example", "https://reg.example:444/token", true, ZONE_PRIVATE},
    {"https://reg.example", "https://10.255.0.1/token", true, ZONE_PRIVATE},
    {"https://reg.example", "http://auth.example/token", false, ZONE_ANY},
    {"https://reg.example", "http://reg.example/token", false, ZONE_ANY},
    {"https://reg.example", "http://localhost/token", false, ZONE_ANY},
    {"https://reg.example", "https://localhost/token", false, ZONE_ANY},
    {"https://reg.example", "https://127.0.0.1/token", false, ZONE_ANY},
    {"https://reg.example", "https://127.1/token", false, ZONE_ANY},
    {"https://reg.example", "https://2130706433/token", false, ZONE_ANY},
    {"https://reg.example", "https://0x7f000001/token", false, ZONE_ANY},
    {"https://reg.example", "https://0177.0.0.1/token", false, ZONE_ANY},
    {"https://reg.example", "https://[::1]/token", false, ZONE_ANY},
    {"https://reg.example", "https://[::ffff:127.0.0.1]/token", false, ZONE_ANY},
    {"https://reg.example", "https://169.254.169.254/latest/meta-data", false, ZONE_ANY},
    {"https://reg.example", "https://[fd00:ec2::254]/", false, ZONE_ANY},
    {"https://reg.example", "https://user@auth.example/token", false, ZONE_ANY},
    {"https://reg.example", "https://user:word@auth.example/token", false, ZONE_ANY},
    {"https://reg.example", "https://auth.example/token#x", false, ZONE_ANY},
    {"https://reg.example", "file:///etc/passwd", false, ZONE_ANY},
    {"https://reg.example", "ftp://auth.example/", false, ZONE_ANY},
    {"https://reg.example", "/token", false, ZONE_ANY},
    {"https://reg.example", "auth.example", false, ZONE_ANY},
    {"https://reg.example", "", false, ZONE_ANY},
    {"https://reg.example", "https://auth.example/a b", false, ZONE_ANY},
    {"http://10.255.0.1:5000", "http://10.255.0.1:5000/token", true, ZONE_ANY},
    {"http://10.255.0.1:5000", "http://10.255.0.1:5001/token", false, ZONE_ANY},
    {"http://10.255.0.1:5000", "http://127.0.0.1:5001/token", false, ZONE_ANY},
    {"http://10.255.0.1:5000", "https://auth.example/token", true, ZONE_PRIVATE},
    {"http://127.0.0.1:5000", "http://127.0.0.1:5001/token", true, ZONE_LOOPBACK},
    {"http://localhost:5000", "https://127.0.0.1:5001/token", true, ZONE_LOOPBACK},
    {"http://localhost:5000", "http://[::1]/token", true, ZONE_LOOPBACK},
    {"http://localhost:5000", "http://auth.example/token", false, ZONE_ANY},
    {"https://localhost:5000", "http://localhost:5001/token", false, ZONE_ANY},
    {"https://localhost:5000", "https://localhost:5001/token", true, ZONE_LOOPBACK},
    /* These have sections. */
    {"https://reg.example", "http://plain.example/token", true, ZONE_PRIVATE},
    {"http://reg.example", "http://plain.example:80/token", true, ZONE_PRIVATE},
    {"http://reg.example", "http://plain.example:81/token", false, ZONE_ANY},
    {"https://reg.example", "http://10.255.0.2/token", true, ZONE_PRIVATE},
    {"https://reg.example", "http://127.0.0.1:7/token", false, ZONE_ANY},
    {"https://reg.example", "http://tls.example/token", false, ZONE_ANY},
};

static void test_realm(void **state)
{
	struct settings s;
	struct unit_dir d;
	struct reason reason;
	char path[FILE_PATH_SIZE], words[FILE_PATH_SIZE + 16];
	(void)state;
	unit_dir_make(&d);
	unit_write_text(&d, "conf",
			"[registry plain.example]\nplain_http = yes\n[registry 10.255.0.2]\nplain_http = yes\n"
			"[registry 127.0.0.1:7]\nplain_http = yes\n[registry tls.example]\nplain_http = no\n");
	(void)snprintf(words, sizeof(words), "--config=%s", unit_path(&d, "conf", path));
	assert_int_equal(unit_settings(words, &s, &reason), 0);
	unit_dir_remove(&d);
	for (size_t i = 0; i < LEN(realms); i++) {
		struct origin registry, realm;
		struct reason why = {""};
		enum guard_zone nearest = ZONE_ANY;
		assert_int_equal(origin_of(realms[i].registry, &registry, &why), 0);
		int r = token_check_realm(realms[i].realm, &registry, guard_host_zone(registry.host), &s, &realm,
					  &nearest, &why);
		if ((r == 0) != realms[i].right || nearest != realms[i].nearest)
			fail_msg("%s of %s: %d %d", realms[i].realm, realms[i].registry, r, nearest);
		assert_int_equal(r < 0, why.text[0] != '\0');
	}
}

static void assert_request(const struct challenge *c, const char *name, const struct credential *credential,
			   const char *url, const char *form)
{
	struct buf have_url = BUF_INIT, have_form = BUF_INIT;
	assert_int_equal(token_request(c, name, credential, &have_url, &have_form), 0);
	assert_string_equal(have_url.data, url);
	if (form)
		assert_string_equal(have_form.data, form);
	else
		assert_null(have_form.data);
	buf_release(&have_url);
	buf_release(&have_form);
}

/* No text of a registry can end a value or a line. */
static void test_request(void **state)
{
	static char identity_text[] = "id&=";
	static const struct credential none, identity = {CREDENTIAL_IDENTITY, {identity_text, 4, 5}, {0}};
	(void)state;
	assert_request(&(struct challenge){.realm = "https://a/t", .service = "reg", .scope = "repository:b/c:pull"},
		       "x", &none, "https://a/t?service=reg&scope=repository%3Ab%2Fc%3Apull", NULL);
	assert_request(&(struct challenge){.realm = "https://a/t?k=v", .scope = " one  two "}, "x", &none,
		       "https://a/t?k=v&scope=one&scope=two", NULL);
	assert_request(&(struct challenge){.realm = "https://a/t"}, "b/c", &none,
		       "https://a/t?scope=repository%3Ab%2Fc%3Apull", NULL);
	assert_request(&(struct challenge){.realm = "https://a/t"}, "", &none, "https://a/t", NULL);
	assert_request(&(struct challenge){.realm = "https://a/t", .service = "a&b=c#d\r\nX: y", .scope = "%26&"}, "x",
		       &none, "https://a/t?service=a%26b%3Dc%23d%0D%0AX%3A%20y&scope=%2526%26", NULL);
	assert_request(&(struct challenge){.realm = "https://a/t", .service = "r", .scope = "one two"}, "x", &identity,
		       "https://a/t",
		       "grant_type=refresh_token&service=r&client_id=sluice&scope=one%20two&refresh_token=id%26%3D");
}

static void test_parse(void **state)
{
	static const struct {
		const char *answer;
		const char *token; /* NULL: refused */
		uint64_t life_ms;
	} rows[] = {
	    {"{\"token\":\"abc\"}", "abc", 60000},
	    {"{\"access_token\":\"abc\"}", "abc", 60000},
	    {"{\"token\":\"abc\",\"access_token\":\"def\",\"expires_in\":300}", "abc", 300000},
	    {"{\"token\":\"\",\"access_token\":\"def\",\"expires_in\":1}", "def", 1000},
	    {"{\"token\":\"abc\",\"expires_in\":0}", "abc", 60000},
	    {"{\"token\":\"abc\",\"expires_in\":-5}", "abc", 60000},
	    {"{\"token\":\"abc\",\"expires_in\":\"300\"}", "abc", 60000},
	    {"{\"token\":\"abc\",\"expires_in\":9223372036854775807}", "abc", UINT64_C(1000) * TOKEN_LIFE_MAX_S},
	    {"{\"token\":\"a b\"}", NULL, 0},
	    {"{\"token\":\"a\\r\\nX: secret\"}", NULL, 0},
	    {"{\"token\":7}", NULL, 0},
	    {"{\"token\":\"\"}", NULL, 0},
	    {"{}", NULL, 0},
	    {"[]", NULL, 0},
	    {"secret", NULL, 0},
	    {"", NULL, 0},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf token = BUF_INIT;
		struct reason why = {""};
		uint64_t life_ms = 0;
		int r = token_parse(span_str(rows[i].answer), &token, &life_ms, &why);
		assert_int_equal(r, rows[i].token ? 0 : -EINVAL);
		assert_string_equal(token.data ? token.data : "", rows[i].token ? rows[i].token : "");
		assert_int_equal(life_ms, rows[i].life_ms);
		assert_int_equal(r < 0, why.text[0] != '\0');
		assert_null(strstr(why.text, "secret"));
		buf_wipe(&token);
	}
}

static bool takes_token_of(size_t len)
{
	static char answer[TOKEN_MAX + 64];
	struct buf token = BUF_INIT;
	uint64_t life_ms;
	int at = snprintf(answer, sizeof(answer), "{\"token\":\"");
	memset(answer + at, 'x', len);
	(void)snprintf(answer + at + len, sizeof(answer) - (size_t)at - len, "\"}");
	int r = token_parse(span_str(answer), &token, &life_ms, NULL);
	buf_release(&token);
	return r == 0;
}

static void test_limit(void **state)
{
	(void)state;
	assert_true(takes_token_of(TOKEN_MAX));
	assert_false(takes_token_of(TOKEN_MAX + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_realm),
	    cmocka_unit_test(test_request),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("fetchd auth token", tests, NULL, NULL);
}
