/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store: an OCI image layout (image-layout.md) with the directories ingest/ and commit/ beside blobs/. This file
 * knows the names in it, creates the skeleton of a new store, and opens stored content for reading. Who writes which
 * part is documented in ingestd and commitd.
 */
#ifndef SLUICE_STORE_LAYOUT_H
#define SLUICE_STORE_LAYOUT_H

#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/oci/digest.h"

#define LAYOUT_FILE       "oci-layout"
#define LAYOUT_INDEX      "index.json"
#define LAYOUT_BLOBS      "blobs"
#define LAYOUT_INGEST     "ingest"
#define LAYOUT_RUN        ".run"       /* the sockets, if the user has no other place for them */
#define LAYOUT_LEASES     "leases"     /* what keeps content without a name (lease.h) */
#define LAYOUT_QUARANTINE "quarantine" /* damaged content, by the digest that it should have */
#define LAYOUT_FORMAT     "sluice-format"
#define LAYOUT_COMMIT     "commit" /* data that commitd has moved here and not named yet; nobody else may enter */
#define LAYOUT_AGES       "ages"   /* in ingest/: for how long transfers have rested (ages.h) */
#define INGEST_TRANSFER   "transfer"
#define INGEST_DATA       "data"
#define INGEST_CHECKPOINT "checkpoint"
#define INGEST_LOCK       "lock" /* of an ingest; those directly in ingest/ and commit/ are of the store (storelock.h) */
#define LAYOUT_FORMAT_NOW 1      /* the number in LAYOUT_FORMAT; one that is higher is refused, none at all is 1 */
#define INGEST_ID_SIZE    65     /* 64 hex digits of the ref's sha256, and a terminator */

enum layout_role {
	LAYOUT_READER,    /* the store must exist */
	LAYOUT_INGESTER,  /* creates the store and ingest/ */
	LAYOUT_COMMITTER, /* creates the store, blobs/, commit/, leases/, quarantine/ and the files in it, durably */
};

struct layout;

/*
 * Open a store. -ENOENT: it does not exist (readers); -EINVAL: `path` is something else (a directory with other files
 * in it, a layout of another version, a later format of ours); -EXDEV: blobs/, commit/ and ingest/ are on different mounts, so renames between
 * them cannot work; -EPERM: commit/ belongs to another user; or another -errno. Always with a reason that names the
 * path. Blocks in fsync if it creates something.
 */
int layout_open(const char *path, enum layout_role role, struct layout **ret_layout, struct reason *why);
void layout_free(struct layout *l);

/*
 * Whether blobs/ and ingest/ are on one mount, as layout_open() checks for writers: 0, -EXDEV or another -errno with a
 * reason.
 */
int layout_check_mounts(struct layout *l, struct reason *why);

/* The absolute path, for messages. Borrowed. */
const char *layout_path(const struct layout *l);

/* The path of a blob, for messages; cut if it is very long. */
struct reason layout_blob_path(const struct layout *l, const struct digest *d);

/* Directory descriptors, borrowed; -1 if a reader's store lacks that directory. commit/, leases/ and quarantine/ only for a committer. */
int layout_root_fd(const struct layout *l);
int layout_commit_fd(const struct layout *l);
int layout_leases_fd(const struct layout *l);
int layout_quarantine_fd(const struct layout *l);
int layout_ingest_fd(const struct layout *l);
int layout_blobs_fd(struct layout *l, enum hash_alg alg);

/* Device and inode of the root, which tell whether two paths are the same store. */
void layout_identity(const struct layout *l, uint64_t *ret_dev, uint64_t *ret_ino);

/* The name of a ref's directory in ingest/: the hex sha256 of the ref. */
void layout_ingest_id(struct span ref, char ret_id[static INGEST_ID_SIZE]);

/*
 * Open a blob for reading. -ENOENT: not stored. -EINVAL, -ELOOP: what has its name is not a blob. `ret_st` may be NULL.
 * The caller owns the descriptor.
 */
int layout_blob_open(struct layout *l, const struct digest *d, int *ret_fd, struct stat *ret_st);

/*
 * Append a stored manifest, index or config to `out`, checked against its digest. -EBADMSG: its bytes do not hash to
 * its name, so the disk or another program changed them. -EFBIG: over JSON_DOCUMENT_MAX. Otherwise as above. Always
 * with a reason.
 */
int layout_document_load(struct layout *l, const struct digest *d, struct buf *out, struct reason *why);

/* The size of a stored blob. 0, -ENOENT if it is not stored, or another -errno. */
int layout_blob_size(struct layout *l, const struct digest *d, uint64_t *ret_size);

#endif
