/* SPDX-License-Identifier: Apache-2.0 */
/* How a transfer logs in: which credentials it sends and when, and what follows from each refusal. */

/* Own */
#include "tests/unit/fetchd_settings.h"
#include "tests/unit/stand_in_http.h"
#include "tests/unit/stand_in_keeper.h"
#include "tests/unit/stand_in_loop.h"

/* The code under test */
#include "fetchd/auth/login.h"
#include "fetchd/config/terms.h"

static const struct origin home = {.tls = true, .port = 443, .host = "reg.io"};
static const struct pass_account who = {.origin = &home, .host = "reg.io", .name = "app"};
static const struct reason unauthorized = {"401 Unauthorized"}, forbidden = {"403 Forbidden"};

struct scene {
	struct unit_dir dir;
	struct settings settings;
	struct loop *loop;
	struct http *http;
	struct keeper keeper;
	struct passes *passes;
	struct login login;
	struct failure failure;
	enum login_verdict verdict; /* of the pending login */
	unsigned heard;
};

static void on_pass(void *self, const struct pass_answer *answer)
{
	struct scene *c = self;
	c->verdict = login_take(&c->login, &who, answer, &c->failure);
	c->heard++;
}

static bool never(int fd)
{
	(void)fd;
	return false;
}

/* `auth`: the entry for reg.io in the file of credentials, or NULL: there is none. */
static void begin(struct scene *c, const char *auth)
{
	struct reason why;
	char path[FILE_PATH_SIZE], text[256], words[FILE_PATH_SIZE + 16];
	memset(c, 0, sizeof(*c));
	unit_dir_make(&c->dir);
	(void)snprintf(text, sizeof(text), "{\"auths\":{\"reg.io\":{%s}}}", auth ? auth : "");
	unit_write_text(&c->dir, "auth.json", text);
	(void)snprintf(words, sizeof(words), "--auth-file=%s", unit_path(&c->dir, "auth.json", path));
	if (unit_settings(words, &c->settings, &why) < 0)
		fail_msg("%s", why.text);
	assert_int_equal(setenv("HOME", c->dir.path, 1), 0);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	c->loop = stand_in_loop_begin(never);
	assert_int_equal(http_new(c->loop, &c->http), 0);
	c->keeper = (struct keeper){c->loop, c->settings.auth_file};
	assert_int_equal(passes_new(&c->keeper, c->http, &c->settings, &c->passes), 0);
	login_init(&c->login, c->passes, on_pass, c);
}

static void finish(struct scene *c)
{
	login_release(&c->login);
	passes_free(c->passes);
	http_free(c->http);
	stand_in_loop_end();
	unit_dir_remove(&c->dir);
}

static struct challenge challenge_of(const char *text)
{
	struct challenge c = {0};
	assert_true(challenge_add(&c, span_str(text)));
	return c;
}

/* What comes of it once the keeper has answered. */
static enum login_verdict challenged(struct scene *c, const char *text)
{
	struct challenge challenge = challenge_of(text);
	unsigned heard = c->heard;
	enum login_verdict verdict = login_challenged(&c->login, &who, &challenge, &unauthorized, &c->failure);
	if (verdict == LOGIN_WAIT)
		loop_turn(c->loop, false);
	return c->heard > heard ? c->verdict : verdict;
}

#define BASIC  "Basic realm=x"
#define BEARER "Bearer realm=\"https://auth.io/token\",scope=\"repository:app:pull\""
#define USER   "\"auth\":\"dTpw\""

/* No credentials before a challenge, then the password, which is not tried twice. */
static void test_password(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, USER);
	assert_int_equal(login_present(&c.login, &who, &c.failure), LOGIN_ASK);
	assert_null(login_value(&c.login));
	login_note_request(&c.login, false);
	assert_int_equal(challenged(&c, BASIC), LOGIN_ASK);
	assert_string_equal(login_value(&c.login), "Basic dTpw");
	login_note_request(&c.login, true);
	assert_int_equal(challenged(&c, BASIC), LOGIN_REFUSED);
	assert_int_equal(c.failure.class, FAIL_DENIED);
	assert_string_equal(c.failure.why.text, "401 Unauthorized: the credentials for 'reg.io' were refused");
	finish(&c);
}

static void test_no_credentials(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, NULL);
	assert_int_equal(challenged(&c, BASIC), LOGIN_REFUSED);
	assert_int_equal(c.failure.class, FAIL_DENIED);
	assert_non_null(strstr(c.failure.why.text, "no credentials for 'reg.io'"));
	assert_int_equal(challenged(&c, "Negotiate"), LOGIN_REFUSED);
	assert_non_null(strstr(c.failure.why.text, "not supported"));
	finish(&c);
}

/* A token is requested once. The next transfer from the repository sends it at once. */
static void test_token(void **state)
{
	static const char answer[] = "{\"token\":\"abc\",\"expires_in\":300}";
	struct scene c;
	(void)state;
	begin(&c, NULL);
	assert_int_equal(challenged(&c, BEARER), LOGIN_WAIT);
	struct exchange *x = stand_in_last();
	assert_string_equal(x->url, "https://auth.io/token?scope=repository%3Aapp%3Apull");
	assert_string_equal(x->authorization, "");
	assert_true(stand_in_head(x, "HTTP/1.1 200 OK"));
	assert_int_equal(stand_in_body(x, (const uint8_t *)answer, strlen(answer)), strlen(answer));
	stand_in_end(x, HTTP_WHOLE, "");
	assert_int_equal(c.heard, 1);
	assert_int_equal(c.verdict, LOGIN_ASK);
	assert_string_equal(login_value(&c.login), "Bearer abc");
	login_forget(&c.login);
	assert_null(login_value(&c.login));
	assert_int_equal(login_present(&c.login, &who, &c.failure), LOGIN_ASK);
	assert_string_equal(login_value(&c.login), "Bearer abc");

	/* refused in mid-transfer: another transfer had requested it, so a new one is worth a try */
	login_note_request(&c.login, true);
	login_progress(&c.login);
	assert_int_equal(challenged(&c, BEARER), LOGIN_WAIT);
	stand_in_end(stand_in_last(), HTTP_BROKEN_OFF, "closed");
	assert_int_equal(c.verdict, LOGIN_RETRY);
	assert_int_equal(c.failure.class, FAIL_AGAIN);
	finish(&c);
}

static void test_refused_token(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, USER);
	assert_int_equal(challenged(&c, BEARER), LOGIN_WAIT);
	assert_string_equal(stand_in_last()->authorization, "Basic dTpw");
	assert_true(stand_in_head(stand_in_last(), "HTTP/1.1 503 X\nRetry-After: 9"));
	stand_in_end(stand_in_last(), HTTP_WHOLE, "");
	assert_int_equal(c.verdict, LOGIN_RETRY);
	assert_int_equal(c.failure.http_status, 503);
	assert_int_equal(c.failure.retry_after_ms, 9000);
	assert_int_equal(challenged(&c, BEARER), LOGIN_WAIT);
	static const char body[] = "{\"details\":\"locked\"}";
	assert_true(stand_in_head(stand_in_last(), "HTTP/1.1 403 X"));
	(void)stand_in_body(stand_in_last(), (const uint8_t *)body, strlen(body));
	stand_in_end(stand_in_last(), HTTP_BROKEN_OFF, "closed"); /* as it said, however it ends */
	assert_int_equal(c.verdict, LOGIN_REFUSED);
	assert_non_null(strstr(c.failure.why.text, "403 Forbidden: locked for the credentials of 'reg.io'"));

	/* a realm that must not be used */
	assert_int_equal(challenged(&c, "Bearer realm=\"http://auth.io/token\""), LOGIN_REFUSED);
	assert_non_null(strstr(c.failure.why.text, "has no TLS"));
	finish(&c);
}

/* Some registries answer 403 to an expired token, and send a challenge only to a request without one. */
static void test_forbidden(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, USER);
	login_note_request(&c.login, false);
	assert_int_equal(login_forbidden(&c.login, &forbidden, &c.failure), LOGIN_REFUSED);
	assert_string_equal(c.failure.why.text, "403 Forbidden");
	assert_int_equal(challenged(&c, BASIC), LOGIN_ASK);
	login_note_request(&c.login, true);
	assert_int_equal(login_forbidden(&c.login, &forbidden, &c.failure), LOGIN_REFUSED); /* the token is new */
	login_progress(&c.login);
	assert_int_equal(login_forbidden(&c.login, &forbidden, &c.failure), LOGIN_ASK);
	assert_null(login_value(&c.login));
	finish(&c);
}

/* The password of an order is used for it alone, and what this process has is used for nobody who is lax. */
static void test_terms(void **state)
{
	static const struct {
		const char *policy;
		size_t len;
		const char *want; /* NULL: none */
	} rows[] = {
	    {"\x0a\0\4YTpi", 7, "Basic YTpi"},
	    {"\x09\0\0", 3, NULL},
	    {"\2\0\1\1", 4, NULL},
	    {"\1\0\1\0", 4, NULL},
	    {"\3\0\0", 3, NULL},
	    {"\1\0\1\1", 4, "Basic dTpw"},
	    {"\6\0\x08\0\0\0\0\0\0\0\1", 11, "Basic dTpw"},
	};
	struct terms_table table = {.last_number = 0};
	struct challenge challenge = challenge_of(BASIC);
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		struct terms *terms;
		begin(&c, USER);
		assert_int_equal(challenged(&c, BASIC), LOGIN_ASK);
		assert_int_equal(terms_take(&table, span_of(rows[i].policy, rows[i].len), &terms), 0);
		struct pass_account under = who;
		under.terms = terms;
		assert_int_equal(login_present(&c.login, &under, &c.failure), LOGIN_ASK);
		assert_null(login_value(&c.login)); /* not that of the process, which it has already */
		login_note_request(&c.login, false);
		enum login_verdict verdict = login_challenged(&c.login, &under, &challenge, &unauthorized, &c.failure);
		if (verdict == LOGIN_WAIT) {
			loop_turn(c.loop, false);
			verdict = c.verdict;
		}
		assert_int_equal(verdict, rows[i].want ? LOGIN_ASK : LOGIN_REFUSED);
		if (rows[i].want)
			assert_string_equal(login_value(&c.login), rows[i].want);
		assert_int_equal(login_present(&c.login, &who, &c.failure), LOGIN_ASK);
		assert_string_equal(login_value(&c.login), "Basic dTpw"); /* for others as before */
		login_forget(&c.login);
		terms_drop(terms);
		struct terms *gone = terms_expired(&table, UINT64_MAX);
		assert_ptr_equal(gone, terms);
		passes_forget_terms(c.passes, gone);
		terms_free(gone);
		finish(&c);
	}
}

/* A realm in a private network needs a certificate that is verified, or a section, if the registry is outside. */
static void test_unverified_realm(void **state)
{
	static const struct {
		bool skip_verify, has_section;
		const char *challenge;
		enum guard_zone want;
	} rows[] = {
	    {false, false, BEARER, ZONE_PRIVATE},
	    {true, false, BEARER, ZONE_PUBLIC},
	    {true, true, BEARER, ZONE_PRIVATE},
	    {true, false, "Bearer realm=\"https://reg.io/token\"", ZONE_ANY},
	};
	struct pass_account outside = who;
	(void)state;
	outside.zone = ZONE_PUBLIC;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		begin(&c, NULL);
		registries_add(&c.settings.registries, "reg.io")->tls.skip_verify = rows[i].skip_verify;
		if (rows[i].has_section)
			registries_add(&c.settings.registries, "auth.io")->is_named = true;
		struct challenge challenge = challenge_of(rows[i].challenge);
		assert_int_equal(login_challenged(&c.login, &outside, &challenge, &unauthorized, &c.failure),
				 LOGIN_WAIT);
		loop_turn(c.loop, false);
		assert_int_equal(stand_in_last()->nearest, rows[i].want);
		finish(&c);
	}
}

/* Whoever requests something and leaves before the realm answers, again and again, keeps nobody else from logging in. */
static void test_abandoned(void **state)
{
	struct challenge challenge = challenge_of(BEARER);
	struct pass_answer answer;
	struct scene c;
	char name[32];
	(void)state;
	begin(&c, NULL);
	for (unsigned i = 0; i < PASSES_MAX + 8; i++) {
		struct pass_account other = who;
		struct pass_wait wait = {.go = on_pass, .self = &c};
		(void)snprintf(name, sizeof(name), "other/%u", i);
		other.name = name;
		assert_int_equal(pass_login(c.passes, &other, &challenge, 0, &wait, &answer), 0);
		loop_turn(c.loop, false);
		pass_leave(&wait);
	}
	assert_int_equal(challenged(&c, BEARER), LOGIN_WAIT);
	finish(&c);
}

/* A pass that somebody waits for is not dropped for another; then a retry may succeed. */
static void test_full(void **state)
{
	static struct pass_wait waits[PASSES_MAX];
	struct challenge challenge = challenge_of(BEARER);
	struct pass_answer answer;
	struct scene c;
	char name[32];
	(void)state;
	begin(&c, NULL);
	for (unsigned i = 0; i < PASSES_MAX; i++) {
		struct pass_account other = who;
		waits[i] = (struct pass_wait){.go = on_pass, .self = &c};
		(void)snprintf(name, sizeof(name), "other/%u", i);
		other.name = name;
		assert_int_equal(pass_login(c.passes, &other, &challenge, 0, &waits[i], &answer), 0);
	}
	assert_int_equal(challenged(&c, BEARER), LOGIN_RETRY);
	pass_leave(&waits[PASSES_MAX / 2]);
	assert_int_equal(challenged(&c, BEARER), LOGIN_WAIT);
	for (unsigned i = 0; i < PASSES_MAX; i++)
		pass_leave(&waits[i]);
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_terms),
	    cmocka_unit_test(test_password),
	    cmocka_unit_test(test_no_credentials),
	    cmocka_unit_test(test_token),
	    cmocka_unit_test(test_refused_token),
	    cmocka_unit_test(test_forbidden),
	    cmocka_unit_test(test_unverified_realm),
	    cmocka_unit_test(test_abandoned),
	    cmocka_unit_test(test_full),
	};
	return cmocka_run_group_tests_name("fetchd auth login", tests, NULL, NULL);
}
