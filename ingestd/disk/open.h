/*
 * Opening an ingest: its lock, its files, and recovery from whatever is there.
 *
 * What is there, and what ingest_open() makes of it:
 *
 *   nothing                         an empty ingest at offset 0
 *   a directory, some files missing or torn: whatever counts is kept, the rest is made anew
 *   data and a live slot that counts      goes on at the size of the data; the bytes past the slot are hashed again
 *   data and a durable slot only          cut back to the slot, and goes on from there
 *   data and neither                      Truncate(0)
 *   `sealed` in the record, data          complete; seal again
 *   `sealed` in the record, no data       commitd has renamed it, and the receipt was lost: ask again (is_moved)
 *   no data, or its blob's second link, and the blob that the record expects: the same, after a power cut
 *   data with any other second name       our name of it goes, and an empty ingest is begun
 *   anything else that is no file of ours -ELOOP, -EINVAL or -ENOTDIR, until ingest_discard() takes it away
 */
#ifndef SLUICE_INGESTD_DISK_OPEN_H
#define SLUICE_INGESTD_DISK_OPEN_H

#include "ingestd/disk/ingest.h"

enum ingest_make {
	INGEST_EXISTING, /* -ENOENT where there is none */
	INGEST_MAKE,
};

/*
 * Open, lock and recover the ingest of `ref`. -EWOULDBLOCK: another holds the lock, `why` says who and since when.
 * Other -errno with a reason that names the path; after -ENOSPC or -EDQUOT nothing stays of an ingest that held
 * nothing. What is hashed again here is at most one append. The caller owns it.
 */
int ingest_open(const struct ingest_home *home, struct span ref, enum ingest_make make, struct ingest **ret_ingest,
		struct reason *why);

/*
 * Remove the ingest of `ref`, also one that ingest_open() refuses because something in it is no file of ours: that goes
 * without being followed. -ENOENT: there is none. -ENOTEMPTY: a directory in it holds something. Else as above.
 */
int ingest_discard(const struct ingest_home *home, struct span ref, struct reason *why);

/*
 * Where ingest_open() would go on from, without a lock and without changing anything: right also beside a writer, which
 * may be the next stage of the very pipeline that asks. -ENOENT: there is no such ingest; else -errno with a reason.
 */
int ingest_peek(const struct ingest_home *home, struct span ref, uint64_t *ret_offset, struct reason *why);

#endif
