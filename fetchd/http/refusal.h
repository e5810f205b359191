/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's own reason for a refusal: the body of an answer with a status from 400 on. Formats: the OCI distribution
 * spec ("Error Codes"), RFC 6749 (5.2), and those of Docker Hub's and GitLab's token servers. Pure.
 */
#ifndef SLUICE_FETCHD_HTTP_REFUSAL_H
#define SLUICE_FETCHD_HTTP_REFUSAL_H

#include "common/base/buf.h"
#include "common/base/reason.h"
#include "common/base/span.h"

#define REFUSAL_BODY_MAX 8192 /* bytes of a body; a longer one is ignored */
#define REFUSAL_TEXT_MAX 200  /* bytes of it in a message */

/*
 * Add to `sent` what a request had that others must not see: a value of Authorization; the values of a query or a form
 * (if `name` is not NULL, only those of that name), as they are and decoded. Short ones are left out: they are words. 0
 * or -ENOMEM. The caller wipes `sent`.
 */
int refusal_add_authorization(struct buf *sent, const char *authorization);
int refusal_add_values(struct buf *sent, const char *query, const char *name);

/*
 * Append what the body says to `why`, which has the status: ": DENIED: address not allowed", escaped and cut, without
 * what it quotes of `sent`, queries of URLs, and values of Authorization. Appends nothing if the body cannot be
 * understood.
 */
void refusal_explain(struct span body, const struct buf *sent, struct reason *why);

#endif
