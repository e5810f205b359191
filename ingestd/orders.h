/*
 * The pipe to fetchd: orders for bytes, and the calls that take them back.
 */
#ifndef SLUICE_INGESTD_ORDERS_H
#define SLUICE_INGESTD_ORDERS_H

#include "common/wire/peer.h"
#include "ingestd/transfers.h"

struct loop;
struct orders;

/*
 * Bind `orders` in the runtime directory and begin with a HELLO. The orders that are due are those of `transfers`,
 * which is borrowed. 0 or -errno.
 */
int orders_new(struct loop *loop, const char *runtime_dir, struct transfers *transfers, struct orders **ret_orders);
void orders_free(struct orders *o);

/* Send every order that is due, as far as fetchd takes them; the rest goes when it does. */
void orders_flush(struct orders *o);

/* Tell fetchd to stop. If it does not listen, that is lost, and its next message of that attempt is answered so again. */
void orders_cancel(struct orders *o, struct span ref, uint64_t attempt);

/*
 * Take fetchd's HELLO. Whoever says HELLO may have nothing of ours in hand: a new fetchd has only what was sent since
 * it connected, and one that lost us has nothing. So every order goes again, from where we are and under the attempt
 * that it has: a fetchd that has it already knows it for a repetition, and nothing is fetched twice.
 */
void orders_greet(struct orders *o, uint64_t incarnation, uint64_t named);

/* Whether this incarnation is the fetchd that was heard of last. */
bool orders_is_peer(const struct orders *o, uint64_t incarnation);

/* Refresh the gauges of the pipe (counters.h). */
void orders_count(const struct orders *o);

#endif
