/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `commitd commit`: seals as frames on one descriptor, digests as lines on another.
 */
#ifndef SLUICE_COMMITD_TOOL_H
#define SLUICE_COMMITD_TOOL_H

#include "commitd/settings.h"

/*
 * Read seals from `in_fd`, commit each in order, and remove its ingest. Returns the exit code, that of the first seal
 * that failed, after printing what failed. Blocks.
 */
int tool_commit(const struct settings *settings, int in_fd, int out_fd);

#endif
