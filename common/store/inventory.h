/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blobs of a store at one moment: a list by algorithm and digest, with a mark for each that its user sets.
 */
#ifndef SLUICE_STORE_INVENTORY_H
#define SLUICE_STORE_INVENTORY_H

#include "common/store/layout.h"

struct stored {
	struct digest digest;
	uint64_t size;
	bool is_marked;
};

struct inventory {
	struct stored *list; /* owned; by algorithm and digest */
	size_t len, room;
};

#define INVENTORY_INIT                                                                                                 \
	{                                                                                                              \
		NULL, 0, 0                                                                                             \
	}

/*
 * Visit whatever has a digest for its name in blobs/, be it a file or not, in no order. 0, the result of `visit` that ended
 * it, or -errno. Blocks on disk.
 */
int inventory_each(struct layout *l, int (*visit)(void *self, const struct digest *d), void *self);

/*
 * List all regular files in blobs/ whose name is a digest; others are passed over. 0 or -errno, with a reason and nothing
 * to release. Blocks on disk.
 */
int inventory_take(struct layout *l, struct inventory *ret_inventory, struct reason *why);
void inventory_release(struct inventory *v);

/* The entry of a digest, or NULL. */
struct stored *inventory_find(const struct inventory *v, const struct digest *d);

#endif
