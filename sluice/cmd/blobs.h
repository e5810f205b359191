/* SPDX-License-Identifier: Apache-2.0 */
/* The stored blobs, and which names need each: `ls --blobs`. */
#ifndef SLUICE_SLUICE_CMD_BLOBS_H
#define SLUICE_SLUICE_CMD_BLOBS_H

/* Base */
#include "common/base/program.h"

/* List them; operands are refused. Returns the exit code, after a line that says why it is not 0. */
int blobs_list(const struct call *call);

#endif
