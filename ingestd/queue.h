/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: requests from sluice, and the order of transfers. */
#ifndef SLUICE_INGESTD_QUEUE_H
#define SLUICE_INGESTD_QUEUE_H

#include "ingestd/flow.h"

/* Start queued transfers in turn while fetchd is working on fewer than max_active. */
void queue_run(struct flow *f);

/*
 * GET: start, join or resume a transfer, with the policy that the request brought, or NULL. 0: `ret_transfer`, or NULL if the content is stored already, with its size in
 * `ret_size`. -errno with a class and a reason.
 */
int queue_get(struct flow *f, const struct message *get, struct policy *policy, struct transfer **ret_transfer,
	      uint64_t *ret_size, enum fail_class *ret_class, struct reason *why);

/* ABORT: remove the ingest, including foreign files in it. -ENOENT: there is none. Another -errno with a reason. */
int queue_abort(struct flow *f, struct span ref, struct reason *why);

/*
 * RESET: drop the bytes; an active transfer starts over. -ENOENT; -EBUSY if it is sealed; another -errno. With a
 * reason.
 */
int queue_reset(struct flow *f, struct span ref, struct reason *why);

#endif
