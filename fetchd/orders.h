/*
 * The daemon's side of the wire: HELLO, FETCH and CANCEL from ingestd, and a table of the transfers that it ordered.
 * The rules are in common/wire/message.h. What is refused on the way in is counted, and logged once a second at most.
 */
#ifndef SLUICE_FETCHD_ORDERS_H
#define SLUICE_FETCHD_ORDERS_H

#include "common/wire/pipe.h"
#include "fetchd/fetch.h"

#define ORDERS_MAX 128 /* transfers in hand; ingestd orders a few at a time */

struct orders;

/*
 * Begin to take orders from `in` for `env`, saying HELLO on `out` (which `env->sink` sends to). Everything is borrowed.
 * 0 or -errno.
 */
int orders_new(struct fetcher *env, struct pipe *in, struct pipe *out, struct orders **ret_orders);

/* Drop all transfers. NULL is fine. */
void orders_free(struct orders *os);

#endif
