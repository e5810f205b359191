/* SPDX-License-Identifier: Apache-2.0 */
/* The pipe to fetchd: orders for bytes, and their cancellation. */
#ifndef SLUICE_INGESTD_ORDERS_H
#define SLUICE_INGESTD_ORDERS_H

#include "common/wire/link.h"
#include "ingestd/transfers.h"

struct orders;

/* Orders for `transfers`, which is borrowed. 0 or -ENOMEM. */
int orders_new(struct transfers *transfers, struct orders **ret_orders);
void orders_free(struct orders *o);

/* Use this link to fetchd, borrowed. Until then nothing is sent, and what is due stays due. */
void orders_use(struct orders *o, struct link *link);

/* Send the orders that are due, as many as fetchd accepts; the rest when it accepts more. */
void orders_flush(struct orders *o);

/* Send a message that is none of the transfers'. 0; -errno: not now, or there is no link. */
int orders_send(struct orders *o, const struct message *m);

/* Tell fetchd to stop. If the CANCEL is lost, fetchd's next message of that attempt is answered with another. */
void orders_cancel(struct orders *o, struct span ref, uint64_t attempt);

/*
 * fetchd said HELLO. It may have none of our orders: a new fetchd has only what was sent since it connected, and one
 * that lost us has nothing. So every order is due again, from the current offset and under the same attempt: a fetchd
 * that has it already recognises the repetition, and nothing is fetched twice.
 */
void orders_renew(struct orders *o);

#endif
