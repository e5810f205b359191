/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage as a daemon (common/base/daemon.h); only one per runtime directory.
 */
#ifndef SLUICE_WIRE_STAGE_RUN_H
#define SLUICE_WIRE_STAGE_RUN_H

#include "common/base/daemon.h"
#include "common/wire/stage.h"

/*
 * Take the stage's place in the runtime directory and run until stopped. Returns the exit code: 0 after a clean stop,
 * 75 if another process has that place.
 */
int stage_run(enum stage_id stage, const char *runtime_dir, const struct daemon_hooks *hooks, void *self);

#endif
