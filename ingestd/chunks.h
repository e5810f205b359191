/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe from fetchd: the bytes, and what happens to them on the network.
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
