/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One commitd a store: a lock (flock(2)) on the blobs/ directory itself, which serves also where two runtime
 * directories lead to one store.
 */
#ifndef SLUICE_STORE_STORELOCK_H
#define SLUICE_STORE_STORELOCK_H

#include "common/store/layout.h"

/*
 * Lock the store for as long as the descriptor is open; the caller owns it. -EWOULDBLOCK: another serves it, and the
 * reason says who, if that can be seen. Always with a reason.
 */
int storelock_take(const struct layout *l, int *ret_fd, struct reason *why);

#endif
