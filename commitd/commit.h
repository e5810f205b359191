/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit: a sealed ingest gets its name under blobs/, durably. commit.c explains why that holds.
 *
 * Contract with the sealer: from SEALED until the receipt, the ingest's data belongs to commitd, which may have moved
 * it away; nobody else writes, replaces or unlinks it. Its record says `sealed`, the digest and the size. After
 * REJECTED the data is back, unless the ingest got other data meanwhile.
 */
#ifndef SLUICE_COMMITD_COMMIT_H
#define SLUICE_COMMITD_COMMIT_H

#include <stdatomic.h>

#include "common/oci/transfer.h"
#include "common/store/layout.h"

#define COMMIT_BATCH_MAX 64 /* commits that share their syncs; each keeps a descriptor open meanwhile */

enum commit_step {
	COMMIT_NEW,      /* for commit_batch(), also a second time after its bytes were read back */
	COMMIT_TO_READ,  /* commit_read_back() must verify its bytes first, or wait for another commitd at work on it */
	COMMIT_NAMED,    /* has its name, not known durable; only within commit_batch() */
	COMMIT_DONE,     /* the name is durable */
	COMMIT_REJECTED, /* not known durable; see `fail_class` and `why`. Asking again is safe */
};

struct commit {
	char id[INGEST_ID_SIZE]; /* the ingest's directory */
	struct digest digest;
	uint64_t size;
	bool read_back; /* requested by the seal or by --verify; or nothing else identifies the file */
	bool bound;     /* accept only this very file, unchanged: */
	uint64_t ino, mtime_ns;
	enum commit_step step;
	bool is_claimed; /* COMMIT_TO_READ because another commitd is working on it */
	bool was_read;   /* its bytes hash to the digest, as long as fstat() still agrees with `read_st` */
	struct stat read_st;
	bool found; /* the name existed already; the ingest's data, if any, was left alone */
	int dir_fd; /* owned; the ingest's directory, from the check to the end of the batch; else -1 */
	enum fail_class fail_class;
	int error; /* the errno behind it, or 0 */
	struct reason why;
};

/* COMMIT_NEW for the ingest of `ref`. */
void commit_init(struct commit *c, struct span ref, const struct digest *digest, uint64_t size, bool read_back);

/*
 * Accept only the file with that inode and modification time as the data: bytes written after the seal were not sealed.
 * An inode of 0: the sealer has no data, because we have named or taken it; if it is not named yet, it is read back.
 */
void commit_bind(struct commit *c, uint64_t ino, uint64_t mtime_ns);

/* Release what it owns. In any step. */
void commit_release(struct commit *c);

/*
 * Bring every COMMIT_NEW of up to COMMIT_BATCH_MAX commits to COMMIT_DONE, COMMIT_REJECTED or COMMIT_TO_READ; others
 * are left alone. Each distinct target directory is synced once. Blocks in fsync. One thread at a time per layout.
 */
void commit_batch(struct layout *l, struct commit *const *commits, size_t len);

/*
 * Read back a COMMIT_TO_READ. It becomes COMMIT_NEW (`was_read`) if the bytes hash to the digest, COMMIT_REJECTED if
 * not or on an error, and stays unchanged if `stop` (may be NULL) became true. Blocks for as long as reading all of it
 * takes, and until another commitd that works on this ingest is done or dead. Any thread, also beside commit_batch() for
 * other commits.
 */
void commit_read_back(const struct layout *l, struct commit *c, const atomic_bool *stop);

#endif
