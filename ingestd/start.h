/* SPDX-License-Identifier: Apache-2.0 */
/* How a transfer starts, or resumes: open its ingest, then do what is missing. */
#ifndef SLUICE_INGESTD_START_H
#define SLUICE_INGESTD_START_H

#include "ingestd/flow.h"

/*
 * Open the ingest of a transfer, unless it is open, and write the last request into its record: from then on the
 * transfer survives us. 0, or -errno with a reason; after -ENOSPC or -EDQUOT nothing of a new ingest remains.
 */
int start_open(struct flow *f, struct transfer *t, struct reason *why);

/* Start a QUEUED transfer that has no job: open the ingest and do the next step. */
void start_transfer(struct flow *f, struct transfer *t);

#endif
