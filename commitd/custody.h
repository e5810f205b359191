/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit/: the data that commitd has taken from an ingest and not named yet, under the ingest's ID. Nobody else may
 * enter that directory, so what stands at a name there cannot be exchanged for something else between a look at it and
 * its rename into blobs/, as it can in ingest/, which ingestd writes.
 *
 * Data lies here while it is read back, or for an instant. It leaves with its name, or goes back to its ingest. What a
 * commitd that died left here is found by the next commit of that ingest; and custody_recover() puts it back, so that
 * an ingest whose record does not say `sealed` has its bytes.
 */
#ifndef SLUICE_COMMITD_CUSTODY_H
#define SLUICE_COMMITD_CUSTODY_H

#include "common/store/layout.h"

/* Open what was taken from the ingest `id`: as file_open_at(), -ENOENT where nothing was. */
int custody_open(const struct layout *l, const char *id, int *ret_fd, struct stat *ret_st);

/*
 * Take the data of the ingest whose directory is `dir_fd`, after its record is synced: else a power cut could leave an
 * ingest without data that does not say that it was complete. 0: taken, not yet durable. -ENOENT: it is not there;
 * -EEXIST: something was taken already; -ESTALE: what was taken is not the file `want`, and it went back. Else -errno.
 * Blocks in fsync.
 */
int custody_take(const struct layout *l, const char *id, int dir_fd, const struct stat *want);

/*
 * Where a run died between link and unlink, on a file system without renameat2: unlink the data in the ingest's
 * directory. 0, also when there is nothing to do, or -errno.
 */
int custody_finish(const struct layout *l, const char *id, int dir_fd);

/*
 * Give back what was taken, if anything was. Where its ingest is gone or has other data, it is removed instead: it is
 * of no use to anybody. 0, or -errno: it stays where it is, for the next commit. Any thread.
 */
int custody_put_back(const struct layout *l, const char *id);

/* Remove what was taken: its content has its name. 0, also when nothing is there, or -errno. */
int custody_drop(const struct layout *l, const char *id);

/* Sync the directory, after blobs/ and before the ingests. Blocks in fsync. */
int custody_sync(const struct layout *l);

/* For the daemon when it starts, before it takes a seal: put back all that is there. */
void custody_recover(const struct layout *l);

#endif
