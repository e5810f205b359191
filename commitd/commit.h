/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit: a sealed ingest gets its name under blobs/, durably. The argument why that holds stands in commit.c.
 *
 * Contract with the sealer: from SEALED until the receipt, the ingest's data belongs to commitd, which may have moved it
 * away; nobody else writes, replaces or unlinks it. Its record says `sealed`, the digest and the size. After REJECTED
 * the data is back, unless the ingest got other data meanwhile.
 */
#ifndef SLUICE_COMMITD_COMMIT_H
#define SLUICE_COMMITD_COMMIT_H

#include <stdatomic.h>

#include "common/oci/transfer.h"
#include "common/store/layout.h"

#define COMMIT_BATCH_MAX 64 /* commits that share their syncs; each holds one descriptor meanwhile */

enum commit_step {
	COMMIT_NEW,      /* to be looked at by commit_batch(); also again after its bytes were read back */
	COMMIT_TO_READ,  /* looked at; its bytes must go through commit_read_back() first */
	COMMIT_NAMED,    /* has its name, not known durable; only inside commit_batch() */
	COMMIT_DONE,     /* the name is durable */
	COMMIT_REJECTED, /* not known durable; `fail_class` and `why` say what is wrong. Asking again is safe */
};

struct commit {
	char id[INGEST_ID_SIZE]; /* the ingest's directory */
	struct digest digest;
	uint64_t size;
	bool read_back; /* asked for, by the seal or by --verify; or nothing else binds the file */
	bool bound;     /* only this very file will do, as it was then: */
	uint64_t ino, mtime_ns;
	enum commit_step step;
	bool was_read; /* its bytes hash to the digest, as long as the file still looks like `read_st` */
	struct stat read_st;
	bool found; /* the name was there already; the ingest's data, if any, was left alone */
	int dir_fd; /* owned; the ingest's directory, from being looked at to the end of the batch; else -1 */
	enum fail_class fail_class;
	int error; /* the errno behind it, or 0 */
	struct reason why;
};

/* COMMIT_NEW for the ingest of `ref`. */
void commit_init(struct commit *c, struct span ref, const struct digest *digest, uint64_t size, bool read_back);

/*
 * Accept only the file of that inode and time of change as the data: what was written there after the seal was not
 * sealed. An inode of 0: the sealer has no data, because we named it or took it; if it is still to be named, it is read
 * back.
 */
void commit_bind(struct commit *c, uint64_t ino, uint64_t mtime_ns);

/* Give back what it owns. Any step. */
void commit_release(struct commit *c);

/*
 * Take every COMMIT_NEW of up to COMMIT_BATCH_MAX commits to COMMIT_DONE, COMMIT_REJECTED or COMMIT_TO_READ; others are
 * left alone. Each distinct target directory is synced once. Blocks in fsync. One thread at a time for a layout.
 */
void commit_batch(struct layout *l, struct commit *const *commits, size_t len);

/*
 * Read back a COMMIT_TO_READ: COMMIT_NEW (`was_read`) when the bytes hash to the digest, COMMIT_REJECTED when not or on
 * an error, unchanged when `stop` (may be NULL) became true. Blocks for as long as reading all of it takes. Any thread,
 * also beside commit_batch() for other commits.
 */
void commit_read_back(const struct layout *l, struct commit *c, const atomic_bool *stop);

#endif
