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

#include "common/store/layout.h"

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

/* When the daemon starts, before it accepts a seal: put everything back. */
void custody_recover(const struct layout *l);

#endif
