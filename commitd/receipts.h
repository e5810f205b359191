/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back to ingestd: a receipt for every seal, in the order in which they were decided. None is dropped: those
 * that the pipe does not accept are kept here.
 */
#ifndef SLUICE_COMMITD_RECEIPTS_H
#define SLUICE_COMMITD_RECEIPTS_H

/* System */
#include <sys/queue.h>

/* Wire */
#include "common/wire/link.h"

/* Own */
#include "commitd/commit.h"

/* A receipt to send; embedded in the caller's own struct for the seal. What it points to is borrowed. */
struct receipt {
	STAILQ_ENTRY(receipt) queue; /* ours */
	struct span ref;
	struct span digest;
	const struct commit *commit; /* COMMIT_DONE or COMMIT_REJECTED */
};

STAILQ_HEAD(receipt_queue, receipt);

struct receipts {
	struct receipt_queue unsent;
	void (*gone)(void *self, struct receipt *r); /* it was sent or dropped: the caller's again */
	void *self;
};

void receipts_init(struct receipts *rs, void (*gone)(void *self, struct receipt *r), void *self);

/* Log and count the result of the commit, and queue its receipt. */
void receipts_add(struct receipts *rs, struct receipt *r);

/* Send as many as the pipe accepts. */
void receipts_flush(struct receipts *rs, struct link *l);

/* When stopping: drop the unsent receipts. ingestd sends their seals again, to the next commitd. */
void receipts_drop(struct receipts *rs);

/* Refresh the gauges of counters.h. */
void receipts_count(const struct receipts *rs);

#endif
