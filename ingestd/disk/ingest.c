/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/disk/ingest.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

/* Wire */
#include "common/wire/message.h"

#define DATA_MODE     0644 /* until it is sealed; less the umask */
#define RECORDS_CLAIM 8192 /* bytes; a few records, including those of the seal and of a failure */

static int data_stat(const struct ingest *in, struct stat *ret_st)
{
	return fstat(in->data_fd, ret_st) < 0 ? -errno : 0;
}

void ingest_snapshot(const struct ingest *in, struct checkpoint *ret_checkpoint)
{
	struct checkpoint c = {
	    .sequence = in->sequence,
	    .offset = in->offset,
	    .provenance = in->provenance,
	    .rehashed = in->rehashed,
	};
	hasher_save(in->hasher, &c.hash);
	memcpy(c.boot_id, in->home->boot_id, sizeof(c.boot_id));
	memcpy(c.ingest_id, in->id_bytes, sizeof(c.ingest_id));
	*ret_checkpoint = c;
}

static int write_live(struct ingest *in)
{
	struct checkpoint c;
	struct stat st;
	uint8_t slot[SLOT_BYTES];

	int r = data_stat(in, &st);
	if (r < 0)
		return r;
	in->sequence++;
	ingest_snapshot(in, &c);
	c.inode = (uint64_t)st.st_ino;
	c.size = (uint64_t)st.st_size;
	c.mtime_ns = file_mtime_ns(&st);
	checkpoint_encode(&c, slot);
	return FAILPOINT(WRITE, "live.write",
			 file_pwrite_all(in->checkpoint_fd, slot, sizeof(slot), SLOT_LIVE * SLOT_STRIDE));
}

int ingest_append(struct ingest *in, const void *data, size_t len, size_t *ret_accepted)
{
	int r = FAILPOINT(WRITE, "data.write", file_write_all(in->data_fd, data, len, ret_accepted));
	if (*ret_accepted == 0)
		return r;
	hasher_update(in->hasher, data, *ret_accepted);
	in->offset += *ret_accepted;
	int live = write_live(in);
	return r < 0 ? r : live;
}

static int claim(int fd, uint64_t from, uint64_t len)
{
	if (FAILPOINT(NAME, "space.claim", fs_fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)len)) == 0)
		return 0;
	return file_is_full(-errno) ? -errno : 0;
}

int ingest_claim_records(const struct ingest *in)
{
	int r = claim(in->checkpoint_fd, 0, SLOT_FILE_BYTES);
	return r < 0 ? r : claim(in->record_fd, in->record_len, RECORDS_CLAIM);
}

/* No slot may outlive the bytes that it vouches for, so the slots are removed first. */
static int drop_bytes(struct ingest *in)
{
	if (FAILPOINT(NAME, "slots.drop", fs_ftruncate(in->checkpoint_fd, 0)) < 0 ||
	    FAILPOINT(NAME, "data.drop", fs_ftruncate(in->data_fd, 0)) < 0)
		return -errno;
	(void)ingest_claim_records(in); /* if it fails, so does the write of a slot, and that is reported */
	hasher_reset(in->hasher);
	in->offset = in->durable_offset = 0;
	in->provenance = 0;
	return 0;
}

mode_t ingest_record_mode(const struct ingest *in)
{
	struct stat st;

	return fstat(layout_ingest_fd(in->home->layout), &st) == 0 && (st.st_mode & S_ISGID) ? 0640 : 0600;
}

/* Not sealed. Later on, as the directory, whose mode has the umask of the process that created it. */
static mode_t data_mode(const struct ingest *in)
{
	struct stat st;

	return fstat(in->dir_fd, &st) == 0 ? st.st_mode & DATA_MODE : DATA_MODE & 0600;
}

int ingest_open_data(struct ingest *in, int flags)
{
	int r = file_open_at(in->dir_fd, INGEST_DATA, O_RDWR | O_APPEND | flags, DATA_MODE, &in->data_fd, NULL);

	/* Sealed, but not named: it is read-only, and its owner may undo that. */
	if (r == -EACCES && fs_fchmodat(in->dir_fd, INGEST_DATA, data_mode(in), AT_SYMLINK_NOFOLLOW) == 0)
		r = file_open_at(in->dir_fd, INGEST_DATA, O_RDWR | O_APPEND | flags, DATA_MODE, &in->data_fd, NULL);
	return r;
}

/* commitd had its data, and the blob is missing or unwanted. It may have put the data back. */
static int begin_again(struct ingest *in)
{
	int r = ingest_open_data(in, O_CREAT);
	if (r == 0)
		r = file_open_at(in->dir_fd, INGEST_CHECKPOINT, O_RDWR | O_CREAT, 0644, &in->checkpoint_fd, NULL);
	if (r == 0)
		in->is_moved = false;
	return r;
}

int ingest_truncate(struct ingest *in)
{
	struct digest d;

	int r = in->is_moved ? begin_again(in) : 0;
	if (r == 0)
		r = drop_bytes(in);
	if (r == 0 && FAILPOINT(NAME, "data.unseal", fs_fchmod(in->data_fd, data_mode(in))) < 0)
		r = -errno;
	if (r < 0)
		return r;
	in->record.has_sealed = false;
	in->record.size = SIZE_UNKNOWN;
	in->record.media_type[0] = in->record.validator[0] = '\0';
	if (digest_parse(span_str(in->record.ref), &d, NULL) < 0)
		in->record.has_expected = false;
	return ingest_note(in);
}

/* Hash the bytes between the slot and the end of the file. */
static int rehash_tail(struct ingest *in, uint64_t end)
{
	uint8_t bytes[64u << 10];

	while (in->offset < end) {
		size_t want = end - in->offset < sizeof(bytes) ? (size_t)(end - in->offset) : sizeof(bytes);
		size_t got;
		int r = file_pread_full(in->data_fd, bytes, want, in->offset, &got);
		if (r < 0)
			return r;
		if (got < want)
			return -EIO;
		hasher_update(in->hasher, bytes, got);
		in->offset += got;
		in->rehashed += got;
		in->rehashed_now += got;
	}
	return 0;
}

static int resume_from_slot(struct ingest *in, const struct resume *how, uint64_t size)
{
	const struct checkpoint *from = &how->from;

	if (hasher_restore(in->hasher, &from->hash) < 0) {
		in->resumed = "from the start (another digest algorithm was requested)";
		return drop_bytes(in);
	}
	in->offset = from->offset;
	in->provenance = how->provenance;
	in->rehashed = from->rehashed;
	if (how->kind == RESUME_LIVE)
		return rehash_tail(in, size);
	return FAILPOINT(NAME, "data.cut-back", fs_ftruncate(in->data_fd, (off_t)from->offset)) < 0 ? -errno : 0;
}

static int resume_as_chosen(struct ingest *in, const struct resume *how, uint64_t size)
{
	static const char *const told[] = {
	    [RESUME_ZERO] = "from the start",
	    [RESUME_LIVE] = "from its live record",
	    [RESUME_CUT] = "from its live record (foreign bytes after it are cut off)",
	    [RESUME_DURABLE] = "from its last durable record",
	    [RESUME_BROKEN] = "from the start (the data is shorter than what was synced: the disk lost some)",
	};

	in->resumed = told[how->kind];
	if (how->kind == RESUME_ZERO || how->kind == RESUME_BROKEN)
		return drop_bytes(in);
	in->sequence = how->from.sequence;
	return resume_from_slot(in, how, size);
}

struct data_facts ingest_facts(const struct ingest *in, const struct stat *st)
{
	return (struct data_facts){
	    .size = (uint64_t)st->st_size,
	    .inode = (uint64_t)st->st_ino,
	    .mtime_ns = file_mtime_ns(st),
	    .boot_id = in->home->boot_id,
	    .ingest_id = in->id_bytes,
	    .tail_max = CHUNK_PAYLOAD_MAX,
	};
}

/* Make offset and digest agree with the data, from the slots; `use_live` is off after a failed write or sync. */
int ingest_resume(struct ingest *in, bool use_live)
{
	uint8_t file[SLOT_FILE_BYTES];
	struct stat st;
	struct resume how;
	size_t len;

	int r = data_stat(in, &st);
	if (r == 0)
		r = file_pread_full(in->checkpoint_fd, file, sizeof(file), 0, &len);
	if (r < 0)
		return r;
	if (!use_live)
		memset(file, 0, len < SLOT_BYTES ? len : SLOT_BYTES);
	struct data_facts now = ingest_facts(in, &st);
	checkpoint_choose(file, len, &now, &how);
	in->anchored = how.kind == RESUME_DURABLE;
	in->durable_offset = how.kind == RESUME_DURABLE ? how.from.offset : 0;
	r = resume_as_chosen(in, &how, now.size);
	return r < 0 ? r : write_live(in);
}

static int reopen(struct ingest *in, const char *name, int flags, int *fd)
{
	*fd = close_fd(*fd);
	return file_open_at(in->dir_fd, name, O_RDWR | O_CREAT | flags, 0644, fd, NULL);
}

/* Replace the file with one that has only the current record. Rare, and so allowed to sync. */
static int note_afresh(struct ingest *in)
{
	AUTO_BUF text = BUF_INIT;

	int r = record_format(&in->record, &text);
	if (r == 0)
		r = durable_replace_at(in->dir_fd, INGEST_TRANSFER, text.data, text.len, ingest_record_mode(in));
	if (r < 0)
		return r;
	in->record_len = text.len;
	return reopen(in, INGEST_TRANSFER, O_APPEND, &in->record_fd);
}

/*
 * Replaces all three descriptors: we do not know which sync failed, and on that descriptor the next sync would succeed
 * and prove nothing. The record is short enough to be written again; if there is no space even for that, it stays
 * unchanged.
 */
int ingest_roll_back(struct ingest *in)
{
	int r = reopen(in, INGEST_DATA, O_APPEND, &in->data_fd);
	if (r == 0)
		r = reopen(in, INGEST_CHECKPOINT, 0, &in->checkpoint_fd);
	if (r == 0 && note_afresh(in) < 0)
		r = reopen(in, INGEST_TRANSFER, O_APPEND, &in->record_fd);
	return r < 0 ? r : ingest_resume(in, false);
}

int ingest_note(struct ingest *in)
{
	AUTO_BUF text = BUF_INIT;
	size_t written;

	int r = record_format(&in->record, &text);
	if (r < 0)
		return r;
	if (in->record_len + text.len > RECORD_FILE_MAX)
		return note_afresh(in);
	r = FAILPOINT(WRITE, "record.write", file_write_all(in->record_fd, text.data, text.len, &written));
	if (r == 0)
		in->record_len += text.len;
	else if (written > 0 &&
		 FAILPOINT(NAME, "record.untear", fs_ftruncate(in->record_fd, (off_t)in->record_len)) < 0)
		return -errno; /* a torn record after the good ones is skipped by the reader */
	return r;
}

int ingest_note_failed(struct ingest *in)
{
	char *source = in->record.source;
	size_t len = strcspn(source, "?#");

	if (source[len] == '\0')
		return ingest_note(in);
	source[len] = '\0';
	return note_afresh(in);
}

int ingest_note_sealed(struct ingest *in)
{
	in->record.has_sealed = true;
	in->record.size = in->offset;
	ingest_digest(in, &in->record.sealed);
	return ingest_note(in);
}

int ingest_unreserve(struct ingest *in)
{
	if (fs_ftruncate(in->data_fd, (off_t)in->offset) < 0)
		return -errno;
	return write_live(in); /* the truncation changed the mtime */
}

void ingest_digest(const struct ingest *in, struct digest *ret_digest)
{
	digest_of_hasher(in->hasher, in->alg, ret_digest);
}

int ingest_set_alg(struct ingest *in, enum hash_alg alg)
{
	struct hasher *fresh;

	if (in->alg == alg)
		return 0;
	if (in->offset > 0)
		return -EBUSY;
	int r = hasher_new(alg, &fresh);
	if (r < 0)
		return r;
	hasher_free(in->hasher);
	in->hasher = fresh;
	in->alg = alg;
	return 0;
}

enum seal_verdict ingest_check(const struct ingest *in, struct digest *ret_digest)
{
	ingest_digest(in, ret_digest);
	if (in->record.size != SIZE_UNKNOWN && in->record.size != in->offset)
		return SEAL_WRONG_SIZE;
	if (in->record.has_expected && !digest_eq(ret_digest, &in->record.expected))
		return SEAL_WRONG_DIGEST;
	return SEAL_MATCH;
}

void ingest_close(struct ingest *in)
{
	if (!in)
		return;
	hasher_free(in->hasher);
	(void)close_fd(in->data_fd);
	(void)close_fd(in->checkpoint_fd);
	(void)close_fd(in->record_fd);
	(void)close_fd(in->lock_fd); /* last of the files: it is the lock */
	(void)close_fd(in->dir_fd);
	free(in);
}

int ingest_remove(struct ingest *in)
{
	int r = dir_remove_at(layout_ingest_fd(in->home->layout), in->id);

	ingest_close(in);
	return r;
}
