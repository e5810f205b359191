/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promise: once a commit is COMMIT_DONE, the blob survives a power cut and hashes to its name; and whatever
 * happens, nothing under blobs/ has a name that its bytes do not hash to.
 *
 * Longer than 500 lines because one argument holds all of it together.
 *
 * Why it holds:
 *
 *  1. The bytes are on disk before we start: the sealer synced them on the descriptor that wrote them, after making the
 *     file read-only, and only then sealed. So we refuse a file that is not 0444, and one that is not the very file of
 *     the seal (inode, modification time): it was not sealed. We do not sync the data here; our descriptor may miss an
 *     error that was reported to another one.
 *  2. The ingest's own record has the digest and the size of the seal. A seal alone names nothing.
 *  3. The file is first moved into a directory that nobody else may enter (custody.h), and compared there with the file
 *     that we examined: from then on nobody can exchange it, not even another commitd, for we have claimed the ingest.
 *  4. The bytes hash to the digest: the sealer hashed what it wrote. If its record has a gap (a repaired checkpoint, a
 *     reboot, a commitd that died), or with --verify always, we read them back there, bypassing the cache; that result
 *     holds only for a file of the same inode, size and times. A sealer can still change its own file later, through a
 *     descriptor that it kept or by changing its mode: nothing here prevents that.
 *  5. The name is given without replacing anything, to a regular file with one link that was opened without following a
 *     symbolic link. A name that exists already was given by this same procedure, so it is a success. What is damaged
 *     by its type or size makes room first: it goes to quarantine/.
 *  6. The target directory is synced after the last move of a batch, before any is reported, on a descriptor opened for
 *     this batch: if an earlier sync had failed, a second one on that descriptor could falsely succeed. If the sync
 *     fails, the names are removed again, so that the next attempt creates and syncs them again.
 *  7. The directories that the file passed through are synced after the target, so that in every state after a power cut
 *     the file has a name.
 *
 * It can be repeated from any point. What an earlier run left decides where it resumes:
 *
 *   data exists, no blob     nothing happened yet: from the start
 *   data taken, no blob      died before naming: checked again; read back, unless the seal has its inode
 *   data gone, blob exists   died between move and receipt: the syncs (again), then done
 *   both, one file           died between link and unlink, without renameat2: unlink, then the syncs
 *   both, two files          the same content was stored for another ref first: done; the sealer removes the data
 *   neither                  FAIL_MISSING: the sealer checks again
 */
#include "commitd/commit.h"

/* System */
#include <fcntl.h>
#include <string.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

/* Store */
#include "common/store/record.h"

/* Own */
#include "commitd/custody.h"
#include "commitd/quarantine.h"
#include "commitd/readback.h"

#define BLOB_MODE     0444
#define READ_HERE_MAX (8 << 20) /* bytes; as many as a manifest has at most */

/* What exists under the blob's name. */
enum target {
	TARGET_ABSENT,
	TARGET_WHOLE,
	TARGET_HALF,    /* the same file as the ingest's data: linked, not yet unlinked */
	TARGET_REFUSED, /* the commit has been rejected */
};

/* The target directories of a batch, by algorithm: opened when first needed, never kept for another batch. */
struct targets {
	int sha256_fd, sha512_fd; /* owned; -1 until needed */
};

void commit_init(struct commit *c, struct span ref, const struct digest *digest, uint64_t size, bool read_back)
{
	*c = (struct commit){.digest = *digest, .size = size, .read_back = read_back, .step = COMMIT_NEW, .dir_fd = -1};
	layout_ingest_id(ref, c->id);
}

void commit_bind(struct commit *c, uint64_t ino, uint64_t mtime_ns)
{
	c->bound = true;
	c->ino = ino;
	c->mtime_ns = mtime_ns;
}

void commit_release(struct commit *c)
{
	c->dir_fd = close_fd(c->dir_fd);
}

/* The path of `name` in the ingest's directory, or of the directory itself if `name` is empty. */
static struct reason ingest_path(const struct layout *l, const struct commit *c, const char *name)
{
	struct reason path;
	reason_set(&path, "%s/" LAYOUT_INGEST "/%s%s%s", layout_path(l), c->id, *name ? "/" : "", name);
	return path;
}

/* The caller has set `why`. */
static void reject(struct commit *c, enum fail_class fail_class)
{
	c->step = COMMIT_REJECTED;
	c->fail_class = fail_class;
}

static void reject_errno(struct commit *c, int r, const char *verb, struct reason path)
{
	reason_set(&c->why, "cannot %s '%s': %s", verb, path.text, strerror(-r));
	reject(c, file_is_full(r) ? FAIL_SPACE : FAIL_IO);
	c->error = -r;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
	/* The change time too: the owner of a file can set the others. */
	return file_same(a, b) && a->st_size == b->st_size && file_mtime_ns(a) == file_mtime_ns(b) &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool is_sealed_file(const struct stat *st, uint64_t size)
{
	return S_ISREG(st->st_mode) && (st->st_mode & 07777) == BLOB_MODE && (uint64_t)st->st_size == size;
}

/* The batch's own descriptor of the target directory for `alg`. Borrowed. */
static int target_dir(struct layout *l, struct targets *t, enum hash_alg alg, int *ret_fd)
{
	int *fd = alg == HASH_SHA256 ? &t->sha256_fd : &t->sha512_fd;
	if (*fd < 0) {
		int r = dir_open_at(layout_blobs_fd(l, alg), ".", false, fd);
		if (r < 0)
			return r;
	}
	*ret_fd = *fd;
	return 0;
}

/* Whether `name` is another link of the file. */
static bool is_link(int dir_fd, const char *name, const struct stat *file)
{
	struct stat st;
	return dir_fd >= 0 && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && file_same(file, &st);
}

/* Whether the blob and the ingest's data, in its place or in custody, are two links of one file. */
static bool is_half_moved(const struct layout *l, const struct commit *c, const struct stat *blob)
{
	return is_link(c->dir_fd, INGEST_DATA, blob) || is_link(layout_commit_fd(l), c->id, blob);
}

/*
 * Something that has the name and cannot be the blob goes to quarantine/. A file of another size is not believed to be
 * damaged because a seal says so: it is read back, unless that takes long; then a check has to do it.
 */
static bool make_room(struct layout *l, const struct commit *c, int fd, const struct stat *st)
{
	struct digest actual;
	if (fd >= 0 && ((uint64_t)st->st_size == c->size || st->st_size > READ_HERE_MAX ||
			readback_digest(fd, (uint64_t)st->st_size, c->digest.alg, NULL, &actual) < 0 ||
			digest_eq(&actual, &c->digest)))
		return false;
	return quarantine_move(l, &c->digest) == 0;
}

static enum target look_at_target(struct layout *l, struct commit *c, struct stat *ret_blob)
{
	AUTO_FD fd = -1;
	int r = layout_blob_open(l, &c->digest, &fd, ret_blob);
	if (r == -ENOENT)
		return TARGET_ABSENT;
	/* A second link elsewhere may be a backup; what matters is whether it is the ingest's data. */
	if (r == 0 && is_sealed_file(ret_blob, c->size))
		return is_half_moved(l, c, ret_blob) ? TARGET_HALF : TARGET_WHOLE;
	if (r < 0 && r != -EINVAL && r != -ELOOP) {
		reject_errno(c, r, "open", layout_blob_path(l, &c->digest));
		return TARGET_REFUSED;
	}
	if (make_room(l, c, fd, ret_blob))
		return TARGET_ABSENT;
	reason_set(&c->why, "'%s' is in the way: it is not a read-only regular file of %llu bytes",
		   layout_blob_path(l, &c->digest).text, (unsigned long long)c->size);
	reject(c, FAIL_IO);
	return TARGET_REFUSED;
}

/* Refuse a file that the sealer would not have left. `path` is where it is. */
static int check_data(struct commit *c, const struct stat *st, const char *path)
{
	if ((uint64_t)st->st_size != c->size) {
		reason_set(&c->why, "'%s' has %lld bytes, its seal says %llu", path, (long long)st->st_size,
			   (unsigned long long)c->size);
		reject(c, FAIL_BAD_DATA);
		return -EINVAL;
	}
	if (!is_sealed_file(st, c->size)) {
		reason_set(&c->why, "'%s' is not sealed: its mode is %04o", path, (unsigned)st->st_mode & 07777);
		reject(c, FAIL_MISSING);
		return -EINVAL;
	}
	if (c->bound && c->ino != 0 && (c->ino != (uint64_t)st->st_ino || c->mtime_ns != file_mtime_ns(st))) {
		reason_set(&c->why, "'%s' is not the file that was sealed", path);
		reject(c, FAIL_MISSING);
		return -EINVAL;
	}
	return 0;
}

/* Check the result of opening the data. -ENOENT: it does not exist. Another -errno: the commit has been rejected. */
static int judge_open(struct commit *c, int r, const struct stat *st, struct reason path)
{
	if (r == -ENOENT || r == -ESTALE)
		return -ENOENT;
	if (r == -ELOOP || r == -EINVAL) {
		reason_set(&c->why, "'%s' is not a regular file with one link", path.text);
		reject(c, FAIL_BAD_DATA);
		return r;
	}
	if (r < 0) {
		reject_errno(c, r, "open", path);
		return r;
	}
	return check_data(c, st, path.text);
}

/* The data where the sealer left it. As above. */
static int look_at_data(const struct layout *l, struct commit *c, struct stat *ret_st)
{
	AUTO_FD fd = -1;
	int r = c->dir_fd < 0 ? -ENOENT : file_open_at(c->dir_fd, INGEST_DATA, O_RDONLY, 0, &fd, ret_st);
	return judge_open(c, r, ret_st, ingest_path(l, c, INGEST_DATA));
}

/* Open the data that we have taken. As above. */
static int open_taken(const struct layout *l, struct commit *c, int *ret_fd, struct stat *ret_st)
{
	struct reason path;
	int r = custody_open(l, c->id, ret_fd, ret_st);
	reason_set(&path, "%s/" LAYOUT_COMMIT "/%s", layout_path(l), c->id);
	return judge_open(c, r, ret_st, path);
}

/* Open the ingest's directory. -ENOENT: it does not exist. Another -errno: the commit has been rejected. */
static int open_ingest(const struct layout *l, struct commit *c, int *ret_fd)
{
	/* By its name each time, because ingestd, which creates ingest/, may start after us. */
	AUTO_FD ingest_fd = -1;
	int r = dir_open_at(layout_root_fd(l), LAYOUT_INGEST, false, &ingest_fd);
	if (r == 0)
		r = dir_open_at(ingest_fd, c->id, false, ret_fd);
	if (r == -ELOOP || r == -ENOTDIR) {
		reason_set(&c->why, "'%s' is not a directory", ingest_path(l, c, "").text);
		reject(c, FAIL_BAD_DATA);
	} else if (r < 0 && r != -ENOENT) {
		reject_errno(c, r, "open", ingest_path(l, c, ""));
	}
	return r;
}

/* The name exists; it remains to make it durable. */
static void name_found(struct commit *c)
{
	c->found = true;
	c->step = COMMIT_NAMED;
}

/* The data does not exist. A 'commitd commit' may have named it since we looked for the blob. */
static void data_missing(struct layout *l, struct commit *c)
{
	struct stat blob;
	enum target t = look_at_target(l, c, &blob);
	if (t == TARGET_WHOLE) {
		name_found(c);
	} else if (t != TARGET_REFUSED) {
		reason_set(&c->why, "neither '%s' nor the blob exists", ingest_path(l, c, INGEST_DATA).text);
		reject(c, FAIL_MISSING);
	}
}

/* Whether the ingest's record agrees with the seal. Otherwise the commit is rejected. */
static bool record_agrees(const struct layout *l, struct commit *c)
{
	struct record record;
	struct reason why = {"its directory is gone"};
	int r = c->dir_fd < 0 ? -ENOENT : record_load(c->dir_fd, c->id, &record, NULL, &why);
	if (r == 0 && record.has_sealed && record.size == c->size && digest_eq(&record.sealed, &c->digest))
		return true;
	reason_set(&c->why, "'%s' does not match its seal: %s", ingest_path(l, c, "").text,
		   r < 0 ? why.text : "its record says something else");
	reject(c, FAIL_MISSING);
	return false;
}

/*
 * 0: we have the data, and its record agrees. -ENOENT: it does not exist. Another -errno: the commit has been rejected.
 */
static int take_data(const struct layout *l, struct commit *c)
{
	struct stat st;
	int r = look_at_data(l, c, &st);
	if (r < 0)
		return r;
	if (!record_agrees(l, c))
		return -EINVAL;
	r = custody_take(l, c->id, c->dir_fd, &st);
	if (r == -ESTALE) {
		reason_set(&c->why, "'%s' was exchanged for another file", ingest_path(l, c, INGEST_DATA).text);
		reject(c, FAIL_MISSING);
	} else if (r < 0 && r != -ENOENT) {
		reject_errno(c, r, "take", ingest_path(l, c, INGEST_DATA));
	}
	return r;
}

/* Get the data into custody, to be read back or named: what an earlier run took, else the ingest's. As above. */
static int have_data(const struct layout *l, struct commit *c, struct stat *ret_st)
{
	AUTO_FD fd = -1;
	int r = custody_finish(l, c->id, c->dir_fd);
	if (r < 0) {
		reject_errno(c, r, "unlink", ingest_path(l, c, INGEST_DATA));
		return r;
	}
	r = open_taken(l, c, &fd, ret_st);
	if (r == 0 && !record_agrees(l, c))
		return -EINVAL;
	if (r != -ENOENT)
		return r;
	r = take_data(l, c);
	return r < 0 ? r : open_taken(l, c, &fd, ret_st);
}

/* Whether the data may be named now. Otherwise the step says what comes next. */
static bool data_is_fit(struct layout *l, struct commit *c)
{
	struct stat st;
	int r = have_data(l, c, &st);
	if (r == -ENOENT)
		data_missing(l, c);
	if (r < 0)
		return false;
	if (c->was_read && !unchanged(&st, &c->read_st)) {
		reason_set(&c->why, "'%s' changed after it was read back", ingest_path(l, c, INGEST_DATA).text);
		reject(c, FAIL_MISSING);
		return false;
	}
	if ((c->read_back || (c->bound && c->ino == 0)) && !c->was_read) {
		c->step = COMMIT_TO_READ;
		return false;
	}
	return true;
}

static void move_data(struct layout *l, struct commit *c, int blobs_fd)
{
	char hex[DIGEST_TEXT_SIZE];
	digest_format_hex(&c->digest, hex);
	int r = durable_move_at(layout_commit_fd(l), c->id, blobs_fd, hex);
	if (r == 0)
		c->step = COMMIT_NAMED;
	else if (r == -EEXIST || r == -ENOENT)
		data_missing(l, c);
	else
		reject_errno(c, r, "move to its name", ingest_path(l, c, INGEST_DATA));
}

/* An earlier run linked the blob and died before it unlinked the data; or a power cut left one of the earlier names. */
static void finish_move(const struct layout *l, struct commit *c, const struct stat *blob)
{
	int r = 0;
	if (is_link(c->dir_fd, INGEST_DATA, blob))
		r = FAILPOINT(NAME, "blob.finish", fs_unlinkat(c->dir_fd, INGEST_DATA, 0)) < 0 ? -errno : 0;
	if (r == 0 && is_link(layout_commit_fd(l), c->id, blob))
		r = custody_drop(l, c->id);
	if (r < 0)
		reject_errno(c, r, "unlink", ingest_path(l, c, INGEST_DATA));
	else
		c->step = COMMIT_NAMED;
}

/* This is not the loop's thread, so nothing is logged. If the content has its name, leftovers in commit/ do no harm. */
static void put_back(const struct layout *l, struct commit *c)
{
	int r = custody_put_back(l, c->id);
	if (r < 0 && c->step == COMMIT_REJECTED)
		reason_set(&c->why, "%s; cannot put '%s' back: %s", c->why.text, ingest_path(l, c, INGEST_DATA).text,
			   strerror(-r));
}

/*
 * From COMMIT_NEW to COMMIT_NAMED, COMMIT_TO_READ or COMMIT_REJECTED. If another commitd is working on it, this is not the
 * place to wait: commit_read_back() does.
 */
static void give_name(struct layout *l, struct targets *targets, struct commit *c)
{
	AUTO_FD claim = -1;
	struct stat blob;
	int blobs_fd = -1;
	int r = target_dir(l, targets, c->digest.alg, &blobs_fd);
	if (r < 0) {
		reject_errno(c, r, "open the directory of", layout_blob_path(l, &c->digest));
		return;
	}
	r = custody_claim(l, c->id, &claim);
	c->is_claimed = r == -EAGAIN;
	if (c->is_claimed) {
		c->step = COMMIT_TO_READ;
		return;
	}
	if (r < 0) {
		reject_errno(c, r, "claim", ingest_path(l, c, ""));
		return;
	}
	r = open_ingest(l, c, &c->dir_fd);
	if (r < 0 && r != -ENOENT)
		return;
	switch (look_at_target(l, c, &blob)) {
	case TARGET_WHOLE:
		name_found(c);
		break;
	case TARGET_HALF:
		finish_move(l, c, &blob);
		break;
	case TARGET_ABSENT:
		if (data_is_fit(l, c))
			move_data(l, c, blobs_fd);
		break;
	case TARGET_REFUSED:
		break;
	}
	if (c->found || c->step == COMMIT_REJECTED)
		put_back(l, c);
}

/*
 * The sync of the target directory failed with `r`: its new names may exist only in memory, and no later sync would say
 * so. Remove those that this batch gave, so that the next attempt creates them again.
 */
static void take_name_back(const struct layout *l, struct commit *c, int blobs_fd, int r)
{
	char hex[DIGEST_TEXT_SIZE];
	digest_format_hex(&c->digest, hex);
	reject_errno(c, r, "sync the directory of", layout_blob_path(l, &c->digest));
	if (c->found)
		return;
	r = FAILPOINT(NAME, "blob.take-back", durable_move_at(blobs_fd, hex, c->dir_fd, INGEST_DATA));
	if (r < 0)
		reject_errno(c, r, "take back the unsynced name", layout_blob_path(l, &c->digest));
}

static void sync_target(const struct layout *l, int blobs_fd, enum hash_alg alg, struct commit *const *commits,
			size_t len)
{
	bool any = false;
	for (size_t i = 0; i < len; i++)
		any = any || (commits[i]->step == COMMIT_NAMED && commits[i]->digest.alg == alg);
	if (!any)
		return;
	int r = FAILPOINT(SYNC, "blob.sync", durable_sync(blobs_fd));
	if (r == 0)
		return;
	for (size_t i = len; i-- > 0;)
		if (commits[i]->step == COMMIT_NAMED && commits[i]->digest.alg == alg)
			take_name_back(l, commits[i], blobs_fd, r);
}

/* Sync the directory that the batch's files passed through. */
static void sync_custody(const struct layout *l, struct commit *const *commits, size_t len)
{
	bool any = false;
	for (size_t i = 0; i < len; i++)
		any = any || commits[i]->step == COMMIT_NAMED;
	int r = any ? custody_sync(l) : 0;
	for (size_t i = 0; r < 0 && i < len; i++)
		if (commits[i]->step == COMMIT_NAMED)
			reject_errno(commits[i], r, "sync the directory that took", ingest_path(l, commits[i], ""));
}

static void sync_source(const struct layout *l, struct commit *c)
{
	int r = c->dir_fd >= 0 ? FAILPOINT(SYNC, "blob.sync-source", durable_sync(c->dir_fd)) : 0;
	if (r < 0)
		reject_errno(c, r, "sync", ingest_path(l, c, ""));
	else
		c->step = COMMIT_DONE;
}

void commit_batch(struct layout *l, struct commit *const *commits, size_t len)
{
	struct targets targets = {-1, -1};
	for (size_t i = 0; i < len; i++)
		if (commits[i]->step == COMMIT_NEW)
			give_name(l, &targets, commits[i]);
	sync_target(l, targets.sha256_fd, HASH_SHA256, commits, len);
	sync_target(l, targets.sha512_fd, HASH_SHA512, commits, len);
	sync_custody(l, commits, len);
	for (size_t i = 0; i < len; i++) {
		if (commits[i]->step == COMMIT_NAMED)
			sync_source(l, commits[i]);
		commit_release(commits[i]);
	}
	(void)close_fd(targets.sha256_fd);
	(void)close_fd(targets.sha512_fd);
}

static void judge(const struct layout *l, struct commit *c, const struct digest *actual)
{
	if (digest_eq(actual, &c->digest)) {
		c->was_read = true;
		c->step = COMMIT_NEW;
		return;
	}
	char want_text[DIGEST_TEXT_SIZE], actual_text[DIGEST_TEXT_SIZE];
	digest_format(&c->digest, want_text);
	digest_format(actual, actual_text);
	/* The digests first, so that a long path cannot cut them off. */
	reason_set(&c->why, "read back as %s, not %s: '%s'", actual_text, want_text,
		   ingest_path(l, c, INGEST_DATA).text);
	reject(c, FAIL_BAD_DATA);
}

void commit_read_back(const struct layout *l, struct commit *c, const atomic_bool *stop)
{
	AUTO_FD fd = -1, claim = -1;
	struct digest actual;
	int r = custody_claim_wait(l, c->id, stop, &claim);
	if (r == -ECANCELED)
		return;
	if (r < 0) {
		reject_errno(c, r, "claim", ingest_path(l, c, ""));
		return;
	}
	r = open_taken(l, c, &fd, &c->read_st);
	if (r == -ENOENT)
		c->step = COMMIT_NEW; /* moved or removed meanwhile: start again */
	if (r == 0) {
		r = readback_digest(fd, c->size, c->digest.alg, stop, &actual);
		if (r == 0)
			judge(l, c, &actual);
		else if (r != -ECANCELED)
			reject_errno(c, r, "read back", ingest_path(l, c, INGEST_DATA));
	}
	if (c->step == COMMIT_REJECTED)
		put_back(l, c);
}
