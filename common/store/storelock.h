/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ingestd and one commitd a store: the files ingest/lock and commit/lock. They work also if two runtime directories
 * lead to one store. No other user can open them: whoever can open a file or a directory for reading can flock(2) it.
 */
#ifndef SLUICE_STORE_STORELOCK_H
#define SLUICE_STORE_STORELOCK_H

#include "common/store/layout.h"

/*
 * Lock the store in that role (not LAYOUT_READER) for as long as the descriptor is open; the caller owns it. `program`
 * is what others are told. -EWOULDBLOCK: another serves it, and the reason says who; -EOPNOTSUPP: locks do nothing on
 * its file system. Always with a reason.
 */
int storelock_take(const struct layout *l, enum layout_role role, const char *program, int *ret_fd, struct reason *why);

/* Whether locks work there at all, without taking one of those above: 0 or -EOPNOTSUPP with a reason, as above. */
int storelock_check(const struct layout *l, struct reason *why);

#endif
