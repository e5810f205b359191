/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes: the values of Authorization, and how to get them. A 401 names the scheme: a password (Basic), or a token from
 * a realm (Bearer). The credentials are looked up by the keeper (keeper.h), and the token is requested from the realm;
 * then all transfers of the same account at the same registry use the pass until shortly before it expires.
 * While a pass is being made, every transfer that needs it waits for it.
 *
 * A pass is in one of these states:
 *   making   credentials or a token are being requested; callers wait in line
 *   held     `value` is good until `end_ms`; the first caller after `renew_ms` renews it
 *   gone     what could not be made is forgotten at once: the next caller tries again
 */
#ifndef SLUICE_FETCHD_AUTH_PASS_H
#define SLUICE_FETCHD_AUTH_PASS_H

#include <sys/queue.h>

#include "fetchd/http/challenge.h"
#include "fetchd/http/failure.h"
#include "fetchd/http/guard.h"
#include "fetchd/http/url.h"

#define PASSES_MAX    128    /* as many as transfers; new ones replace those that no transfer waits for */
#define PASS_RENEW_MS 10000u /* renewed this long before it expires, or after four fifths of a short life */

struct http;
struct terms;
struct keeper;
struct pass;
struct passes;
struct settings;

/* Whose pass it is. Borrowed for the call. */
struct pass_account {
	const struct origin *origin; /* the only origin that gets it */
	enum guard_zone zone;        /* where that answered from when it required a login */
	const char *host;            /* the registry's name in configuration and credentials */
	const char *name;            /* of the repository, or empty */
	const struct terms *terms;   /* under which it is made, for nobody with others; NULL: none */
};

struct pass_answer {
	const char *authorization; /* the header's value, NULL: there is none; borrowed for the call */
	uint64_t generation;       /* of this one; never 0 */
	bool fresh;                /* it was made for this caller */
	bool anonymous;            /* made without credentials: none were found */
	const char *trouble;       /* with unusable credentials; borrowed for the call; NULL or empty: none */
	bool retry;                /* without a pass: a retry may succeed */
	struct failure failure;    /* without a pass; the status is the realm's, or 0 */
};

/* A transfer's place in the line for a pass. All zero but `go` and `self`: idle. */
struct pass_wait {
	void (*go)(void *self, const struct pass_answer *answer); /* called from the loop; the wait is idle again */
	void *self;
	struct pass *pass; /* NULL while idle */
	uint64_t round;
	TAILQ_ENTRY(pass_wait) link;
};

/* All arguments are borrowed; the settings may change between two calls. 0 or -ENOMEM. */
int passes_new(struct keeper *keeper, struct http *http, const struct settings *settings, struct passes **ret_passes);

/* Nobody may be waiting. NULL is fine. */
void passes_free(struct passes *ps);

/* The configuration was reloaded: keep nothing made under the old one. */
void passes_forget(struct passes *ps);

/* Nobody uses these terms any more: keep nothing made under them. */
void passes_forget_terms(struct passes *ps, const struct terms *terms);

/*
 * The last pass of this account, before any 401. 1: `ret_answer`; 0: it is being made, and `go` will be called;
 * -ENOENT: there is none. Callers wait for the first pass of a repository, because all of its content will need one;
 * plain URLs of a host have less in common.
 */
int pass_find(struct passes *ps, const struct pass_account *who, struct pass_wait *w, struct pass_answer *ret_answer);

/*
 * A pass for the challenge `c`, other than the one of generation `refused` (0: none was sent). 1 or 0 as above. Out of
 * memory and too many passes are reported as answers.
 */
int pass_login(struct passes *ps, const struct pass_account *who, const struct challenge *c, uint64_t refused,
	       struct pass_wait *w, struct pass_answer *ret_answer);

/* The pass of this generation was refused: never use it again. */
void pass_drop(struct passes *ps, uint64_t generation);

/* Leave the line. Idle is fine. */
void pass_leave(struct pass_wait *w);

/* Why there are no credentials for a registry: the trouble with existing ones, if any, or how to provide some. */
void pass_explain_none(const char *host, const char *trouble, struct reason *ret_text);

/* What the wait is for: "waiting for a token from 'auth.example'". */
void pass_describe(const struct pass_wait *w, struct reason *ret_text);

#endif
