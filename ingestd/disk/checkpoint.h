/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The saved state of a running digest, so that resuming costs the same at 1 MiB and at 100 GiB.
 *
 * The file `checkpoint` in the ingest's directory has three slots of SLOT_BYTES, each on its own page:
 *
 *   0     live     written after every append, never synced: the page cache outlives a killed process, but not a power cut
 *   4096  durable  written after fdatasync(data), then synced itself;
 *   8192  durable  the two alternate, so that a torn write costs one interval and not the whole ingest
 *
 * A slot, big-endian: magic (8), version, algorithm, provenance, kind (1 each), reserved (4), sequence, offset, inode,
 * size, mtime in ns, rehashed (8 each), boot id (16), ingest id (32), chaining words (8 × 8), partial block (128),
 * zeros, and in the last four bytes a CRC-32 of everything before it. The partial block's length follows from the
 * offset.
 */
#ifndef SLUICE_INGESTD_DISK_CHECKPOINT_H
#define SLUICE_INGESTD_DISK_CHECKPOINT_H

#include <stdbool.h>

#include "common/base/boot.h"
#include "common/base/hasher.h"

#define SLOT_BYTES      512
#define SLOT_STRIDE     4096
#define SLOT_LIVE       0 /* indexes; multiply by SLOT_STRIDE for the position */
#define SLOT_DURABLE    1 /* and 2 */
#define SLOT_FILE_BYTES (2 * SLOT_STRIDE + SLOT_BYTES)
#define INGEST_ID_BYTES 32

struct checkpoint {
	bool durable;
	uint64_t sequence; /* grows with each write to any of the three slots */
	uint64_t offset;   /* how many bytes `hash` has seen */
	struct hash_state hash;
	uint8_t provenance; /* bits of enum provenance, never cleared */
	uint64_t rehashed;  /* bytes that restarts hashed again so far */
	uint64_t inode;     /* of the data */
	uint64_t size;      /* of the data when the slot was written */
	uint64_t mtime_ns;  /* likewise */
	uint8_t boot_id[BOOT_ID_SIZE];
	uint8_t ingest_id[INGEST_ID_BYTES]; /* sha256 of the ref: the slot counts only for this ingest */
};

void checkpoint_encode(const struct checkpoint *c, uint8_t ret_slot[static SLOT_BYTES]);

/* Whether the slot is valid; only then `ret_checkpoint` is filled in. Total: every input has a result. */
bool checkpoint_decode(const uint8_t slot[static SLOT_BYTES], struct checkpoint *ret_checkpoint);

/* The position in the file of the durable slot for this turn, in bytes. */
uint64_t checkpoint_durable_at(uint64_t turn);

/* The data file as it is now, and this boot. */
struct data_facts {
	uint64_t size, inode, mtime_ns;
	const uint8_t *boot_id;   /* BOOT_ID_SIZE bytes */
	const uint8_t *ingest_id; /* INGEST_ID_BYTES bytes */
	uint64_t tail_max;        /* the most bytes that one append can leave beyond a live slot; more are foreign */
};

enum resume_kind {
	RESUME_ZERO,    /* nothing to resume from: Truncate(0) */
	RESUME_LIVE,    /* from the live slot; hash the bytes beyond it again */
	RESUME_CUT,     /* from the live slot; cut off the foreign bytes beyond it */
	RESUME_DURABLE, /* truncate the data to the durable slot */
	RESUME_BROKEN,  /* the data is shorter than what was synced, so the disk is broken: start over and report it */
};

struct resume {
	enum resume_kind kind;
	struct checkpoint from; /* for RESUME_LIVE, _CUT and _DURABLE */
	uint8_t provenance;     /* that of `from`, plus what this restart adds */
};

/* Decide from the first `len` bytes of the file. Pure. */
void checkpoint_choose(const uint8_t *file, size_t len, const struct data_facts *now, struct resume *ret_resume);

#endif
