/*
 * The pipe from commitd: a receipt for each seal.
 */
#ifndef SLUICE_INGESTD_RECEIPTS_H
#define SLUICE_INGESTD_RECEIPTS_H

#include "ingestd/flow.h"

struct loop;
struct receipts;

/* Bind `receipts` in the runtime directory and take what comes. `f` is borrowed. 0 or -errno. */
int receipts_new(struct loop *loop, const char *runtime_dir, struct flow *f, struct receipts **ret_receipts);
void receipts_free(struct receipts *rs);

/* Take nothing any more. */
void receipts_stop(struct receipts *rs);

/* Refresh the gauges of the pipe (counters.h). */
void receipts_count(const struct receipts *rs);

#endif
