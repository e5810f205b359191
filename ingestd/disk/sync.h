/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an ingest becomes durable: durable checkpoints, the seal, and before them the space for all of it. A job is a
 * snapshot; it runs on a worker thread (for ingestd put, in place) while the ingest continues to append, and reads
 * nothing of the ingest that changes meanwhile.
 */
#ifndef SLUICE_INGESTD_DISK_SYNC_H
#define SLUICE_INGESTD_DISK_SYNC_H

#include "common/base/workers.h"
#include "ingestd/disk/ingest.h"

enum sync_kind {
	SYNC_NONE,       /* no job */
	SYNC_CHECKPOINT, /* fdatasync(data), then a durable slot, then fdatasync(checkpoint) */
	SYNC_SEAL,       /* chmod 0444 and fsync(data); nothing writes to the data after that */
	SYNC_RESERVE,    /* allocate the space of the whole content; fails only with -ENOSPC and the like */
};

struct sync_job {
	struct work work; /* for workers_submit(); `done` is the caller's */
	enum sync_kind kind;
	struct ingest *in; /* stays open until the job is finished */
	bool anchor;       /* sync the directory, its parent and the record first */
	int record_fd;     /* to anchor: a duplicate of the ingest's; the job's own */
	uint64_t offset;
	uint64_t size; /* of the whole content */
	uint64_t slot_at;
	uint8_t slot[SLOT_BYTES];
	int result;    /* 0 or -errno */
	bool poisoned; /* a sync failed: the ingest must be rolled back and its descriptors not synced again */
};

/* Take a snapshot of the ingest. sync_run() and sync_finish() must follow. */
void sync_prepare(struct sync_job *job, enum sync_kind kind, struct ingest *in);

/* Run the job. Blocks on the disk. `work.run` of a prepared job calls this too. */
void sync_run(struct sync_job *job);

/* Tell the ingest what is durable now, on the thread that owns it. Returns the job's result. */
int sync_finish(struct sync_job *job);

#endif
