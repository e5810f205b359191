/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/document.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

#define TEMPORARY ".document" /* in commit/, which nobody else may enter */
#define BLOB_MODE 0444

/* 0: these bytes have the name. -ENOENT: nothing has it. -EBADMSG: something else. Else -errno. */
static int look(struct layout *l, const struct digest *d, struct span text)
{
	AUTO_BUF found = BUF_INIT;
	AUTO_FD fd = -1;
	struct stat st;
	int r = layout_blob_open(l, d, &fd, &st);

	if (r == -EINVAL || r == -ELOOP)
		return -EBADMSG;
	if (r == 0 && (uint64_t)st.st_size != text.len)
		return -EBADMSG;
	if (r == 0)
		r = layout_document_load(l, d, &found, NULL);
	return r;
}

static int write_temporary(int dir_fd, struct span text)
{
	AUTO_FD fd = -1;
	int r = FAILPOINT(NAME, "document.make",
			  file_open_at(dir_fd, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, NULL));

	if (r == 0)
		r = FAILPOINT(WRITE, "document.write", file_write_all(fd, text.data, text.len, NULL));
	if (r == 0 && FAILPOINT(NAME, "document.mode", fs_fchmod(fd, BLOB_MODE)) < 0)
		r = -errno;
	return r == 0 ? FAILPOINT(SYNC, "document.sync", durable_sync(fd)) : r;
}

static int remove_temporary(int dir_fd)
{
	int r = FAILPOINT(NAME, "document.unlink", fs_unlinkat(dir_fd, TEMPORARY, 0)) < 0 ? -errno : 0;
	return r == -ENOENT ? 0 : r;
}

/* -EEXIST: the name was given meanwhile. */
static int name(struct layout *l, const struct digest *d, struct span text)
{
	char hex[DIGEST_TEXT_SIZE];
	int dir_fd = layout_commit_fd(l);
	int r = remove_temporary(dir_fd);

	if (r == 0)
		r = write_temporary(dir_fd, text);
	digest_format_hex(d, hex);
	return r == 0 ? durable_move_at(dir_fd, TEMPORARY, layout_blobs_fd(l, d->alg), hex) : r;
}

/* On a new descriptor, for an earlier run may have died before this, or failed at it. */
static int sync_names(struct layout *l, enum hash_alg alg)
{
	AUTO_FD fd = -1;
	int r = dir_open_at(layout_blobs_fd(l, alg), ".", false, &fd);
	return r == 0 ? FAILPOINT(SYNC, "document.sync-blobs", durable_sync(fd)) : r;
}

static enum fail_class fail(const struct layout *l, const struct digest *d, int r, struct reason *why)
{
	char hex[DIGEST_TEXT_SIZE];

	digest_format_hex(d, hex);
	if (r == -EBADMSG) {
		reason_set(why, "'%s/" LAYOUT_BLOBS "/sha256/%s' is in the way: its bytes do not hash to its name",
			   layout_path(l), hex);
		return FAIL_BAD_DATA;
	}
	reason_set(why, "cannot store '%s/" LAYOUT_BLOBS "/sha256/%s': %s", layout_path(l), hex, strerror(-r));
	return file_is_full(r) ? FAIL_SPACE : FAIL_IO;
}

enum fail_class document_store(struct layout *l, struct span text, struct reason *why)
{
	struct digest d;
	bool is_ours = false;

	digest_of(HASH_SHA256, text.data, text.len, &d);
	int r = look(l, &d, text);
	if (r == -ENOENT) {
		r = name(l, &d, text);
		is_ours = r == 0;
		if (r == -EEXIST)
			r = look(l, &d, text);
	}
	if (r == 0)
		r = sync_names(l, d.alg);
	if (r < 0 && is_ours) {
		/* So that the next attempt names and syncs it again: a second sync alone might succeed falsely. */
		char hex[DIGEST_TEXT_SIZE];
		digest_format_hex(&d, hex);
		(void)FAILPOINT(NAME, "document.take-back", fs_unlinkat(layout_blobs_fd(l, d.alg), hex, 0));
	}
	return r < 0 ? fail(l, &d, r, why) : FAIL_NONE;
}

void document_recover(const struct layout *l)
{
	(void)remove_temporary(layout_commit_fd(l));
}
