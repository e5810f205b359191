/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `sluice doctor` on the stages, from their own answers. */
#ifndef SLUICE_SLUICE_CMD_DOCTOR_STAGES_H
#define SLUICE_SLUICE_CMD_DOCTOR_STAGES_H

/* Sluice */
#include "sluice/cmd/finding.h"
#include "sluice/run/context.h"
#include "sluice/run/counts.h"

/*
 * Whether they are up, are connected, have one version, serve this store, agree on the time, and can write. `services`:
 * systemd starts them. Blocks until all that are up have answered, or for COUNTS_PATIENCE_MS.
 */
void doctor_check_stages(const struct context *ctx, bool services, const struct counts *counts, struct findings *f);

#endif
