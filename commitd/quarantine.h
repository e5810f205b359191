/* SPDX-License-Identifier: Apache-2.0 */
/* Where damaged content goes: its name becomes free, and nothing reads it again. */
#ifndef SLUICE_COMMITD_QUARANTINE_H
#define SLUICE_COMMITD_QUARANTINE_H

#include "common/store/layout.h"

/*
 * Move whatever has the blob's name to quarantine/, durably, in place of what was there before. 0 or -errno; then it is in
 * either place. Blocks in fsync; only on the committer's thread.
 */
int quarantine_move(struct layout *l, const struct digest *d);

#endif
