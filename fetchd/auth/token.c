/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/auth/token.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"
#include "common/oci/reference.h"

/* Own */
#include "fetchd/config/policy.h"
#include "fetchd/http/judge.h"
#include "fetchd/http/syntax.h"

#define CLIENT_ID "sluice"

int token_check_realm(const char *realm, const struct origin *registry, enum guard_zone zone, struct origin *ret_realm,
		      enum guard_zone *ret_nearest, struct reason *why)
{
	struct reason inner = {"out of memory"};
	struct origin at;
	int r = strchr(realm, '#') ? -EINVAL : origin_of(realm, &at, &inner);
	if (r < 0) {
		reason_set(why, "cannot use the token realm: %s",
			   r == -ENOMEM || !strchr(realm, '#') ? inner.text : "it has a fragment");
		return r;
	}
	bool is_own = origin_eq(&at, registry);
	bool is_at_home = host_is_loopback(registry->host);
	if (!at.tls && !is_own && !(is_at_home && !registry->tls && host_is_loopback(at.host))) {
		reason_set(why, "the token realm '%s' has no TLS", at.host);
		return -EINVAL;
	}
	enum guard_zone nearest = is_own ? ZONE_ANY : guard_nearest(zone, at.tls);
	enum guard_zone to = guard_host_zone(at.host);
	if (to < nearest) {
		reason_set(why, "the token realm '%s' is %s", at.host, guard_zone_text(to));
		return -EINVAL;
	}
	*ret_realm = at;
	*ret_nearest = nearest;
	return 0;
}

static int append_field(struct buf *out, char separator, const char *name, struct span value)
{
	int r = separator != '\0' ? buf_append(out, &separator, 1) : 0;
	if (r == 0)
		r = buf_appendf(out, "%s=", name);
	return r < 0 ? r : url_append_escaped(value, out);
}

/* Several scopes stand in a challenge with blanks between them, and in a query each for itself. */
static int append_query(struct buf *url, const struct challenge *c, const char *scope)
{
	char separator = strchr(c->realm, '?') ? '&' : '?';
	int r = 0;
	if (c->service[0] != '\0') {
		r = append_field(url, separator, "service", span_str(c->service));
		separator = '&';
	}
	for (const char *p = scope + strspn(scope, " "); *p != '\0' && r == 0; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		r = append_field(url, separator, "scope", span_of(p, len));
		separator = '&';
		p += len;
	}
	return r;
}

static int append_form(struct buf *form, const struct challenge *c, const char *scope, const struct buf *identity)
{
	int r = buf_reserve(form, 3 * identity->len + 8192); /* so that no piece of it is left behind in the heap */
	if (r == 0)
		r = append_field(form, '\0', "grant_type", span_str("refresh_token"));
	if (r == 0)
		r = append_field(form, '&', "service", span_str(c->service));
	if (r == 0)
		r = append_field(form, '&', "client_id", span_str(CLIENT_ID));
	if (r == 0 && scope[0] != '\0')
		r = append_field(form, '&', "scope", span_str(scope));
	return r < 0 ? r : append_field(form, '&', "refresh_token", buf_span(identity));
}

int token_request(const struct challenge *c, const char *name, const struct credential *credential, struct buf *url,
		  struct buf *form)
{
	char to_pull[REFERENCE_NAME_MAX + sizeof("repository::pull")] = "";
	if (name[0] != '\0')
		(void)snprintf(to_pull, sizeof(to_pull), "repository:%s:pull", name);
	const char *scope = c->scope[0] != '\0' ? c->scope : to_pull;
	int r = buf_append_str(url, c->realm);
	if (r < 0)
		return r;
	return credential->kind == CREDENTIAL_IDENTITY ? append_form(form, c, scope, &credential->value)
						       : append_query(url, c, scope);
}

int token_parse(struct span answer, struct buf *ret_token, uint64_t *ret_life_ms, struct reason *why)
{
	AUTO_JSON root = NULL;
	uint64_t life_s = 0;
	int r = json_parse(answer, &root, NULL); /* its reason would quote the text near the mistake */
	if (r < 0) {
		reason_set(why, "the answer is not valid JSON");
		return r;
	}
	const char *token = json_member_text(root, "token");
	if (!token || token[0] == '\0')
		token = json_member_text(root, "access_token");
	if (!token || !syntax_is_visible(token, TOKEN_MAX)) {
		reason_set(why, token ? "the token in the answer is malformed" : "there is no token in the answer");
		return -EINVAL;
	}
	/* Some servers send 0 for "unknown"; docker and podman treat it so. */
	if (!json_member_u64(root, "expires_in", &life_s) || life_s == 0)
		life_s = TOKEN_LIFE_DEFAULT_S;
	buf_clear(ret_token);
	r = buf_append_str(ret_token, token);
	if (r < 0)
		return r;
	*ret_life_ms = 1000 * (life_s < TOKEN_LIFE_MAX_S ? life_s : TOKEN_LIFE_MAX_S);
	return 0;
}

struct token_run {
	struct exchange *exchange;
	token_done *done;
	void *self;
	struct judgement judgement;
	struct token_answer answer;
	struct buf body; /* wiped */
	char at[ORIGIN_TEXT_SIZE];
};

static void run_free(struct token_run *run)
{
	buf_wipe(&run->body);
	free(run);
}

static bool on_head(void *self, const struct response *r)
{
	static const struct want want = {.size = SIZE_UNKNOWN, .size_max = TOKEN_ANSWER_MAX, .parsed = true};
	struct token_run *run = self;
	response_judge(r, &want, &run->judgement);
	run->answer.failure.http_status = (uint16_t)r->status;
	run->answer.failure.retry_after_ms = r->retry_after_ms;
	return run->judgement.verdict == VERDICT_TAKE;
}

static enum body_answer on_body(void *self, const void *data, size_t len)
{
	struct token_run *run = self;
	if (len <= TOKEN_ANSWER_MAX - run->body.len && buf_append(&run->body, data, len) == 0)
		return BODY_TAKEN;
	run->judgement.verdict = VERDICT_REFUSE;
	run->judgement.fail = FAIL_BAD_DATA;
	reason_set(&run->judgement.why, "the answer is longer than %u bytes", TOKEN_ANSWER_MAX);
	return BODY_STOP;
}

static void fail(struct token_run *run, enum fail_class class, bool retry, const char *why)
{
	run->answer.failure.class = class;
	run->answer.retry = retry;
	reason_set(&run->answer.failure.why, "no token from '%s': %s", run->at, why);
}

static void settle_refusal(struct token_run *run)
{
	const struct judgement *j = &run->judgement;
	if (j->verdict == VERDICT_REDIRECT)
		fail(run, FAIL_BAD_DATA, false, "it redirects, which is not followed");
	else if (j->verdict == VERDICT_RETRY)
		fail(run, j->fail, true, j->why.text);
	else /* a realm's 404 does not mean that the content is missing */
		fail(run, j->fail == FAIL_NOT_FOUND ? FAIL_DENIED : j->fail, false, j->why.text);
}

static void settle_whole(struct token_run *run, struct buf *token)
{
	struct reason why = {"out of memory"};
	int r = token_parse(buf_span(&run->body), token, &run->answer.life_ms, &why);
	if (r < 0)
		fail(run, r == -ENOMEM ? FAIL_AGAIN : FAIL_BAD_DATA, r == -ENOMEM, why.text);
	else
		run->answer.token = token->data;
}

static void on_end(void *self, enum http_end end, int error, const struct reason *why)
{
	struct token_run *run = self;
	struct buf token = BUF_INIT;
	(void)error;
	bool no_peer = end == HTTP_NO_ADDRESS || end == HTTP_NO_CONNECTION || end == HTTP_NO_TLS;
	if (end == HTTP_WHOLE)
		settle_whole(run, &token);
	else if (end == HTTP_STOPPED)
		settle_refusal(run);
	else if (end == HTTP_REFUSED || end == HTTP_DENIED)
		fail(run, end == HTTP_DENIED ? FAIL_DENIED : FAIL_BAD_DATA, false, why->text);
	else
		fail(run, no_peer ? FAIL_UNAVAILABLE : FAIL_AGAIN, true, why->text);
	run->done(run->self, &run->answer);
	buf_wipe(&token);
	run_free(run);
}

static const struct http_hooks hooks = {on_head, on_body, on_end};

/*
 * A private CA may have signed the realm's certificate too, but our client certificate is for the registry alone. What
 * is filled in is borrowed from `p`.
 */
static void fill_policy(const struct token_ask *ask, const struct origin *realm, struct policy *p,
			struct http_ask *request)
{
	char at[ORIGIN_TEXT_SIZE];
	origin_format(realm, at);
	bool has_own = registries_find(&ask->settings->registries, at) != &registry_unsaid;
	policy_resolve(ask->settings, has_own ? at : ask->host, p);
	if (p->tls.skip_verify && realm->tls)
		log_warning("requesting a token from '%s', whose certificate is NOT VERIFIED (skip_verify)", at);
	if (!has_own && strcmp(realm->host, ask->registry->host) != 0)
		p->tls.client_cert = p->tls.client_key = NULL;
	if (!origin_eq(realm, ask->registry))
		p->headers.len = 0;
	policy_fill(p, request);
	request->timeout_ms = request->connect_timeout_ms + request->patience.stall_ms;
}

static int send_request(struct http *http, const struct token_ask *ask, const struct origin *realm,
			enum guard_zone nearest, struct token_run *run)
{
	struct buf url = BUF_INIT, form = BUF_INIT, basic = BUF_INIT;
	struct policy policy;
	int r = token_request(ask->challenge, ask->name, ask->credential, &url, &form);
	if (r == 0 && ask->credential->kind == CREDENTIAL_BASIC)
		r = buf_appendf(&basic, "Basic %s", ask->credential->value.data);
	struct http_ask request = {
	    .url = url.data,
	    .accept = "application/json",
	    .authorization = basic.data,
	    .form = form.data,
	    .nearest = nearest,
	    .fresh = true, /* requests are rare, so the connection would be closed before the next one */
	    .last = SIZE_UNKNOWN,
	};
	fill_policy(ask, realm, &policy, &request);
	if (r == 0)
		r = http_start(http, &request, &hooks, run, &run->exchange);
	buf_release(&url);
	buf_wipe(&form);
	buf_wipe(&basic);
	return r;
}

int token_start(struct http *http, const struct token_ask *ask, token_done *done, void *self,
		struct token_run **ret_run, struct reason *why)
{
	struct origin realm;
	enum guard_zone nearest;
	int r = token_check_realm(ask->challenge->realm, ask->registry, ask->zone, &realm, &nearest, why);
	if (r < 0)
		return r;
	struct token_run *run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->done = done;
	run->self = self;
	origin_format(&realm, run->at);
	r = buf_reserve(&run->body, TOKEN_ANSWER_MAX);
	if (r == 0)
		r = send_request(http, ask, &realm, nearest, run);
	if (r < 0) {
		run_free(run);
		return r;
	}
	*ret_run = run;
	return 0;
}

void token_cancel(struct token_run *run)
{
	if (!run)
		return;
	http_cancel(run->exchange);
	run_free(run);
}
