/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/disk/open.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/lock.h"

/* Store */
#include "common/store/storelock.h"

#define OPEN_TRIES 16 /* if the directory is removed between our open and our lock */

static struct ingest *ingest_new(const struct ingest_home *home, struct span ref)
{
	struct ingest *in = calloc(1, sizeof(*in));
	struct digest id;

	if (!in)
		return NULL;
	in->home = home;
	in->dir_fd = in->lock_fd = in->record_fd = in->data_fd = in->checkpoint_fd = -1;
	layout_ingest_id(ref, in->id);
	digest_of(HASH_SHA256, ref.data, ref.len, &id);
	memcpy(in->id_bytes, id.bytes, sizeof(in->id_bytes));
	return in;
}

static int fail(int r, const struct ingest *in, const char *file, struct reason *why)
{
	bool foreign = r == -ELOOP || r == -EINVAL || r == -ENOTDIR;

	reason_set(why, "cannot use '%s/" LAYOUT_INGEST "/%s/%s': %s", layout_path(in->home->layout), in->id, file,
		   foreign ? "not a file of ingestd; 'sluice abort' removes it" : strerror(-r));
	return r;
}

static int take_lock(struct ingest *in, struct reason *why)
{
	struct reason holder;

	int r = lock_take_at(in->dir_fd, INGEST_LOCK, LOCK_EXCLUSIVE, in->home->program, &in->lock_fd, &holder);
	if (r == -EWOULDBLOCK)
		reason_set(why, "its ingest is locked by %s", holder.text);
	else if (r == -EOPNOTSUPP)
		return storelock_useless(in->home->layout, why);
	else if (r < 0)
		(void)fail(r, in, INGEST_LOCK, why);
	return r;
}

/* Open the directory and take its lock. -ENOENT with `make`: it was removed under us, try again. */
static int open_locked(struct ingest *in, enum ingest_make make, struct reason *why)
{
	int r = dir_open_at(layout_ingest_fd(in->home->layout), in->id, make == INGEST_MAKE, &in->dir_fd);

	return r < 0 ? fail(r, in, "", why) : take_lock(in, why);
}

static void record_begin(struct record *t, struct span ref)
{
	record_init(t);
	memcpy(t->ref, ref.data, ref.len);
	t->started_s = clock_wall_s();
	t->has_expected = digest_parse(ref, &t->expected, NULL) == 0;
}

/* A record that is missing, torn or of another ref is started again: the bytes may still be good. */
static int open_record(struct ingest *in, struct span ref, struct reason *why)
{
	size_t whole = 0;
	struct stat st;
	mode_t mode = ingest_record_mode(in);

	int r = record_load(in->dir_fd, in->id, &in->record, &whole, NULL);
	if (r < 0 && r != -ENOENT && r != -EBADMSG && r != -EFBIG)
		return fail(r, in, INGEST_TRANSFER, why);
	if (r < 0)
		record_begin(&in->record, ref);
	r = FAILPOINT(
	    NAME, "record.make",
	    file_open_at(in->dir_fd, INGEST_TRANSFER, O_RDWR | O_CREAT | O_APPEND, mode, &in->record_fd, &st));
	/* An earlier version let everybody read it. If the mode cannot be changed, it stays as it is. */
	if (r == 0 && (st.st_mode & 07777 & ~mode))
		(void)fs_fchmod(in->record_fd, mode);
	if (r == 0 && FAILPOINT(NAME, "record.cut", fs_ftruncate(in->record_fd, (off_t)whole)) < 0)
		r = -errno;
	if (r < 0)
		return fail(r, in, INGEST_TRANSFER, why);
	in->record_len = whole;
	return 0;
}

/* For an ingest that has a record, failure does not matter. */
static int claim_records(const struct ingest *in)
{
	int r = ingest_claim_records(in);
	return in->record_len > 0 ? 0 : r;
}

/*
 * Whether commitd has named the data already, although the record may not say `sealed`: after a power cut the name may
 * be on disk although the record, which was written before it, is not. Then the data is gone or, on btrfs, is a second
 * link of the blob. `ret_size`: of the blob.
 */
static bool is_named(const struct ingest *in, const struct record *record, uint64_t *ret_size)
{
	char name[DIGEST_TEXT_SIZE];
	struct stat blob, data;

	if (!record->has_expected)
		return false;
	digest_format_hex(&record->expected, name);
	if (fstatat(layout_blobs_fd(in->home->layout, record->expected.alg), name, &blob, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(blob.st_mode))
		return false;
	*ret_size = (uint64_t)blob.st_size;
	if (fstatat(in->dir_fd, INGEST_DATA, &data, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT;
	return file_same(&blob, &data);
}

/* As good as sealed: commitd finds the blob and finishes its move. */
static void take_for_sealed(struct ingest *in, uint64_t size)
{
	in->record.sealed = in->record.expected;
	in->record.size = size;
	in->record.has_sealed = true;
}

/*
 * The data has a second name, of a foreign file or of a blob whose digest we do not know: write nothing to it, unlink
 * our name, and start the ingest again.
 */
static int drop_linked(struct ingest *in)
{
	struct stat st;

	if (fstatat(in->dir_fd, INGEST_DATA, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || st.st_nlink < 2)
		return -EINVAL;
	/* The slots first: none may outlive the bytes that it vouches for. */
	if ((fs_unlinkat(in->dir_fd, INGEST_CHECKPOINT, 0) < 0 && errno != ENOENT) ||
	    fs_unlinkat(in->dir_fd, INGEST_DATA, 0) < 0)
		return -errno;
	return -ENOENT;
}

static int open_data(struct ingest *in, struct reason *why)
{
	uint64_t size;
	int r = ingest_open_data(in, 0);

	if ((r == -ENOENT || r == -EINVAL) && !in->record.has_sealed && is_named(in, &in->record, &size))
		take_for_sealed(in, size);
	if (r == -EINVAL && !in->record.has_sealed)
		r = drop_linked(in);
	if (r == -ENOENT && !in->record.has_sealed)
		r = FAILPOINT(NAME, "data.make", ingest_open_data(in, O_CREAT));
	/* With a second link, commitd is moving it, on a file system where it has to link and unlink. */
	if ((r == -ENOENT || r == -EINVAL) && in->record.has_sealed) {
		in->is_moved = true;
		in->offset = in->record.size;
		in->resumed = "complete (its data has moved to blobs/)";
		return 0;
	}
	if (r < 0)
		return fail(r, in, INGEST_DATA, why);
	r = FAILPOINT(NAME, "slots.make",
		      file_open_at(in->dir_fd, INGEST_CHECKPOINT, O_RDWR | O_CREAT, 0644, &in->checkpoint_fd, NULL));
	if (r == 0)
		r = claim_records(in);
	if (r == 0)
		r = ingest_resume(in, true);
	return r < 0 ? fail(r, in, INGEST_CHECKPOINT, why) : 0;
}

static int ingest_fill(struct ingest *in, struct span ref, enum ingest_make make, struct reason *why)
{
	int r = open_locked(in, make, why);
	if (r == 0)
		r = open_record(in, ref, why);
	if (r < 0)
		return r;
	in->alg = in->record.has_expected ? in->record.expected.alg : HASH_SHA256;
	r = hasher_new(in->alg, &in->hasher);
	return r < 0 ? r : open_data(in, why);
}

/*
 * There was no space to create all of it. Remove what was created: it has no bytes and takes space from others. Without
 * the lock we may not empty the directory, and if it is not empty it stays.
 */
static void undo_make(const struct ingest *in)
{
	int ingest_fd = layout_ingest_fd(in->home->layout);
	struct stat st;

	if (in->lock_fd < 0)
		(void)fs_unlinkat(ingest_fd, in->id, AT_REMOVEDIR);
	else if (in->record_len == 0 &&
		 (fstatat(in->dir_fd, INGEST_DATA, &st, AT_SYMLINK_NOFOLLOW) < 0 ? errno == ENOENT : st.st_size == 0))
		(void)dir_remove_at(ingest_fd, in->id);
}

int ingest_open(const struct ingest_home *home, struct span ref, enum ingest_make make, struct ingest **ret_ingest,
		struct reason *why)
{
	int r = -ENOENT;

	for (unsigned i = 0; i < OPEN_TRIES && r == -ENOENT; i++) {
		struct ingest *in = ingest_new(home, ref);
		if (!in)
			return -ENOMEM;
		r = ingest_fill(in, ref, make, why);
		if (r == 0) {
			*ret_ingest = in;
			return 0;
		}
		if (file_is_short(r))
			undo_make(in);
		ingest_close(in);
		if (make == INGEST_EXISTING)
			break;
	}
	return r;
}

/* A foreign file in place of the directory or its lock does not lock anything. */
static int discard_locked(struct ingest *in, struct reason *why)
{
	int ingest_fd = layout_ingest_fd(in->home->layout);

	int r = dir_open_at(ingest_fd, in->id, false, &in->dir_fd);
	if (r == -ELOOP || r == -ENOTDIR)
		return name_remove_at(ingest_fd, in->id);
	if (r == 0)
		r = take_lock(in, why);
	if (r == -ELOOP || r == -EINVAL) {
		r = name_remove_at(in->dir_fd, INGEST_LOCK);
		if (r == 0)
			r = take_lock(in, why);
	}
	return r < 0 ? r : dir_remove_at(ingest_fd, in->id);
}

int ingest_discard(const struct ingest_home *home, struct span ref, struct reason *why)
{
	struct ingest *in = ingest_new(home, ref);

	if (!in)
		return -ENOMEM;
	int r = discard_locked(in, why);
	if (r < 0 && r != -ENOENT && r != -EWOULDBLOCK)
		reason_set(why, "cannot remove '%s/" LAYOUT_INGEST "/%s': %s", layout_path(home->layout), in->id,
			   strerror(-r));
	ingest_close(in);
	return r;
}

/* The offset that follows from the slots and the size of the data. */
static int peek_data(const struct ingest *in, uint64_t *ret_offset)
{
	uint8_t file[SLOT_FILE_BYTES];
	AUTO_FD data_fd = -1, checkpoint_fd = -1;
	struct stat st;
	struct resume how;
	size_t len = 0;

	int r = file_open_at(in->dir_fd, INGEST_DATA, O_RDONLY, 0, &data_fd, &st);
	if (r < 0)
		return r;
	r = file_open_at(in->dir_fd, INGEST_CHECKPOINT, O_RDONLY, 0, &checkpoint_fd, NULL);
	if (r == 0)
		r = file_pread_full(checkpoint_fd, file, sizeof(file), 0, &len);
	if (r < 0)
		return r;
	struct data_facts now = ingest_facts(in, &st);
	checkpoint_choose(file, len, &now, &how);
	*ret_offset = how.kind == RESUME_LIVE                                ? now.size
		      : how.kind == RESUME_CUT || how.kind == RESUME_DURABLE ? how.from.offset
									     : 0;
	return 0;
}

/* Without data or slots an ingest starts at 0, unless its data has moved to blobs/. */
static uint64_t peek_record(const struct ingest *in)
{
	struct record record;
	uint64_t size;

	if (record_load(in->dir_fd, in->id, &record, NULL, NULL) < 0)
		return 0;
	if (record.has_sealed)
		return record.size;
	return is_named(in, &record, &size) ? size : 0;
}

int ingest_peek(const struct ingest_home *home, struct span ref, uint64_t *ret_offset, struct reason *why)
{
	struct ingest *in = ingest_new(home, ref);

	if (!in)
		return -ENOMEM;
	int r = dir_open_at(layout_ingest_fd(home->layout), in->id, false, &in->dir_fd);
	if (r == 0)
		r = peek_data(in, ret_offset);
	if ((r == -ENOENT || r == -EINVAL) && in->dir_fd >= 0) {
		*ret_offset = peek_record(in);
		r = 0;
	}
	if (r < 0 && r != -ENOENT)
		(void)fail(r, in, INGEST_DATA, why);
	ingest_close(in);
	return r;
}
