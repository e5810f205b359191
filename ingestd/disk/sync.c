#include "ingestd/disk/sync.h"

/* System */
#include <errno.h>
#include <sys/stat.h>

/* Base */
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

#define SEALED_MODE 0444

static void run_work(struct work *w)
{
	sync_run((struct sync_job *)w); /* `work` is its first member */
}

void sync_prepare(struct sync_job *job, enum sync_kind kind, struct ingest *in)
{
	struct checkpoint c;

	*job = (struct sync_job){.work = {.run = run_work}, .kind = kind, .in = in, .offset = in->offset};
	job->anchor = !in->anchored && kind == SYNC_CHECKPOINT;
	job->slot_at = checkpoint_durable_at(in->durable_turn + 1);
	in->sequence++;
	ingest_snapshot(in, &c);
	c.durable = true;
	checkpoint_encode(&c, job->slot);
}

/* The names and the record must be there after a power cut before a slot that relies on them counts. */
static int anchor(const struct ingest *in)
{
	int r = FAILPOINT(SYNC, "record.sync", durable_sync(in->transfer_fd));
	if (r == 0)
		r = FAILPOINT(SYNC, "ingest.sync", durable_sync_dir(in->dir_fd));
	if (r == 0)
		r = FAILPOINT(SYNC, "ingests.sync", durable_sync_dir(layout_ingest_fd(in->home->layout)));
	return r;
}

/*
 * The order is the promise: a durable slot vouches for bytes, so the bytes reach the disk before the slot is written,
 * and bytes that come in meanwhile lie past the snapshot's offset and are not vouched for.
 */
static int run_checkpoint(struct sync_job *job)
{
	int r = FAILPOINT(SYNC, "data.sync", durable_sync_data(job->in->data_fd));
	if (r == 0 && job->anchor)
		r = anchor(job->in);
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

/* On the descriptor that wrote the bytes: a later one need not see an error that this one was told. */
static int run_seal(struct sync_job *job)
{
	if (FAILPOINT(NAME, "seal.mode", fchmod(job->in->data_fd, SEALED_MODE)) < 0)
		return -errno;
	int r = FAILPOINT(SYNC, "seal.sync", durable_sync(job->in->data_fd));
	job->poisoned = r < 0;
	return r;
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
		job->result = ingest_reserve(job->in, job->in->record.size);
		break;
	}
}

int sync_finish(struct sync_job *job)
{
	struct ingest *in = job->in;

	if (job->result == 0 && job->kind == SYNC_CHECKPOINT) {
		in->durable_turn++;
		in->durable_offset = job->offset;
		in->anchored = true;
	}
	return job->result;
}
