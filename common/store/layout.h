/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store: an OCI image layout (image-layout.md) with an ingest/ directory beside blobs/. This file knows its names,
 * makes the skeleton of a store that is not there yet, and opens what is stored for reading. ingestd and commitd say
 * which of them writes which part.
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
#define LAYOUT_RUN        ".run"   /* the sockets of a user who has no other place for them */
#define LAYOUT_COMMIT     "commit" /* what commitd has taken to itself and not named yet; nobody else may enter */
#define INGEST_TRANSFER   "transfer"
#define INGEST_DATA       "data"
#define INGEST_CHECKPOINT "checkpoint"
#define INGEST_LOCK       "lock" /* of an ingest; in ingest/ and commit/ themselves, of the store (storelock.h) */
#define INGEST_ID_SIZE    65     /* 64 hex digits of the ref's sha256, and a terminator */

enum layout_role {
	LAYOUT_READER,    /* the store must be there */
	LAYOUT_INGESTER,  /* makes the store and ingest/ */
	LAYOUT_COMMITTER, /* makes the store, blobs/, commit/, oci-layout and index.json, durably */
};

struct layout;

/*
 * Open a store. -ENOENT: no store there (readers); -EINVAL: something else is there (a directory with other things in
 * it, a layout of another version); -EXDEV: blobs/, commit/ and ingest/ are on different mounts, so that no rename
 * between them can work; -EPERM: commit/ is another user's; or another -errno. Always with a reason that names the path. Blocks in fsync where it makes something.
 */
int layout_open(const char *path, enum layout_role role, struct layout **ret_layout, struct reason *why);
void layout_free(struct layout *l);

/*
 * Whether blobs/ and ingest/ are on one mount, as layout_open() sees to it for those who write: 0, -EXDEV or another
 * -errno with a reason.
 */
int layout_check_mounts(struct layout *l, struct reason *why);

/* The absolute path, for messages. Borrowed. */
const char *layout_path(const struct layout *l);

/* Directory descriptors, borrowed; -1 where a reader's store does not have that directory. commit/: a committer's only. */
int layout_root_fd(const struct layout *l);
int layout_commit_fd(const struct layout *l);
int layout_ingest_fd(const struct layout *l);
int layout_blobs_fd(struct layout *l, enum hash_alg alg);

/* Device and inode of the root: what tells whether two paths are the same store. */
void layout_identity(const struct layout *l, uint64_t *ret_dev, uint64_t *ret_ino);

/* The name of a ref's directory in ingest/: the hex sha256 of the ref. */
void layout_ingest_id(struct span ref, char ret_id[static INGEST_ID_SIZE]);

/*
 * Open a blob for reading. -ENOENT: not stored. -EINVAL, -ELOOP: something that is not a blob has its name. `ret_st` may
 * be NULL. The caller owns the descriptor.
 */
int layout_blob_open(struct layout *l, const struct digest *d, int *ret_fd, struct stat *ret_st);

/*
 * Append a stored manifest, index or config to `out`, checked against its digest. -EBADMSG: its bytes do not hash to its
 * name, so the disk or another program changed them. -EFBIG: over JSON_DOCUMENT_MAX. As above else. Always with a reason.
 */
int layout_document_load(struct layout *l, const struct digest *d, struct buf *out, struct reason *why);

/* Whether a blob is stored, and how long it is: 0, -ENOENT, -errno. */
int layout_blob_size(struct layout *l, const struct digest *d, uint64_t *ret_size);

#endif
