/*
 * The steps by which a transfer gets in: a pass is shown where the account had one, made where the registry asks for
 * one, and made once more where it no longer does.
 */
#include "fetchd/steps.h"

/* System */
#include <assert.h>
#include <errno.h>

/* Own */
#include "fetchd/auth/credentials.h"

static struct pass_account account_of(const struct fetch *f)
{
	return (struct pass_account){.origin = &f->home, .host = f->host, .name = f->name};
}

static const struct fetch_step *take_pass(struct fetch *f, const struct pass_answer *a)
{
	secret_wipe(&f->pass);
	if (!a->authorization) {
		if (a->http_status != 0)
			f->http_status = a->http_status;
		f->retry_after_ms = a->retry_after_ms;
		return fetch_fail(f, a->fail, a->retry ? &step_retry : &step_give_up, a->why.text);
	}
	f->pass_generation = a->generation;
	f->pass_is_fresh = a->fresh;
	f->pass_is_anonymous = a->anonymous;
	if (buf_append_str(&f->pass, a->authorization) < 0)
		return fetch_fail(f, FAIL_AGAIN, &step_retry, "out of memory");
	return &step_ask;
}

/*
 * A pass that was shown before anybody asked was made for the challenge of an earlier answer. Where this one has
 * another, that is to be heard before anything counts as refused; plain URLs of a host need not even have the realm in
 * common.
 */
static const struct fetch_step *show_pass(struct fetch *f, const struct pass_answer *a)
{
	if (!a->authorization && f->name[0] == '\0') {
		secret_wipe(&f->pass);
		return &step_ask;
	}
	const struct fetch_step *next = take_pass(f, a);
	f->pass_is_fresh = false;
	return next;
}

void fetch_on_pass(void *self, const struct pass_answer *answer)
{
	struct fetch *f = self;
	fetch_run(f, f->step == &step_present ? show_pass(f, answer) : take_pass(f, answer));
}

/* Without a 401 before it a pass is shown only where the same account had one already. */
static const struct fetch_step *present(struct fetch *f)
{
	struct pass_account who = account_of(f);
	struct pass_answer answer;
	if (!origin_eq(&f->at, &f->home))
		return &step_ask;
	int r = pass_find(f->env->passes, &who, &f->pass_wait, &answer);
	if (r == 1)
		return show_pass(f, &answer);
	if (r == -ENOENT)
		secret_wipe(&f->pass);
	return r == -ENOENT ? &step_ask : NULL;
}

/* Where a registry sent us gets no pass. What it refuses is a URL that was signed for a time: back for a new one. */
static const struct fetch_step *refused_away(struct fetch *f)
{
	/* Of a new one, too: then it is the range that is not wanted. */
	bool again = f->backoff.failures > 0 && f->fail == FAIL_DENIED;
	if (again && f->http_status == 400 && f->want.offset > 0 && !f->want.whole)
		return &step_whole;
	(void)fetch_fail(f, FAIL_DENIED, &step_retry, f->judgement.why.text);
	f->retries_max = AWAY_RETRIES;
	return &step_retry;
}

static const struct fetch_step *refused(struct fetch *f)
{
	struct reason why;
	bool is_token = strncmp(f->pass.data, "Bearer", 6) == 0;
	pass_drop(f->env->passes, f->pass_generation);
	if (f->pass_is_anonymous)
		reason_set(&why, "%s: " NO_CREDENTIALS, f->judgement.why.text, f->host, f->host);
	else
		reason_set(&why, "%s: %s '%s' %s refused", f->judgement.why.text,
			   is_token ? "a token made with the credentials for" : "the credentials for", f->host,
			   is_token ? "was" : "were");
	return fetch_fail(f, FAIL_DENIED, &step_give_up, why.text);
}

/* 401. One that is fresh and refused all the same will not be better a second time. */
static const struct fetch_step *login(struct fetch *f)
{
	struct pass_account who = account_of(f);
	struct pass_answer answer;
	if (!origin_eq(&f->at, &f->home))
		return refused_away(f);
	if (f->sent_pass && f->pass_is_fresh)
		return refused(f);
	uint64_t shown = f->sent_pass ? f->pass_generation : 0;
	if (pass_login(f->env->passes, &who, &f->challenge, shown, &f->pass_wait, &answer) == 0)
		return NULL;
	return take_pass(f, &answer);
}

/* 403. Some registries say so of a token that is over: without it they say what they want. */
static const struct fetch_step *denied(struct fetch *f)
{
	if (!origin_eq(&f->at, &f->home))
		return refused_away(f);
	if (!f->sent_pass || f->pass_is_fresh)
		return fetch_fail(f, FAIL_DENIED, &step_give_up, f->judgement.why.text);
	pass_drop(f->env->passes, f->pass_generation);
	secret_wipe(&f->pass);
	return &step_ask;
}

const struct fetch_step step_present = {"present", present};
const struct fetch_step step_login = {"log in", login};
const struct fetch_step step_denied = {"denied", denied};
