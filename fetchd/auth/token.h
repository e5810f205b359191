/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: one request for one of them, by the distribution project's token specification ("Token Authentication
 * Specification": GET, anonymous or with a password) and its OAuth 2 part (POST, with an identity token).
 *
 * The registry chooses the realm, so it is not trusted: https only, except at the registry's own origin, between two
 * hosts on this machine, or if plain_http is configured for the realm; no user in the URL; redirects only within its
 * origin; never an address of this machine or its link, unless the registry is there itself. Its answer is bounded in
 * bytes and time.
 */
#ifndef SLUICE_FETCHD_AUTH_TOKEN_H
#define SLUICE_FETCHD_AUTH_TOKEN_H

#include "common/oci/credentials.h"
#include "fetchd/http/challenge.h"
#include "fetchd/http/http.h"
#include "fetchd/http/url.h"

#define TOKEN_ANSWER_MAX     (64u << 10) /* bytes */
#define TOKEN_MAX            (32u << 10) /* bytes of the token itself */
#define TOKEN_REDIRECTS_MAX  4           /* within a realm */
#define TOKEN_LIFE_DEFAULT_S 60u         /* if the answer does not say */
#define TOKEN_LIFE_MAX_S     (24u * 3600)

struct settings;
struct terms;

/* ── pure ── */

/*
 * Whether a registry at `registry`, which answered from `zone`, may name this realm. Sets `ret_realm` to its origin and
 * `ret_nearest` to the nearest zone that it may be in (guard.h). -EINVAL with a reason.
 */
int token_check_realm(const char *realm, const struct origin *registry, enum guard_zone zone,
		      const struct settings *settings, struct origin *ret_realm, enum guard_zone *ret_nearest,
		      struct reason *why);

/*
 * Append the URL of a GET, or with a `form` the URL of a POST and its body. Without a scope in the challenge, the scope
 * is to pull `name`. 0 or -ENOMEM.
 */
int token_request(const struct challenge *c, const char *name, const struct credential *credential, struct buf *url,
		  struct buf *form);

/* The token in an answer, and its lifetime from the time of the request. -EINVAL with a reason. */
int token_parse(struct span answer, struct buf *ret_token, uint64_t *ret_life_ms, struct reason *why);

/* ── the exchange ── */

struct token_run;

struct token_ask {
	const struct challenge *challenge;
	const struct credential *credential; /* NONE, BASIC or IDENTITY */
	const struct origin *registry;
	enum guard_zone zone; /* where it answered from */
	const char *name;     /* of the repository, or empty */
	const struct settings *settings;
	const char *host;          /* the registry's section; it applies to a realm that has none of its own */
	const struct terms *terms; /* so do these; NULL: none */
};

struct token_answer {
	const char *token; /* NULL: there is none; borrowed for the call */
	uint64_t life_ms;
	bool retry; /* without a token: a retry may succeed */
	struct failure failure;
};

/* Called once, from the loop; the run is freed by then. */
typedef void token_done(void *self, const struct token_answer *answer);

/*
 * Start. What `ask` points to is borrowed for the call. 0, -ENOMEM, or -EINVAL with a reason: the realm is not allowed.
 */
int token_start(struct http *http, const struct token_ask *ask, token_done *done, void *self,
		struct token_run **ret_run, struct reason *why);

/* End it without `done`. NULL is fine. */
void token_cancel(struct token_run *run);

#endif
