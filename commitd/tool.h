/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `commitd commit`: seals as frames on one descriptor, digests as lines on another.
 */
#ifndef SLUICE_COMMITD_TOOL_H
#define SLUICE_COMMITD_TOOL_H

#include "commitd/settings.h"

/*
 * Commit every seal that `in_fd` brings, in order, to the store, and remove its ingest. Returns the exit code: that of
 * the first seal that failed; says what failed. Blocks.
 */
int tool_commit(const struct settings *settings, int in_fd, int out_fd);

#endif
