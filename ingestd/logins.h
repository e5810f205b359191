/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials that a client wants checked before it stores them: LOGIN. fetchd gets an order like any other, for the root
 * of the registry's API (SOURCE_REGISTRY), with the credentials as its policy. Its first word about that is the answer:
 * OPENED that the registry accepts them, FAIL that it does not, or why that is not known. Nothing is on disk.
 *
 *   sluice ── LOGIN ──► ingestd ── FETCH ──► fetchd
 *          ◄─ OK, ERROR        ◄─ OPENED, FAIL
 */
#ifndef SLUICE_INGESTD_LOGINS_H
#define SLUICE_INGESTD_LOGINS_H

#include <sys/queue.h>

#include "common/wire/message.h"
#include "ingestd/orders.h"
#include "ingestd/policies.h"

#define LOGINS_MAX     32      /* at once */
#define LOGIN_AGAIN_MS 120000u /* a client that has not asked again for this long is gone */

struct login;

struct logins {
	LIST_HEAD(, login) all;
	size_t len;
	struct orders *orders; /* borrowed */
	void (*answer)(void *self, uint64_t client, const struct message *m);
	void *self;
};

/*
 * Check the credentials of `policy` (borrowed) at `host`; the answer follows by `answer`. A repeated request of a user
 * takes the place of the first. `attempt` is a number as for an order. 0; -EAGAIN: there are too many; -EINVAL: not a
 * host; -ENOMEM.
 */
int logins_ask(struct logins *ls, uint64_t client, struct policy *policy, struct span host, uint64_t attempt);

/* Send the orders that are due. */
void logins_flush(struct logins *ls);

/* fetchd may have none of our orders: send all again. */
void logins_renew(struct logins *ls);

/* A message of fetchd's. False: it is not about a login. */
bool logins_take(struct logins *ls, const struct message *m);

/* Forget all without an answer. */
void logins_release(struct logins *ls);

#endif
