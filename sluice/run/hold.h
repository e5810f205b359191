/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's lease (common/wire/message.h, LEASE): what it is about to use stays in the store, stored now or later, until
 * it has a name. Two commands with the same purpose share one, and a command that is run again takes up the former's.
 *
 * One whose `ttl_s` is 0 is without end: it stays until hold_release(), or until it is released by its ID.
 *
 * Without a lease a command works as well, unless a gc removes what it still needs. So if commitd refuses one, as one of
 * an older version does, or one whose disk is full, that is told once, and the command goes on.
 */
#ifndef SLUICE_SLUICE_RUN_HOLD_H
#define SLUICE_SLUICE_RUN_HOLD_H

/* OCI */
#include "common/oci/digest.h"

/* Sluice */
#include "sluice/run/client.h"

#define HOLD_RENEW_MS 20000u

struct hold;

/* Nothing is sent yet. `purpose` is for people: "pull docker.io/library/alpine:latest"; a long one is cut when shown. 0 or -ENOMEM. */
int hold_new(struct client *c, const char *purpose, uint64_t ttl_s, struct hold **ret_hold);
void hold_free(struct hold *h);

/* What is committed for that ref from the next hold_send() on is held, too. At most one. 0 or -ENOMEM. */
int hold_add_ref(struct hold *h, struct span ref);

/* Collect a digest for hold_send(). 0 or -ENOMEM. */
int hold_add(struct hold *h, const struct digest *d);

/* The same for a manifest or an index, and with it all that it needs. */
int hold_add_root(struct hold *h, const struct digest *d);

/*
 * Hold what was collected. After that, what is stored stays, and what is absent has to be fetched. 0, or an exit code of
 * client_ask() with a reason. Blocks.
 */
int hold_send(struct hold *h, struct reason *why);

/* Whether it is on disk: it was sent, and not refused. */
bool hold_is_kept(const struct hold *h);

/*
 * Now and then: tell commitd, which may be another by now, that we are here. False: the lease had ended, so everything must
 * be collected and sent again, and may be absent. Blocks for a second at most.
 */
bool hold_renew(struct hold *h);

/* It is no longer needed. If it cannot be told, the lease ends later. */
void hold_release(struct hold *h);

#endif
