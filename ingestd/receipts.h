/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe from commitd: a receipt for each seal.
 */
#ifndef SLUICE_INGESTD_RECEIPTS_H
#define SLUICE_INGESTD_RECEIPTS_H

#include "ingestd/flow.h"

struct loop;
struct receipts;

/*
 * Open `receipts` and `seals` in the runtime directory, let `f->seals` use that link, and start receiving.
 * `incarnation` is our own. `f` is borrowed. 0 or -errno.
 */
int receipts_new(struct loop *loop, const char *runtime_dir, uint64_t incarnation, struct flow *f,
		 struct receipts **ret_receipts);
void receipts_free(struct receipts *rs);

/* Receive nothing more. */
void receipts_stop(struct receipts *rs);

/* Refresh the gauges of both pipes (counters.h). */
void receipts_count(const struct receipts *rs);

#endif
