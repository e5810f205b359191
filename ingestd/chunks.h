/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe from fetchd: the bytes, and what happens on the network. fetchd talks to strangers, so it is not trusted: a
 * message counts only for a transfer that was ordered, under the current attempt, and only if it answers something.
 *
 *   message    accepted                                        otherwise
 *   RESOLVED   if the order asked to resolve a tag             the transfer fails
 *   OPENED     at our offset, as far as it contradicts         ordered again; from zero, once, or the transfer fails
 *              nothing that was requested or is known
 *   CHUNK      after an OPENED, at our offset, within the      below: dropped; above: ordered again; beyond the size:
 *              size                                            the transfer fails
 *   both       within the size limit of a manifest             from zero, once
 *   END        after an OPENED, at our offset                  above: ordered again; below: from zero, once
 *   FAIL       always                                          -
 *   BEAT       always; published no more often than progress   -
 *   any of     for a transfer that was not ordered, or under   dropped; fetchd is told to stop
 *   these      another attempt
 *   HELLO      always                                          -
 *   COUNTS     from the fetchd that said HELLO last            dropped
 *   others     never                                           refused, counted
 */
#ifndef SLUICE_INGESTD_CHUNKS_H
#define SLUICE_INGESTD_CHUNKS_H

#include "ingestd/flow.h"

struct loop;
struct chunks;

/*
 * Bind `chunks` and `orders` in the runtime directory, let `f->orders` use that link, and start receiving.
 * `incarnation` is our own. `f` is borrowed. 0 or -errno.
 */
int chunks_new(struct loop *loop, const char *runtime_dir, uint64_t incarnation, struct flow *f,
	       struct chunks **ret_chunks);
void chunks_free(struct chunks *c);

/* Receive nothing more. */
void chunks_stop(struct chunks *c);

/* The last COUNTS from fetchd; false: it is not connected, or has not sent any yet. */
bool chunks_fetchd_counts(const struct chunks *c, struct message *ret_counts);

/* If the fetchd that is connected speaks no version of the protocol that we do: a line that says so. Else NULL. */
const char *chunks_stranger(const struct chunks *c);

/* Refresh the gauges of both pipes (counters.h). */
void chunks_count(const struct chunks *c);

#endif
