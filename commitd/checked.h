/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blobs were read and found good, and how long ago, in the form of common/store/ages.h:
 *
 *   leases/checked     by checks that finished a round, which is all blobs of the store
 *   leases/checking    in the present round; a later check goes on after these. A round that ends adds them to the former
 *
 * Either file may be removed: what it lists is read again. All calls on the committer's thread.
 */
#ifndef SLUICE_COMMITD_CHECKED_H
#define SLUICE_COMMITD_CHECKED_H

#include "common/store/layout.h"

#define CHECKED_FILE  "checked"
#define CHECKING_FILE "checking"

struct checked;

/* Read both files. `l` is borrowed. 0 or -errno. */
int checked_open(struct layout *l, struct checked **ret_checked);
void checked_close(struct checked *c); /* NULL is fine */

/* Whether it was found good in this round. */
bool checked_in_round(const struct checked *c, const struct digest *d);

/* Whether it was found good within the last `age_s` seconds for which the machine ran. */
bool checked_within(const struct checked *c, const struct digest *d, uint64_t age_s);

/*
 * It was found good just now, for this round or for somebody who asked for it alone: then the round reads it all the same, and
 * until its end only memory knows. 0 or -ENOMEM.
 */
int checked_add(struct checked *c, const struct digest *d, bool for_round);

/* It is no longer good, or no longer stored. */
void checked_drop(struct checked *c, const struct digest *d);

/* Whether checked_save() has something to write. */
bool checked_is_changed(const struct checked *c);

/* Write down what was done in this round, durably. 0 or -errno; calling it again is safe. Blocks in fsync. */
int checked_save(struct checked *c);

/* The round is complete, and the next one begins; likewise. Forgets what is no longer stored. */
int checked_finish(struct checked *c);

#endif
