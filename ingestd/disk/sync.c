/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/disk/sync.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

#define SEALED_MODE 0444

static void run_work(struct work *w)
{
	sync_run((struct sync_job *)w); /* `work` is its first member */
}

void sync_prepare(struct sync_job *job, enum sync_kind kind, struct ingest *in)
{
	struct checkpoint c;

	*job = (struct sync_job){
	    .work = {.run = run_work},
	    .kind = kind,
	    .in = in,
	    .anchor = !in->anchored && kind == SYNC_CHECKPOINT,
	    .record_fd = -1,
	    .offset = in->offset,
	    .size = in->record.size,
	};
	/* The ingest may replace the file of its record meanwhile; that is durable by itself. */
	if (job->anchor)
		job->record_fd = fcntl(in->record_fd, F_DUPFD_CLOEXEC, 0);
	job->slot_at = checkpoint_durable_at(in->durable_turn + 1);
	in->sequence++;
	ingest_snapshot(in, &c);
	c.durable = true;
	checkpoint_encode(&c, job->slot);
}

/* Names and record must be durable before a slot that relies on them counts. */
static int anchor(const struct sync_job *job)
{
	const struct ingest *in = job->in;

	if (job->record_fd < 0)
		return -EMFILE;
	int r = FAILPOINT(SYNC, "record.sync", durable_sync(job->record_fd));
	if (r == 0)
		r = FAILPOINT(SYNC, "ingest.sync", durable_sync_dir(in->dir_fd));
	if (r == 0)
		r = FAILPOINT(SYNC, "ingests.sync", durable_sync_dir(layout_ingest_fd(in->home->layout)));
	return r;
}

/*
 * The order matters: a durable slot vouches for bytes, so the bytes reach the disk before the slot is written; bytes
 * that arrive meanwhile are beyond the snapshot's offset, and the slot does not vouch for them.
 */
static int run_checkpoint(struct sync_job *job)
{
	int r = FAILPOINT(SYNC, "data.sync", durable_sync_data(job->in->data_fd));
	if (r == 0 && job->anchor)
		r = anchor(job);
	job->poisoned = r < 0;
	if (r == 0)
		r = FAILPOINT(WRITE, "slot.write",
			      file_pwrite_all(job->in->checkpoint_fd, job->slot, sizeof(job->slot), job->slot_at));
	if (r < 0)
		return r;
	r = FAILPOINT(SYNC, "slot.sync", durable_sync_data(job->in->checkpoint_fd));
	job->poisoned = r < 0;
	return r;
}

/* On the descriptor that wrote the bytes: a later one may miss an error that was reported to this one. */
static int run_seal(struct sync_job *job)
{
	if (FAILPOINT(NAME, "seal.mode", fs_fchmod(job->in->data_fd, SEALED_MODE)) < 0)
		return -errno;
	int r = FAILPOINT(SYNC, "seal.sync", durable_sync(job->in->data_fd));
	job->poisoned = r < 0;
	return r;
}

static int run_reserve(const struct sync_job *job)
{
	struct statfs fs;
	int fd = job->in->data_fd;

	/* tmpfs would fill the range with pages at once, which costs what writing it costs. */
	if (job->size == SIZE_UNKNOWN || job->size <= job->offset || fstatfs(fd, &fs) < 0 || fs.f_type == TMPFS_MAGIC)
		return 0;
	if (FAILPOINT(NAME, "data.reserve", fs_fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)job->size)) == 0)
		return 0;
	return file_is_full(-errno) || errno == EFBIG ? -errno : 0;
}

void sync_run(struct sync_job *job)
{
	switch (job->kind) {
	case SYNC_NONE:
		break;
	case SYNC_CHECKPOINT:
		job->result = run_checkpoint(job);
		break;
	case SYNC_SEAL:
		job->result = run_seal(job);
		break;
	case SYNC_RESERVE:
		job->result = run_reserve(job);
		break;
	}
}

int sync_finish(struct sync_job *job)
{
	struct ingest *in = job->in;

	job->record_fd = close_fd(job->record_fd);
	if (job->result == 0 && job->kind == SYNC_CHECKPOINT) {
		in->durable_turn++;
		in->durable_offset = job->offset;
		in->anchored = true;
	}
	return job->result;
}
