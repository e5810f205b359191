/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening an ingest: its lock, its files, and recovery from whatever is there.
 *
 * What exists, and what ingest_open() makes of it:
 *
 *   nothing                         an empty ingest at offset 0
 *   a directory, some files missing or torn: what is valid is kept, the rest is created again
 *   data and a valid live slot            resumes at the size of the data; bytes beyond the slot are hashed again
 *   data and only a durable slot          truncated to the slot, and resumes from there
 *   data and neither                      Truncate(0)
 *   `sealed` in the record, data          complete; seal again
 *   `sealed` in the record, no data       commitd has moved it, and the receipt was lost: seal again (is_moved)
 *   no data, or its blob's second link, and the blob that the record expects: the same, after a power cut
 *   data with any other second name       our name is unlinked, and an empty ingest is started
 *   anything that is not a file of ours   -ELOOP, -EINVAL or -ENOTDIR, until ingest_discard() removes it
 */
#ifndef SLUICE_INGESTD_DISK_OPEN_H
#define SLUICE_INGESTD_DISK_OPEN_H

#include "ingestd/disk/ingest.h"

enum ingest_make {
	INGEST_EXISTING, /* -ENOENT if there is none */
	INGEST_MAKE,
};

/*
 * Open, lock and recover the ingest of `ref`. -EWOULDBLOCK: another process holds the lock; `why` says which and since
 * when. Other -errno with a reason that names the path; after -ENOSPC or -EDQUOT nothing is left of an ingest without
 * bytes. At most one append is hashed again. The caller owns it.
 */
int ingest_open(const struct ingest_home *home, struct span ref, enum ingest_make make, struct ingest **ret_ingest,
		struct reason *why);

/*
 * Remove the ingest of `ref`, even one that ingest_open() refuses because of a foreign file, which is removed without
 * being followed. -ENOENT: there is none. -ENOTEMPTY: a directory in it is not empty. Otherwise as above.
 */
int ingest_discard(const struct ingest_home *home, struct span ref, struct reason *why);

/*
 * Where ingest_open() would resume, without a lock and without changing anything; correct also while another process
 * writes, such as the next stage of the same pipeline. -ENOENT: there is no such ingest; else -errno with a reason.
 */
int ingest_peek(const struct ingest_home *home, struct span ref, uint64_t *ret_offset, struct reason *why);

#endif
