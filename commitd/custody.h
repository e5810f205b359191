/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit/: the data that commitd has taken from an ingest and not named yet, under the ingest's ID. Nobody else may
 * enter that directory, so a file there cannot be exchanged for another between the check and its rename into blobs/,
 * as it could in ingest/, which ingestd writes.
 *
 * Data is here while it is read back, or for an instant. It gets its name, or goes back to its ingest. What a killed
 * commitd left here is found by the next commit of that ingest; and custody_recover() puts it back, so that an ingest
 * whose record does not say `sealed` has its bytes.
 */
#ifndef SLUICE_COMMITD_CUSTODY_H
#define SLUICE_COMMITD_CUSTODY_H

#include <stdatomic.h>

#include "common/store/layout.h"

#define CUSTODY_CLAIMS "claims" /* in commit/: its bytes are locked, one for each ingest */

/*
 * Claim the data of an ingest: until `ret_fd` is closed, no other commitd that asks takes it, names it or gives it back.
 * Without that, one that was stopped between the check of a file and its rename could give the name to the next content of
 * that ingest. The caller owns the descriptor. 0; -EAGAIN: another has the claim; or another -errno. All functions below
 * that change something need it.
 */
int custody_claim(const struct layout *l, const char *id, int *ret_fd);

/* The same, but wait for it: -ECANCELED when `stop` (may be NULL) became true. Not for an event loop. Any thread. */
int custody_claim_wait(const struct layout *l, const char *id, const atomic_bool *stop, int *ret_fd);

/* Open what was taken from the ingest `id`: as file_open_at(); -ENOENT if nothing was taken. */
int custody_open(const struct layout *l, const char *id, int *ret_fd, struct stat *ret_st);

/*
 * Take the data of the ingest whose directory is `dir_fd`, after syncing its record: otherwise a power cut could leave an
 * ingest without data that does not say that it was complete. 0: taken, not yet durable. -ENOENT: there is no data;
 * -EEXIST: something was taken already; -ESTALE: what was taken is not the file `want`, or has changed, and must be put back. Else -errno.
 * Blocks in fsync.
 */
int custody_take(const struct layout *l, const char *id, int dir_fd, const struct stat *want);

/*
 * If a run died between link and unlink, on a file system without renameat2: unlink the data in the ingest's directory.
 * 0, also if there is nothing to do, or -errno.
 */
int custody_finish(const struct layout *l, const char *id, int dir_fd);

/*
 * Give back what was taken, if anything was. If its ingest is gone or has other data, it is removed instead: nobody can
 * use it. 0, or -errno: it stays for the next commit. Any thread.
 */
int custody_put_back(const struct layout *l, const char *id);

/* Remove what was taken, because its content is stored. 0, also if there is nothing, or -errno. */
int custody_drop(const struct layout *l, const char *id);

/* Sync the directory, after blobs/ and before the ingests. Blocks in fsync. */
int custody_sync(const struct layout *l);

/* When the daemon starts, before it accepts a seal: put everything back that nobody has claimed. */
void custody_recover(const struct layout *l);

#endif
