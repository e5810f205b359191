/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terms of an order: what its policy says (common/wire/source_policy.h), for all transfers that were ordered with
 * the same. What is learned or made under some terms (connections, TLS sessions, tokens) is for no others: each have a
 * number, never reused, and 0 is for orders without a policy.
 *
 *   terms_take() ─► in use ─► terms_drop() by the last user ─► idle ─► TERMS_KEPT_MS later ─► overwritten and gone
 *                      ▲                                         │
 *                      └─────────────── terms_take() ────────────┘
 */
#ifndef SLUICE_FETCHD_CONFIG_TERMS_H
#define SLUICE_FETCHD_CONFIG_TERMS_H

#include <sys/queue.h>

#include "common/wire/source_policy.h"
#include "fetchd/bucket.h"
#include "fetchd/http/http.h"
#include "fetchd/http/url.h"

#define TERMS_KEPT_MS 10000u /* the next transfer of the same command may be ordered soon */

struct terms {
	LIST_ENTRY(terms) link;
	uint64_t number;
	unsigned users;
	uint64_t idle_ms; /* monotonic: since when it has no users */

	struct buf bytes; /* wiped, as are those below */
	struct source_policy said;
	struct buf
	    authorities; /* those of the policy, and those of SSL_CERT_FILE, which libcurl leaves out beside them */
	struct buf client_cert, client_key;

	struct bucket bucket;              /* of all bytes that arrive under it */
	char plain_host[ORIGIN_TEXT_SIZE]; /* a registry that was found to do without TLS; empty: none was */
};

/* All zero: none. */
struct terms_table {
	LIST_HEAD(, terms) all;
	uint64_t last_number;
};

/* 0: a reference, or NULL if there are no bytes. -EINVAL: not a policy. -ENOMEM. May read the file of SSL_CERT_FILE. */
int terms_take(struct terms_table *table, struct span bytes, struct terms **ret_terms);

/* NULL is fine. */
void terms_drop(struct terms *t);

/*
 * One that has been idle for TERMS_KEPT_MS, or NULL; it is out of the table, and for the caller to terms_free(), who
 * first forgets what was made under its number. `now_ms` UINT64_MAX: any idle one.
 */
struct terms *terms_expired(struct terms_table *table, uint64_t now_ms);

/* Overwrite and free it. */
void terms_free(struct terms *t);

/* Complete TLS settings by what the terms say. Texts are borrowed from them. */
void terms_fill_tls(const struct terms *t, struct http_tls *tls);

/* Whether requests under these terms may carry what this process has: passwords, headers. NULL: yes. */
bool terms_allow_ours(const struct terms *t);

/* Whether a password may be sent without TLS, because the user said so. NULL: no. */
bool terms_allow_plain(const struct terms *t);

/* The number, 0 for NULL. */
uint64_t terms_number(const struct terms *t);

#endif
