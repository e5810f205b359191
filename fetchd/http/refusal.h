/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a server refuses, in its own words: the body of an answer from status 400 on. Formats: the OCI distribution spec
 * ("Error Codes"), RFC 6749 (5.2), and what Docker Hub's and GitLab's token servers send. Pure.
 */
#ifndef SLUICE_FETCHD_HTTP_REFUSAL_H
#define SLUICE_FETCHD_HTTP_REFUSAL_H

#include "common/base/reason.h"
#include "common/base/span.h"

#define REFUSAL_BODY_MAX 8192 /* bytes of a body that are looked at; a longer one does not count */
#define REFUSAL_TEXT_MAX 200  /* bytes of it in a message */

/*
 * Append to `why`, which has the status, what the body says: ": DENIED: address not allowed", escaped and cut. Nothing
 * where it says nothing that is understood.
 */
void refusal_explain(struct span body, struct reason *why);

#endif
