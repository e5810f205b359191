/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content that somebody came to need while a gc runs: it has decided what is unneeded from the names and leases
 * that it found at its start, so whoever names, commits or leases content from then on pins it, and the gc leaves it
 * alone. Only the committer's thread uses this, so a pin is set before or after an unlink, never beside it.
 */
#ifndef SLUICE_COMMITD_PINS_H
#define SLUICE_COMMITD_PINS_H

#include "common/store/layout.h"

struct pins {
	bool is_on;          /* a gc runs; otherwise nothing is pinned */
	bool is_short;       /* out of memory: a pin is missing, and the gc must end */
	struct digest *list; /* owned; as they came */
	size_t len, room;
};

#define PINS_INIT                                                                                                      \
	{                                                                                                              \
		.is_on = false                                                                                         \
	}

/* A gc begins: forget former pins. And it ends. */
void pins_begin(struct pins *p);
void pins_end(struct pins *p);

/* Pin one blob. */
void pins_add(struct pins *p, const struct digest *d);

/* Pin a blob and, if it is a manifest or an index, all that it needs, as far as it is stored. Blocks on disk. */
void pins_add_root(struct pins *p, struct layout *l, const struct digest *d);

#endif
