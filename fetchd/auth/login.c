/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/auth/login.h"

/* System */
#include <errno.h>

void login_init(struct login *l, struct passes *passes, void (*go)(void *self, const struct pass_answer *answer),
		void *self)
{
	l->passes = passes;
	l->wait.go = go;
	l->wait.self = self;
}

void login_release(struct login *l)
{
	pass_leave(&l->wait);
	buf_wipe(&l->pass);
}

void login_forget(struct login *l)
{
	buf_wipe(&l->pass);
	l->fresh = false;
}

static enum login_verdict fail(struct failure *f, enum fail_class class, enum login_verdict verdict, const char *why)
{
	f->class = class;
	reason_set(&f->why, "%s", why);
	return verdict;
}

static enum login_verdict take(struct login *l, const struct pass_answer *a, struct failure *ret_failure)
{
	buf_wipe(&l->pass);
	if (!a->authorization) {
		if (a->failure.http_status != 0)
			ret_failure->http_status = a->failure.http_status;
		ret_failure->end = a->failure.end;
		ret_failure->retry_after_ms = a->failure.retry_after_ms;
		return fail(ret_failure, a->failure.class, a->retry ? LOGIN_RETRY : LOGIN_REFUSED, a->failure.why.text);
	}
	l->generation = a->generation;
	l->fresh = a->fresh;
	l->anonymous = a->anonymous;
	reason_set(&l->trouble, "%s", a->trouble ? a->trouble : "");
	if (buf_append_str(&l->pass, a->authorization) < 0)
		return fail(ret_failure, FAIL_AGAIN, LOGIN_RETRY, "out of memory");
	return LOGIN_ASK;
}

/*
 * A pass that was sent before a 401 was made for an earlier challenge. If this challenge differs, it is answered before
 * anything counts as refused; plain URLs of a host need not even share a realm.
 */
static enum login_verdict show(struct login *l, const struct pass_account *who, const struct pass_answer *a,
			       struct failure *ret_failure)
{
	if (!a->authorization && who->name[0] == '\0') {
		buf_wipe(&l->pass);
		return LOGIN_ASK;
	}
	enum login_verdict verdict = take(l, a, ret_failure);
	l->fresh = false;
	return verdict;
}

enum login_verdict login_present(struct login *l, const struct pass_account *who, struct failure *ret_failure)
{
	struct pass_answer answer;
	l->presenting = true;
	int r = pass_find(l->passes, who, &l->wait, &answer);
	if (r == 1)
		return show(l, who, &answer, ret_failure);
	if (r != -ENOENT)
		return LOGIN_WAIT;
	buf_wipe(&l->pass);
	return LOGIN_ASK;
}

static enum login_verdict refused(struct login *l, const struct pass_account *who, const struct reason *why,
				  struct failure *ret_failure)
{
	struct reason text;
	bool is_token = strncmp(l->pass.data, "Bearer", 6) == 0;
	pass_drop(l->passes, l->generation);
	if (l->anonymous)
		pass_explain_none(who->host, l->trouble.text, &text);
	else
		reason_set(&text, "%s '%s' %s refused",
			   is_token ? "a token made with the credentials for" : "the credentials for", who->host,
			   is_token ? "was" : "were");
	reason_set(&text, "%s: %s", why->text, text.text);
	return fail(ret_failure, FAIL_DENIED, LOGIN_REFUSED, text.text);
}

/* A fresh pass that is refused will not be accepted the second time. */
enum login_verdict login_challenged(struct login *l, const struct pass_account *who, const struct challenge *c,
				    const struct reason *why, struct failure *ret_failure)
{
	struct pass_answer answer;
	if (l->shown && l->fresh)
		return refused(l, who, why, ret_failure);
	l->presenting = false;
	if (pass_login(l->passes, who, c, l->shown ? l->generation : 0, &l->wait, &answer) == 0)
		return LOGIN_WAIT;
	return take(l, &answer, ret_failure);
}

/* Some registries answer 403 to an expired token; without it they say what they require. */
enum login_verdict login_forbidden(struct login *l, const struct reason *why, struct failure *ret_failure)
{
	if (!l->shown || l->fresh)
		return fail(ret_failure, FAIL_DENIED, LOGIN_REFUSED, why->text);
	pass_drop(l->passes, l->generation);
	buf_wipe(&l->pass);
	return LOGIN_ASK;
}

enum login_verdict login_take(struct login *l, const struct pass_account *who, const struct pass_answer *a,
			      struct failure *ret_failure)
{
	return l->presenting ? show(l, who, a, ret_failure) : take(l, a, ret_failure);
}

const char *login_value(const struct login *l)
{
	return l->pass.len > 0 ? l->pass.data : NULL;
}

void login_note_request(struct login *l, bool shown)
{
	l->shown = shown;
}

void login_progress(struct login *l)
{
	l->fresh = false;
}
