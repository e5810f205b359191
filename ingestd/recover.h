/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery of what is on disk: starting is recovering. */
#ifndef SLUICE_INGESTD_RECOVER_H
#define SLUICE_INGESTD_RECOVER_H

#include "ingestd/flow.h"

/*
 * Create a transfer for every ingest: queued; failed if its record says so; or, with --no-resume, idle unless it is
 * sealed. Directories without anything useful are removed.
 */
void recover_all(struct flow *f);

#endif
