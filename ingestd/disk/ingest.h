/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ingest: the bytes of one transfer on their way into the store, and the running digest of them. This is the only
 * writer of ingest/<id>/; a struct ingest holds the directory's lock. open.h opens it.
 *
 * The size of the data is always the offset: space is reserved only with FALLOC_FL_KEEP_SIZE.
 *
 * An append hashes exactly the bytes that write(2) accepted and then writes the live slot. Everything that blocks on
 * the disk is a sync job (sync.h), run elsewhere.
 */
#ifndef SLUICE_INGESTD_DISK_INGEST_H
#define SLUICE_INGESTD_DISK_INGEST_H

#include "common/store/layout.h"
#include "common/store/record.h"
#include "ingestd/disk/checkpoint.h"

/* What all ingests of a process share. */
struct ingest_home {
	struct layout *layout; /* borrowed */
	uint8_t boot_id[BOOT_ID_SIZE];
	const char *program; /* who holds the locks: "ingestd", "ingestd put" */
};

struct ingest {
	const struct ingest_home *home;
	struct record record; /* the content of the file `transfer`; to change it, call ingest_note() afterwards */
	char id[INGEST_ID_SIZE];
	uint8_t id_bytes[INGEST_ID_BYTES];
	int dir_fd, lock_fd, record_fd, data_fd, checkpoint_fd; /* owned */
	enum hash_alg alg;
	struct hasher *hasher; /* owned; has seen `offset` bytes */
	uint64_t offset;
	uint64_t sequence;       /* of the last slot */
	uint64_t durable_offset; /* of the last durable slot, 0 if none */
	uint64_t durable_turn;
	uint64_t rehashed;     /* total bytes hashed again by restarts */
	uint64_t rehashed_now; /* those of this opening */
	uint64_t record_len;   /* of the complete records in the file `transfer` */
	uint8_t provenance;
	bool anchored;       /* the directory, its entries and the record are synced: durable slots count */
	bool is_moved;       /* sealed, and the data has been moved away */
	const char *resumed; /* how it was opened, for the log: "from its live record", ... */
};

/* Release the lock and the descriptors; the files stay. NULL is fine. */
void ingest_close(struct ingest *in);

/*
 * Append `len` bytes at the offset. On failure `ret_accepted` says how many the file accepted; these are hashed and
 * count. 0 or -errno of write(2). Never syncs.
 */
int ingest_append(struct ingest *in, const void *data, size_t len, size_t *ret_accepted);

/*
 * Truncate(0): drop the bytes, the digest state and what was learned about the content (also its size, and its digest
 * unless the ref is one); keep the ref and the source. 0 or -errno.
 */
int ingest_truncate(struct ingest *in);

/*
 * After a failed write or sync the kernel may have dropped pages that it had accepted: reopen the files and go back to
 * the last durable slot, or to 0. 0 or -errno.
 */
int ingest_roll_back(struct ingest *in);

/* Write the record to the file `transfer`. 0 or -errno. Never syncs. */
int ingest_note(struct ingest *in);

/*
 * The same for a failed transfer, which stays until the next request supplies the source again. So query and fragment
 * of a URL, which may be a signature, are removed: from the record, and with all earlier records from the file, which
 * is replaced and synced. 0, or -errno with the file unchanged.
 */
int ingest_note_failed(struct ingest *in);

/* Record that all bytes have arrived and are synced, with their number and digest. 0 or -errno. Never syncs. */
int ingest_note_sealed(struct ingest *in);

/* Release the space reserved past the data: a transfer that waits must not hold it. 0 or -errno. */
int ingest_unreserve(struct ingest *in);

/* The digest of the bytes so far. */
void ingest_digest(const struct ingest *in, struct digest *ret_digest);

/* Change the digest algorithm. 0, even if it is in use already; -EBUSY unless the offset is 0. */
int ingest_set_alg(struct ingest *in, enum hash_alg alg);

enum seal_verdict {
	SEAL_MATCH,
	SEAL_WRONG_SIZE,   /* fewer or more bytes than the record says */
	SEAL_WRONG_DIGEST, /* `ret_digest` is what they hash to */
};

/* Whether the bytes match the record. Changes nothing. */
enum seal_verdict ingest_check(const struct ingest *in, struct digest *ret_digest);

/* Remove the directory and everything in it, then close: `in` is freed. 0 or -errno. */
int ingest_remove(struct ingest *in);

/* The current state as a slot, without the facts about the data file. */
void ingest_snapshot(const struct ingest *in, struct checkpoint *ret_checkpoint);

/* What checkpoint_choose() needs to know about the data. */
struct data_facts ingest_facts(const struct ingest *in, const struct stat *st);

/*
 * The mode of the record. Its source may be a signed URL, which is as good as a password. So nobody else may read it,
 * except commitd's group if ingest/ is set up for one (by its setgid bit).
 */
mode_t ingest_record_mode(const struct ingest *in);

/* For ingest_open(): open the data for appending, even if it is sealed. `flags`: 0 or O_CREAT. 0 or -errno. */
int ingest_open_data(struct ingest *in, int flags);

/* For ingest_open(): set offset and digest from the slots and the data (`use_live`: from the live slot too). */
int ingest_resume(struct ingest *in, bool use_live);

/*
 * Allocate the space of all slots and of some records now, so that they can still be written when the data has filled
 * the disk. 0, even if the file system does not support it; -ENOSPC, -EDQUOT.
 */
int ingest_claim_records(const struct ingest *in);

#endif
