/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The incoming pipe: FETCH and CANCEL from ingestd, and the table of transfers that it ordered. The rules are in
 * common/wire/message.h.
 */
#ifndef SLUICE_FETCHD_ORDERS_H
#define SLUICE_FETCHD_ORDERS_H

#include "fetchd/fetch.h"

#define ORDERS_MAX 128 /* transfers in hand; ingestd orders a few at a time */

struct orders;

/*
 * Start receiving orders in `runtime_dir` (borrowed). The fetcher (borrowed) gets its sink, the pipe back to ingestd. 0 or
 * -errno.
 */
int orders_new(struct fetcher *fetcher, const char *runtime_dir, struct orders **ret_orders);

/* Drop all transfers, and the sink. NULL is fine. */
void orders_free(struct orders *os);

#endif
