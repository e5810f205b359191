/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 500 lines because finding, making, holding and dropping a pass share one table and its states. */
#include "fetchd/auth/pass.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/shown.h"

/* OCI */
#include "common/oci/credentials.h"

/* Own */
#include "fetchd/auth/keeper.h"
#include "fetchd/auth/token.h"
#include "fetchd/config/policy.h"

struct pass {
	struct passes *passes;
	struct origin origin;
	enum guard_zone zone; /* where it answered from when it last required a login */
	char *host;
	char *name;
	const struct terms *terms; /* borrowed until passes_forget_terms() */
	struct challenge challenge;

	/* Held while `value` is not empty. */
	struct buf value; /* of the Authorization header; wiped */
	uint64_t generation;
	uint64_t renew_ms, end_ms; /* monotonic */
	bool anonymous;

	/* Making. */
	bool making;
	bool serving; /* the waiters are being served */
	bool stale;   /* the configuration was reloaded meanwhile: do not keep it */
	uint64_t asked_ms;
	uint64_t round;        /* grows with each pass; later callers wait for the next */
	struct reason trouble; /* with the first credentials that could not be used, or empty */
	struct credential credential;
	struct keeper_ask *ask;
	struct token_run *token;
	struct pass_answer answer;
	TAILQ_HEAD(, pass_wait) line;
};

struct passes {
	struct keeper *keeper;
	struct http *http;
	const struct settings *settings;
	uint64_t generation; /* the last one given */
	struct pass *all[PASSES_MAX];
};

/* ── the table ── */

static void pass_free(struct pass *p)
{
	if (!p)
		return;
	assert(TAILQ_EMPTY(&p->line));
	keeper_cancel(p->ask);
	token_cancel(p->token);
	buf_wipe(&p->value);
	credential_wipe(&p->credential);
	free(p->host);
	free(p->name);
	free(p);
}

static bool is_idle(const struct pass *p)
{
	return !p->making && !p->serving && TAILQ_EMPTY(&p->line);
}

/* It is being made for transfers that are gone. */
static bool is_abandoned(const struct pass *p)
{
	return p->making && !p->serving && TAILQ_EMPTY(&p->line);
}

/* Whether to drop `a` rather than `b`, which is idle or abandoned too. */
static bool goes_first(const struct pass *a, const struct pass *b)
{
	return is_abandoned(a) != is_abandoned(b) ? is_abandoned(a) : a->generation < b->generation;
}

/* A free place, or that of an abandoned pass, or of the oldest idle one. NULL: a transfer waits for each. */
static struct pass **find_place(struct passes *ps)
{
	struct pass **oldest = NULL;
	for (size_t i = 0; i < PASSES_MAX; i++) {
		struct pass **at = &ps->all[i];
		if (!*at)
			return at;
		if ((is_idle(*at) || is_abandoned(*at)) && (!oldest || goes_first(*at, *oldest)))
			oldest = at;
	}
	if (oldest) {
		pass_free(*oldest);
		*oldest = NULL;
	}
	return oldest;
}

static void remove_pass(struct pass *p)
{
	struct passes *ps = p->passes;
	for (size_t i = 0; i < PASSES_MAX; i++)
		if (ps->all[i] == p)
			ps->all[i] = NULL;
	pass_free(p);
}

/* Keep neither failures nor anything made under an old configuration. */
static void remove_if_useless(struct pass *p)
{
	if (is_idle(p) && (p->value.len == 0 || p->stale))
		remove_pass(p);
}

static bool is_of(const struct pass *p, const struct pass_account *who)
{
	return p->terms == who->terms && origin_eq(&p->origin, who->origin) && strcmp(p->host, who->host) == 0 &&
	       strcmp(p->name, who->name) == 0;
}

static struct pass *make_pass(struct passes *ps, const struct pass_account *who, const struct challenge *c)
{
	struct pass **place = find_place(ps);
	struct pass *p = place ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->passes = ps;
	p->origin = *who->origin;
	p->zone = who->zone;
	p->terms = who->terms;
	p->challenge = *c;
	TAILQ_INIT(&p->line);
	p->host = strdup(who->host);
	p->name = strdup(who->name);
	if (!p->host || !p->name) {
		pass_free(p);
		return NULL;
	}
	*place = p;
	return p;
}

/* ── making one ── */

static void finish(struct pass *p)
{
	p->making = false;
	credential_wipe(&p->credential);
	/* A failed early renewal does no harm while the old pass is valid. */
	if (!p->answer.authorization && p->value.len > 0 && clock_mono_ms() < p->end_ms) {
		p->answer = (struct pass_answer){.authorization = p->value.data, .generation = p->generation};
		return;
	}
	p->answer.fresh = true;
	p->answer.anonymous = p->anonymous;
	p->answer.trouble = p->trouble.text;
	if (p->answer.authorization)
		p->answer.generation = p->generation = ++p->passes->generation;
	else
		buf_wipe(&p->value);
}

static void fail(struct pass *p, enum fail_class class, bool retry, const char *why)
{
	p->answer.failure.class = class;
	p->answer.retry = retry;
	reason_set(&p->answer.failure.why, "%s", why);
	finish(p);
}

void pass_explain_none(const char *host, const char *trouble, struct reason *ret_text)
{
	if (trouble[0] != '\0')
		reason_set(ret_text, "%s", trouble);
	else
		reason_set(ret_text, "no credentials for '%s': use 'sluice login %s' or --creds", host, host);
}

static void add_hint(struct pass *p)
{
	struct reason *why = &p->answer.failure.why, hint;
	if (!p->anonymous)
		return;
	pass_explain_none(p->host, p->trouble.text, &hint);
	reason_set(why, "%s%s%s", why->text, why->text[0] != '\0' ? "; " : "", hint.text);
}

static void hold(struct pass *p, const char *scheme, const char *value, uint64_t life_ms)
{
	struct buf made = BUF_INIT;
	if (buf_reserve(&made, strlen(scheme) + 1 + strlen(value)) < 0 ||
	    buf_appendf(&made, "%s %s", scheme, value) < 0) {
		buf_wipe(&made);
		fail(p, FAIL_AGAIN, true, "out of memory");
		return;
	}
	buf_wipe(&p->value);
	p->value = made;
	uint64_t early_ms = life_ms / 5 < PASS_RENEW_MS ? life_ms / 5 : PASS_RENEW_MS;
	p->end_ms = life_ms == UINT64_MAX ? UINT64_MAX : p->asked_ms + life_ms;
	p->renew_ms = life_ms == UINT64_MAX ? UINT64_MAX : p->end_ms - early_ms;
	p->answer.authorization = p->value.data;
	finish(p);
}

/* Tell all waiters. They may ask again at once, and then wait for the next. */
static void serve(struct pass *p)
{
	struct pass_answer answer = p->answer;
	p->serving = true;
	p->round++;
	struct pass_wait *w;
	while ((w = TAILQ_FIRST(&p->line)) && w->round != p->round) {
		pass_leave(w);
		w->go(w->self, &answer);
	}
	p->serving = false;
	remove_if_useless(p);
}

static void on_token(void *self, const struct token_answer *a)
{
	struct pass *p = self;
	p->token = NULL;
	p->answer.failure = a->failure;
	if (a->token) {
		hold(p, "Bearer", a->token, a->life_ms);
	} else {
		if (a->failure.class == FAIL_DENIED && !p->anonymous)
			reason_set(&p->answer.failure.why, "%s for the credentials of '%s'", a->failure.why.text,
				   p->host);
		else if (a->failure.class == FAIL_DENIED)
			add_hint(p);
		p->answer.retry = a->retry;
		finish(p);
	}
	serve(p);
}

static void ask_for_token(struct pass *p)
{
	struct reason why = {"out of memory"};
	struct token_ask ask = {
	    .challenge = &p->challenge,
	    .credential = &p->credential,
	    .registry = &p->origin,
	    .zone = p->zone,
	    .name = p->name,
	    .settings = p->passes->settings,
	    .host = p->host,
	    .terms = p->terms,
	};
	p->asked_ms = clock_mono_ms();
	int r = token_start(p->passes->http, &ask, on_token, p, &p->token, &why);
	if (r < 0)
		fail(p, r == -ENOMEM ? FAIL_AGAIN : FAIL_DENIED, r == -ENOMEM, why.text);
}

/* Whether a password may be sent over this connection: not in the clear over a network, unless configured. */
static bool may_send_password(const struct pass *p)
{
	return p->origin.tls || host_is_loopback(p->origin.host) || terms_allow_plain(p->terms) ||
	       registries_find(&p->passes->settings->registries, p->host)->plain_http == PLAIN_HTTP_YES;
}

/* The credentials are known, or known to be absent. */
static void use_credential(struct pass *p)
{
	struct reason why;
	p->anonymous = p->credential.kind == CREDENTIAL_NONE;
	if (!p->anonymous && !may_send_password(p)) {
		reason_set(&why, "credentials for '%s' are not sent without TLS", p->host);
		fail(p, FAIL_DENIED, false, why.text);
	} else if (p->challenge.schemes & AUTH_BEARER) {
		ask_for_token(p);
	} else if (p->credential.kind == CREDENTIAL_BASIC) {
		hold(p, "Basic", p->credential.value.data, UINT64_MAX);
	} else if (p->anonymous) {
		add_hint(p);
		fail(p, FAIL_DENIED, false, p->answer.failure.why.text);
	} else {
		fail(p, FAIL_DENIED, false,
		     "the registry requires a password, but only an identity token is configured");
	}
}

/* Public content needs no credentials: skip unusable ones and continue with the next place, or without any. */
static void pass_over(struct pass *p, const char *trouble)
{
	log_warning("%s; continuing without these credentials for '%s'", trouble, p->host);
	if (p->trouble.text[0] == '\0')
		reason_set(&p->trouble, "%s", trouble);
}

static void find_credential(struct pass *p, unsigned next);

static void on_credential(void *self, struct keeper_answer *a)
{
	struct pass *p = self;
	p->ask = NULL;
	if (a->result == 0) {
		p->credential = a->credential;
		a->credential = (struct credential){0};
	}
	if (a->result == 0 || a->result == -ENOENT) {
		use_credential(p);
	} else if (a->result == -ENOMEM || a->result == -EPIPE) {
		fail(p, FAIL_AGAIN, a->result == -ENOMEM, a->why.text);
	} else {
		pass_over(p, a->why.text);
		find_credential(p, a->next);
	}
	if (!p->making)
		serve(p);
}

/* Search from the place `next` on; a failure to ask is the answer. */
static void find_credential(struct pass *p, unsigned next)
{
	struct reason why;
	int r = keeper_find(p->passes->keeper, p->host, p->name, next, on_credential, p, &p->ask);
	if (r == 0)
		return;
	reason_set(&why, "cannot look for credentials: %s", strerror(-r));
	fail(p, FAIL_AGAIN, r == -ENOMEM || r == -EAGAIN, why.text);
}

/* What the user said, or nothing: what this process has is for others. */
static void use_terms(struct pass *p)
{
	static const enum credential_kind kinds[] = {
	    [POLICY_LOGIN_OURS] = CREDENTIAL_NONE,
	    [POLICY_LOGIN_ANONYMOUS] = CREDENTIAL_NONE,
	    [POLICY_LOGIN_BASIC] = CREDENTIAL_BASIC,
	    [POLICY_LOGIN_IDENTITY] = CREDENTIAL_IDENTITY,
	};
	const struct source_policy *said = &p->terms->said;
	p->credential.kind = kinds[said->login];
	if (said->secret.len > 0 && buf_append(&p->credential.value, said->secret.data, said->secret.len) < 0)
		fail(p, FAIL_AGAIN, true, "out of memory");
	else
		use_credential(p);
}

/* Start making it; its answer may be there at once. */
static void begin(struct pass *p)
{
	struct reason why;
	const struct challenge *c = &p->challenge;
	p->making = true;
	p->answer = (struct pass_answer){0};
	p->trouble.text[0] = '\0';
	if (!(c->schemes & (AUTH_BASIC | AUTH_BEARER))) {
		reason_set(&why, "'%s' requires an authentication scheme that is not supported", p->host);
		fail(p, FAIL_DENIED, false, why.text);
	} else if (!terms_allow_ours(p->terms)) {
		use_terms(p);
	} else {
		find_credential(p, 0);
	}
}

/* ── requesting one ── */

static int stand_in_line(struct pass *p, struct pass_wait *w)
{
	assert(!w->pass);
	w->pass = p;
	w->round = p->round;
	TAILQ_INSERT_TAIL(&p->line, w, link);
	return 0;
}

static int make_for(struct pass *p, struct pass_wait *w, struct pass_answer *ret_answer)
{
	if (!p->making)
		begin(p);
	if (p->making)
		return stand_in_line(p, w);
	*ret_answer = p->answer;
	if (!ret_answer->authorization)
		remove_if_useless(p);
	return 1;
}

static int give(const struct pass *p, struct pass_answer *ret_answer)
{
	*ret_answer = (struct pass_answer){
	    .authorization = p->value.data,
	    .generation = p->generation,
	    .anonymous = p->anonymous,
	    .trouble = p->trouble.text,
	};
	return 1;
}

int pass_find(struct passes *ps, const struct pass_account *who, struct pass_wait *w, struct pass_answer *ret_answer)
{
	struct pass *newest = NULL;
	for (size_t i = 0; i < PASSES_MAX; i++) {
		struct pass *p = ps->all[i];
		if (p && is_of(p, who) && ((p->making && who->name[0] != '\0') || p->value.len > 0) &&
		    (!newest || p->generation >= newest->generation))
			newest = p;
	}
	if (!newest)
		return -ENOENT;
	if (!newest->making && clock_mono_ms() < newest->renew_ms)
		return give(newest, ret_answer);
	return make_for(newest, w, ret_answer);
}

/* Drop parameters that do not matter for the pass, so that they make no difference. */
static void normalize(struct challenge *c)
{
	if (!(c->schemes & AUTH_BEARER) || c->realm[0] == '\0') {
		unsigned schemes = c->schemes & ~(unsigned)AUTH_BEARER;
		*c = (struct challenge){.schemes = schemes};
	} else {
		c->schemes = AUTH_BEARER;
	}
}

int pass_login(struct passes *ps, const struct pass_account *who, const struct challenge *c, uint64_t refused,
	       struct pass_wait *w, struct pass_answer *ret_answer)
{
	struct challenge wanted = *c;
	struct pass *found = NULL;
	normalize(&wanted);
	for (size_t i = 0; i < PASSES_MAX && !found; i++)
		if (ps->all[i] && is_of(ps->all[i], who) && challenge_eq(&ps->all[i]->challenge, &wanted))
			found = ps->all[i];
	if (!found)
		found = make_pass(ps, who, &wanted);
	if (!found) {
		*ret_answer = (struct pass_answer){.retry = true, .failure = {.class = FAIL_AGAIN}};
		reason_set(&ret_answer->failure.why, "too many registries are logged in to at once");
		return 1;
	}
	if (!found->making && found->value.len > 0 && found->generation != refused && clock_mono_ms() < found->end_ms)
		return give(found, ret_answer);
	if (!found->making) {
		buf_wipe(&found->value);
		found->zone = who->zone;
	}
	return make_for(found, w, ret_answer);
}

void pass_drop(struct passes *ps, uint64_t generation)
{
	for (size_t i = 0; i < PASSES_MAX; i++) {
		struct pass *p = ps->all[i];
		if (p && !p->making && p->generation == generation) {
			buf_wipe(&p->value);
			remove_if_useless(p);
		}
	}
}

void pass_leave(struct pass_wait *w)
{
	if (w->pass)
		TAILQ_REMOVE(&w->pass->line, w, link);
	w->pass = NULL;
}

void pass_describe(const struct pass_wait *w, struct reason *ret_text)
{
	const struct pass *p = w->pass;
	char realm[SHOWN_SIZE];
	shown_of(span_str(p->challenge.realm), realm);
	if (p->token)
		reason_set(ret_text, "waiting for a token from '%s'", realm);
	else
		reason_set(ret_text, "waiting for the credentials of '%s'", p->host);
}

int passes_new(struct keeper *keeper, struct http *http, const struct settings *settings, struct passes **ret_passes)
{
	struct passes *ps = calloc(1, sizeof(*ps));
	if (!ps)
		return -ENOMEM;
	ps->keeper = keeper;
	ps->http = http;
	ps->settings = settings;
	*ret_passes = ps;
	return 0;
}

void passes_free(struct passes *ps)
{
	if (!ps)
		return;
	for (size_t i = 0; i < PASSES_MAX; i++)
		pass_free(ps->all[i]);
	free(ps);
}

void passes_forget(struct passes *ps)
{
	for (size_t i = 0; i < PASSES_MAX; i++) {
		struct pass *p = ps->all[i];
		if (p) {
			p->stale = true;
			remove_if_useless(p);
		}
	}
}

/* Without a transfer under them, nobody waits for what is being made. */
void passes_forget_terms(struct passes *ps, const struct terms *terms)
{
	for (size_t i = 0; i < PASSES_MAX; i++) {
		struct pass *p = ps->all[i];
		if (p && p->terms == terms)
			remove_pass(p);
	}
}
