/*
 * The side of ingestd that faces fetchd: orders out, chunks in.
 */
#ifndef SLUICE_INGESTD_ORDERS_H
#define SLUICE_INGESTD_ORDERS_H

#include "ingestd/desk.h"

struct orders;

/* Bind `orders` and `chunks` and watch them on the desk's loop. 0 or -errno. */
int orders_new(struct desk *desk, struct orders **ret_orders);
void orders_free(struct orders *o);

/* Send every order that is due, as far as fetchd takes them; the rest goes when it does. */
void orders_flush(struct orders *o);

/* Tell fetchd to stop. Lost where it does not listen: then its next word about that attempt is answered so again. */
void orders_cancel(struct orders *o, struct span ref, uint64_t attempt);

/* What fetchd told of itself last, as COUNTS; false: it is not there, or has not said anything yet. */
bool orders_fetchd_counts(const struct orders *o, struct message *ret_counts);

/* Refresh the gauges of both pipes (counters.h). */
void orders_count(const struct orders *o);

#endif
