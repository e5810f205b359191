/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/auth/token.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/log.h"
#include "common/base/text.h"

/* OCI */
#include "common/oci/json.h"
#include "common/oci/reference.h"

/* Own */
#include "fetchd/config/policy.h"
#include "fetchd/http/judge.h"
#include "fetchd/http/refusal.h"

#define CLIENT_ID   "sluice"
#define FORM_SECRET "refresh_token" /* the field of a form that has the credentials */

/*
 * Whether the realm may do without TLS: the registry's own origin, both on this machine, or configured for the realm.
 */
static bool may_be_plain(const struct origin *realm, const struct origin *registry, bool is_said)
{
	bool is_at_home = !registry->tls && host_is_loopback(registry->host) && host_is_loopback(realm->host);
	return origin_eq(realm, registry) || is_at_home || is_said;
}

int token_check_realm(const char *realm, const struct origin *registry, enum guard_zone zone,
		      const struct settings *settings, struct origin *ret_realm, enum guard_zone *ret_nearest,
		      struct reason *why)
{
	struct reason inner = {"out of memory"};
	struct origin at;
	struct policy policy;
	char text[ORIGIN_TEXT_SIZE];
	int r = strchr(realm, '#') ? -EINVAL : origin_of(realm, &at, &inner);
	if (r < 0) {
		reason_set(why, "cannot use the token realm: %s",
			   r == -ENOMEM || !strchr(realm, '#') ? inner.text : "it has a fragment");
		return r;
	}
	origin_format(&at, text);
	policy_resolve(settings, text, &policy);
	if (!at.tls && !may_be_plain(&at, registry, policy.plain_http == PLAIN_HTTP_YES)) {
		reason_set(
		    why,
		    "the token realm '%s' has no TLS; if that is right, set plain_http = yes under [registry %s] "
		    "in sluice.conf",
		    text, text);
		return -EINVAL;
	}
	enum guard_zone nearest =
	    origin_eq(&at, registry) ? ZONE_ANY : guard_nearest(zone, policy_knows(settings, text, at.tls));
	enum guard_zone to = guard_host_zone(at.host);
	if (to < nearest) {
		reason_set(why, "the token realm '%s' is %s%s", at.host, guard_zone_text(to), guard_zone_hint(to));
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

/* A challenge lists several scopes separated by blanks; a query has one parameter for each. */
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
	return r < 0 ? r : append_field(form, '&', FORM_SECRET, buf_span(identity));
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
	if (!token || !text_is_visible(token, TOKEN_MAX)) {
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
	struct http *http;
	struct exchange *exchange;
	token_done *done;
	void *self;
	struct judgement judgement;
	struct token_answer answer;
	struct buf body; /* wiped */

	/* The request, which a redirect within the realm repeats; what it points to is here. */
	struct origin realm;
	char at[ORIGIN_TEXT_SIZE]; /* that as text */
	struct http_ask request;
	struct policy policy;
	struct buf url, form, basic; /* the latter two are wiped */
	struct buf location;         /* of a redirect */
	unsigned redirects;
};

static void run_free(struct token_run *run)
{
	buf_wipe(&run->body);
	buf_release(&run->url);
	buf_wipe(&run->form);
	buf_wipe(&run->basic);
	buf_release(&run->location);
	free(run);
}

static bool on_head(void *self, const struct response *r)
{
	static const struct want want = {.size = SIZE_UNKNOWN, .size_max = TOKEN_ANSWER_MAX, .parsed = true};
	struct token_run *run = self;
	response_judge(r, &want, &run->judgement);
	run->answer.failure.http_status = (uint16_t)r->status;
	run->answer.failure.retry_after_ms = r->retry_after_ms;
	buf_clear(&run->location);
	if (run->judgement.verdict == VERDICT_REDIRECT && buf_append_str(&run->location, r->location) < 0)
		run->judgement =
		    (struct judgement){.verdict = VERDICT_RETRY, .fail = FAIL_AGAIN, .why = {"out of memory"}};
	return run->judgement.verdict == VERDICT_TAKE || (r->status >= 400 && !r->broken);
}

static enum body_answer on_body(void *self, const void *data, size_t len)
{
	struct token_run *run = self;
	if (run->judgement.verdict != VERDICT_TAKE) /* it may say why */
		return run->body.len <= REFUSAL_BODY_MAX && buf_append(&run->body, data, len) == 0 ? BODY_DROPPED
												   : BODY_STOP;
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

/* What the server says is shown only if it can be shown without our secrets. */
static void explain(struct token_run *run)
{
	struct buf sent = BUF_INIT;
	int r = run->basic.len > 0 ? refusal_add_authorization(&sent, run->basic.data) : 0;
	if (r == 0 && run->form.len > 0)
		r = refusal_add_values(&sent, run->form.data, FORM_SECRET);
	if (r == 0)
		refusal_explain(buf_span(&run->body), &sent, &run->judgement.why);
	buf_wipe(&sent);
}

static void settle_refusal(struct token_run *run)
{
	struct judgement *j = &run->judgement;
	if (run->answer.failure.http_status >= 400)
		explain(run);
	if (j->verdict == VERDICT_RETRY)
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

/*
 * Proxies add a slash or a prefix to a realm's path. Secrets stay at the realm's origin; a form is sent again only if
 * the status requires it (RFC 9110, 15.4). False: not followed, and why.
 */
static bool may_redirect(struct token_run *run, struct buf *ret_url, struct reason *ret_why)
{
	struct origin to;
	unsigned status = run->answer.failure.http_status;
	reason_set(ret_why, "to another origin");
	if (url_redirect(run->url.data, run->location.data, ret_url, ret_why) < 0 ||
	    origin_of(ret_url->data, &to, ret_why) < 0 || !origin_eq(&to, &run->realm))
		return false;
	reason_set(ret_why, "with a status that drops the form");
	if (run->form.len > 0 && status != 307 && status != 308)
		return false;
	reason_set(ret_why, "for the %uth time", TOKEN_REDIRECTS_MAX + 1);
	return run->redirects++ < TOKEN_REDIRECTS_MAX;
}

static int send_request(struct token_run *run);

/* True: it is followed. */
static bool redirect(struct token_run *run)
{
	struct reason why, text;
	struct buf next = BUF_INIT;
	if (!may_redirect(run, &next, &why)) {
		buf_release(&next);
		reason_set(&text, "it redirects, which is not followed: %s", why.text);
		fail(run, FAIL_BAD_DATA, false, text.text);
		return false;
	}
	buf_release(&run->url);
	run->url = next;
	run->answer = (struct token_answer){0};
	if (send_request(run) == 0)
		return true;
	fail(run, FAIL_AGAIN, true, "out of memory");
	return false;
}

static void settle(struct token_run *run, enum http_end end, const struct reason *why, struct buf *token)
{
	run->answer.failure.end = end;
	bool no_peer = end == HTTP_NO_ADDRESS || end == HTTP_NO_CONNECTION || end == HTTP_NO_TLS;
	if (run->judgement.verdict != VERDICT_TAKE)
		settle_refusal(run);
	else if (end == HTTP_WHOLE)
		settle_whole(run, token);
	else if (end == HTTP_REFUSED || end == HTTP_DENIED)
		fail(run, end == HTTP_DENIED ? FAIL_DENIED : FAIL_BAD_DATA, false, why->text);
	else
		fail(run, no_peer ? FAIL_UNAVAILABLE : FAIL_AGAIN, true, why->text);
}

static void on_end(void *self, enum http_end end, int error, const struct reason *why)
{
	struct token_run *run = self;
	struct buf token = BUF_INIT;
	(void)error;
	if (end != HTTP_STOPPED || run->judgement.verdict != VERDICT_REDIRECT)
		settle(run, end, why, &token);
	else if (redirect(run))
		return;
	run->done(run->self, &run->answer);
	buf_wipe(&token);
	run_free(run);
}

static const struct http_hooks hooks = {on_head, on_body, on_end};

/* A private CA may have signed the realm's certificate too, but our client certificate is only for the registry. */
static void fill_policy(const struct token_ask *ask, struct token_run *run)
{
	struct policy *p = &run->policy;
	bool has_own = registries_find(&ask->settings->registries, run->at) != &registry_unsaid;
	policy_resolve(ask->settings, has_own ? run->at : ask->host, p);
	if (ask->terms && !has_own)
		policy_take_terms(p, ask->terms);
	run->request.lane = terms_number(ask->terms);
	if (p->tls.skip_verify && !has_own && !origin_eq(&run->realm, ask->registry))
		run->request.nearest = ask->zone; /* any server there would do */
	if (p->tls.skip_verify && run->realm.tls)
		log_warning("requesting a token from '%s', whose certificate is NOT VERIFIED (skip_verify)", run->at);
	if (!has_own && strcmp(run->realm.host, ask->registry->host) != 0)
		p->tls.client_cert = p->tls.client_key = p->tls.client_cert_text = p->tls.client_key_text = NULL;
	if (!origin_eq(&run->realm, ask->registry))
		p->headers.len = 0;
	policy_fill(p, &run->request);
	run->request.patience.answer_ms = run->request.patience.stall_ms;
	run->request.timeout_ms = run->request.connect_timeout_ms + run->request.patience.stall_ms;
}

static int send_request(struct token_run *run)
{
	run->request.url = run->url.data;
	buf_clear(&run->body);
	return http_start(run->http, &run->request, &hooks, run, &run->exchange);
}

static int make_request(const struct token_ask *ask, enum guard_zone nearest, struct token_run *run)
{
	int r = token_request(ask->challenge, ask->name, ask->credential, &run->url, &run->form);
	if (r == 0 && ask->credential->kind == CREDENTIAL_BASIC)
		r = buf_appendf(&run->basic, "Basic %s", ask->credential->value.data);
	if (r == 0)
		r = buf_reserve(&run->body, TOKEN_ANSWER_MAX);
	run->request = (struct http_ask){
	    .accept = "application/json",
	    .authorization = run->basic.data,
	    .form = run->form.data,
	    .nearest = nearest,
	    .fresh = true, /* requests are rare, so the connection would be closed before the next one */
	    .last = SIZE_UNKNOWN,
	};
	fill_policy(ask, run);
	return r;
}

int token_start(struct http *http, const struct token_ask *ask, token_done *done, void *self,
		struct token_run **ret_run, struct reason *why)
{
	struct origin realm;
	enum guard_zone nearest;
	int r =
	    token_check_realm(ask->challenge->realm, ask->registry, ask->zone, ask->settings, &realm, &nearest, why);
	if (r < 0)
		return r;
	struct token_run *run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->http = http;
	run->done = done;
	run->self = self;
	run->realm = realm;
	origin_format(&realm, run->at);
	r = make_request(ask, nearest, run);
	if (r == 0)
		r = send_request(run);
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
