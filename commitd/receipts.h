/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back to ingestd: a receipt for every seal, in the order in which they were decided. None is dropped: what the
 * pipe does not take is kept here.
 */
#ifndef SLUICE_COMMITD_RECEIPTS_H
#define SLUICE_COMMITD_RECEIPTS_H

/* System */
#include <sys/queue.h>

/* Wire */
#include "common/wire/link.h"

/* Own */
#include "commitd/commit.h"

/* One that is to be sent; embedded in whatever its caller keeps of the seal. All that it points to is borrowed. */
struct receipt {
	STAILQ_ENTRY(receipt) queue; /* ours */
	struct span ref;
	struct span digest;
	const struct commit *commit; /* COMMIT_DONE or COMMIT_REJECTED */
};

STAILQ_HEAD(receipt_queue, receipt);

struct receipts {
	struct receipt_queue unsent;
	void (*gone)(void *self, struct receipt *r); /* it was sent, or dropped: no more of ours */
	void *self;
};

void receipts_init(struct receipts *rs, void (*gone)(void *self, struct receipt *r), void *self);

/* Log and count how the commit ended, and queue its receipt. */
void receipts_add(struct receipts *rs, struct receipt *r);

/* Send what the pipe takes. */
void receipts_flush(struct receipts *rs, struct link *l);

/* Stopping: drop the unsent receipts. Their seals are sent again, to the next commitd. */
void receipts_drop(struct receipts *rs);

/* Refresh the gauges of counters.h. */
void receipts_count(const struct receipts *rs);

#endif
