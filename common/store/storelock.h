/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ingestd and one commitd per store: the lock files ingest/lock and commit/lock. They also work if two runtime
 * directories are used with one store. No other user can open them: whoever can open a file or a directory for reading
 * can flock(2) it.
 */
#ifndef SLUICE_STORE_STORELOCK_H
#define SLUICE_STORE_STORELOCK_H

#include "common/store/layout.h"

/*
 * Lock the store in that role (not LAYOUT_READER) while the descriptor is open; the caller owns it. `program` is the
 * name of the holder in others' messages. -EWOULDBLOCK: another process serves it, and the reason says which;
 * -EOPNOTSUPP: locks do nothing on its file system. Always with a reason.
 */
int storelock_take(const struct layout *l, enum layout_role role, const char *program, int *ret_fd, struct reason *why);

/* Whether locks work there at all, without taking one of these: 0, or -EOPNOTSUPP with a reason. */
int storelock_check(const struct layout *l, struct reason *why);

/* The reason for which any lock in the store was refused with -EOPNOTSUPP, which is returned. */
int storelock_useless(const struct layout *l, struct reason *why);

#endif
