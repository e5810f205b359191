/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one transfer logs in: it sends the account's existing pass, gets one if the registry requires it (401), and gets
 * another if that is refused. It returns what to do next and never acts itself.
 */
#ifndef SLUICE_FETCHD_AUTH_LOGIN_H
#define SLUICE_FETCHD_AUTH_LOGIN_H

#include "common/base/buf.h"
#include "fetchd/auth/pass.h"

enum login_verdict {
	LOGIN_ASK,     /* make the request, with login_value() */
	LOGIN_WAIT,    /* a pass is being made: the `go` of login_init() will be called */
	LOGIN_RETRY,   /* a temporary failure */
	LOGIN_REFUSED, /* a permanent failure */
};

struct login {
	struct passes *passes; /* borrowed */
	struct pass_wait wait; /* idle unless LOGIN_WAIT was the last verdict */
	bool presenting;       /* the awaited pass will be sent without a 401 */
	struct buf pass;       /* the Authorization, empty: none; wiped */
	uint64_t generation;   /* of that pass */
	bool fresh;            /* it was made after the last byte arrived */
	bool anonymous;        /* and without credentials */
	struct reason trouble; /* with credentials that could not be used, or empty */
	bool shown;            /* in the last request */
};

/* `l` is all zero. `go` is called with the awaited answer, to be passed to login_take(). */
void login_init(struct login *l, struct passes *passes, void (*go)(void *self, const struct pass_answer *answer),
		void *self);

/* May be called for a login that is all zero. */
void login_release(struct login *l);

/* From now on, requests go to another registry. */
void login_forget(struct login *l);

/*
 * Before the first request of a try: without a 401, a pass is sent only if this account had one. All of these fill in
 * `ret_failure` for LOGIN_RETRY and LOGIN_REFUSED; its status stays unless a realm had another, and its end is that of
 * the request to the realm.
 */
enum login_verdict login_present(struct login *l, const struct pass_account *who, struct failure *ret_failure);

/* The answer was a 401 with the challenge `c`. `why`: the answer in words. */
enum login_verdict login_challenged(struct login *l, const struct pass_account *who, const struct challenge *c,
				    const struct reason *why, struct failure *ret_failure);

/* The answer was a 403. */
enum login_verdict login_forbidden(struct login *l, const struct reason *why, struct failure *ret_failure);

/* The awaited pass has arrived, or never will. */
enum login_verdict login_take(struct login *l, const struct pass_account *who, const struct pass_answer *a,
			      struct failure *ret_failure);

/* The Authorization for a request to that registry; NULL: none. Borrowed until the next call of another function. */
const char *login_value(const struct login *l);

/* A request was sent, with that value or without. */
void login_note_request(struct login *l, bool shown);

/* Bytes arrived, so the pass is good. */
void login_progress(struct login *l);

#endif
