/* SPDX-License-Identifier: Apache-2.0 */
/* The pipe to fetchd: orders for bytes, and their cancellation. */
#ifndef SLUICE_INGESTD_ORDERS_H
#define SLUICE_INGESTD_ORDERS_H

#include "common/wire/link.h"
#include "ingestd/transfers.h"

struct orders;

/* The orders that are due are those of `transfers`, which is borrowed. 0 or -ENOMEM. */
int orders_new(struct transfers *transfers, struct orders **ret_orders);
void orders_free(struct orders *o);

/* The link to fetchd, borrowed. Until there is one, nothing goes out and what is due stays due. */
void orders_use(struct orders *o, struct link *link);

/* Send every order that is due, as far as fetchd takes them; the rest goes when it does. */
void orders_flush(struct orders *o);

/* Tell fetchd to stop. If that is lost, its next message of that attempt is answered by another CANCEL. */
void orders_cancel(struct orders *o, struct span ref, uint64_t attempt);

/*
 * fetchd said HELLO. It may have none of our orders: a new fetchd has only what was sent since it connected, and one
 * that lost us has nothing. So every order is due again, from the present offset and under its attempt: a fetchd that
 * has it already recognises the repetition, and nothing is fetched twice.
 */
void orders_renew(struct orders *o);

#endif
