/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: requests from sluice, and the order of transfers. */
#ifndef SLUICE_INGESTD_QUEUE_H
#define SLUICE_INGESTD_QUEUE_H

#include "ingestd/flow.h"

/* Start queued transfers in the order of their turns, as long as fewer than max_active are under way with fetchd. */
void queue_run(struct flow *f);

/*
 * GET: start, join or resume a transfer. 0: `ret_transfer` is it; NULL there: the content is stored already, `ret_size`
 * long. -errno with a class and a reason.
 */
int queue_get(struct flow *f, const struct message *get, struct transfer **ret_transfer, uint64_t *ret_size,
	      enum fail_class *ret_class, struct reason *why);

/* ABORT: remove the ingest, including foreign files in it. -ENOENT: there is none. Another -errno with a reason. */
int queue_abort(struct flow *f, struct span ref, struct reason *why);

/*
 * RESET: drop the bytes; a transfer that is under way starts over. -ENOENT; -EBUSY when it is sealed; another -errno.
 * With a reason.
 */
int queue_reset(struct flow *f, struct span ref, struct reason *why);

#endif
