/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policies of sources (common/wire/source_policy.h) that came with requests. They are in memory only, because they
 * may have credentials: a policy is overwritten when the last transfer that needs it has ended, and after a restart
 * nobody has it. Transfers that were requested with the same policy by the same user share it.
 */
#ifndef SLUICE_INGESTD_POLICIES_H
#define SLUICE_INGESTD_POLICIES_H

#include <sys/queue.h>
#include <sys/types.h>

#include "common/base/span.h"

#define POLICIES_A_USER 32 /* different ones at once: one per command that runs */

struct policy;

LIST_HEAD(policies, policy); /* all zero: none */

/*
 * The policy of these bytes, to be dropped by the caller. 0: NULL in `ret_policy` if there are no bytes. -EINVAL: they
 * are not a policy. -EAGAIN: the user has too many. -ENOMEM. With the first one that has credentials, this process hides
 * its memory from others.
 */
int policies_take(struct policies *ps, uid_t uid, struct span bytes, struct policy **ret_policy);

/* Another reference, to be dropped. NULL is fine, here and below. */
struct policy *policy_share(struct policy *p);
void policy_drop(struct policy *p);

/* Empty for NULL. Borrowed from the policy. */
struct span policy_bytes(const struct policy *p);

/* Whether the same servers are trusted under both: the same is said about TLS and plain HTTP. Either may be NULL. */
bool policy_trusts_as(const struct policy *a, const struct policy *b);

/* Whether it has credentials, as opposed to options alone. */
bool policy_has_secret(const struct policy *p);

#endif
