/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe from fetchd: the bytes, and what happens to them on the network. fetchd talks to strangers, so it is taken
 * for one: what it says counts for the transfer that it has an order for, under the current attempt, and only if it
 * answers something.
 *
 *   message    taken                                           else
 *   RESOLVED   if the order asked what a tag names             the transfer fails
 *   OPENED     at our offset, as far as it contradicts         ordered again; from zero, once, or the transfer fails
 *              nothing that was asked for or is known
 *   CHUNK      behind an OPENED, at our offset, within the     below: dropped; above: ordered again; beyond the size:
 *              size                                            the transfer fails
 *   both       within what a manifest may have                 from zero, once
 *   END        behind an OPENED, at our offset                 above: ordered again; below: from zero, once
 *   FAIL       always                                          -
 *   BEAT       always; told no oftener than progress is        -
 *   any of     of a transfer that has no order, or under       dropped; fetchd is told to stop
 *   these      another attempt
 *   HELLO      always                                          -
 *   COUNTS     of the fetchd that said HELLO last              not told to anybody
 *   others     never                                           refused, counted
 */
#ifndef SLUICE_INGESTD_CHUNKS_H
#define SLUICE_INGESTD_CHUNKS_H

#include "ingestd/flow.h"

struct loop;
struct chunks;

/*
 * Bind `chunks` and `orders` in the runtime directory, let `f->orders` use that link, and take what comes.
 * `incarnation` is our own. `f` is borrowed. 0 or -errno.
 */
int chunks_new(struct loop *loop, const char *runtime_dir, uint64_t incarnation, struct flow *f,
	       struct chunks **ret_chunks);
void chunks_free(struct chunks *c);

/* Take nothing any more. */
void chunks_stop(struct chunks *c);

/* The last COUNTS of fetchd; false: it is not connected, or has not sent any yet. */
bool chunks_fetchd_counts(const struct chunks *c, struct message *ret_counts);

/* Refresh the gauges of both pipes (counters.h). */
void chunks_count(const struct chunks *c);

#endif
