/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For how long things have been as they are: blobs without need, blobs found good, transfers that nobody goes on with. What counts is time
 * for which the machine has certainly run, so that a clock that jumps makes nothing older: within a boot the time since
 * the file was written; after another boot, the time since that boot. On disk it is a text file:
 *
 *   boot=HEX
 *   at=SECONDS                   when it was written: the boot, and seconds since its start
 *   DIGEST SECONDS               one line for each
 */
#ifndef SLUICE_STORE_AGES_H
#define SLUICE_STORE_AGES_H

#include "common/base/boot.h"
#include "common/oci/digest.h"

#define AGES_FILE_MAX (64u << 20) /* bytes; about 700,000 lines */

struct ages;

/*
 * Load them, as old as they are now. A file that does not exist or is damaged has none: everything is new then. `boot` is
 * the present one. 0, -ENOMEM, or another -errno.
 */
int ages_load(int dir_fd, const char *name, const uint8_t boot[static BOOT_ID_SIZE], struct ages **ret_ages);
void ages_free(struct ages *a);

/* None, as of now, to be filled with ages_add(). 0 or -ENOMEM. */
int ages_new(const uint8_t boot[static BOOT_ID_SIZE], struct ages **ret_ages);

/* Add one, to be stored; each digest once. 0 or -ENOMEM. */
int ages_add(struct ages *a, const struct digest *d, uint64_t age_s);

/* Visit all that were loaded. 0, or the first result of `visit` that is not 0. */
int ages_each(const struct ages *a, int (*visit)(void *self, const struct digest *d, uint64_t age_s), void *self);

/* How old it is, in seconds; 0 if it is new. */
uint64_t ages_of(const struct ages *a, const struct digest *d);

/* Keep it when they are stored; all others are forgotten. 0 or -ENOMEM. */
int ages_keep(struct ages *a, const struct digest *d);

/* The same, but with that age. */
int ages_put(struct ages *a, const struct digest *d, uint64_t age_s);

/* Replace the file, durably. 0 or -errno, with the former file in place. Blocks in fsync. */
int ages_store(const struct ages *a, int dir_fd, const char *name);

#endif
