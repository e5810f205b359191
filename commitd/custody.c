/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/custody.h"

/* System */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/lock.h"
#include "common/base/log.h"

#define CLAIMS_MODE    0600
#define CLAIM_DIGITS   15 /* of an ID: as many as an offset has room for */
#define CLAIM_PAUSE_MS 20

/* Two ingests whose IDs begin alike share a lock, which is never wrong. */
static uint64_t claim_byte(const char *id)
{
	uint64_t byte = 0;
	for (size_t i = 0; i < CLAIM_DIGITS; i++)
		byte = byte << 4 | (uint64_t)(id[i] <= '9' ? id[i] - '0' : id[i] - 'a' + 10);
	return byte;
}

/* Opened anew each time: a file that stays open for writing would keep the store from being remounted read-only. */
int custody_claim(const struct layout *l, const char *id, int *ret_fd)
{
	AUTO_FD fd =
	    fs_openat(layout_commit_fd(l), CUSTODY_CLAIMS, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, CLAIMS_MODE);
	int r = fd < 0 ? -errno : lock_byte(fd, claim_byte(id));
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int custody_claim_wait(const struct layout *l, const char *id, const atomic_bool *stop, int *ret_fd)
{
	int r;
	while ((r = custody_claim(l, id, ret_fd)) == -EAGAIN) {
		if (stop && atomic_load(stop))
			return -ECANCELED;
		clock_pause(CLAIM_PAUSE_MS);
	}
	return r;
}

int custody_open(const struct layout *l, const char *id, int *ret_fd, struct stat *ret_st)
{
	return file_open_at(layout_commit_fd(l), id, O_RDONLY, 0, ret_fd, ret_st);
}

/* Opened anew: the record that has the name now must be durable, even if another one was checked. */
static int sync_record(int dir_fd)
{
	AUTO_FD fd = -1;
	int r = file_open_at(dir_fd, INGEST_TRANSFER, O_RDONLY, 0, &fd, NULL);
	return r < 0 ? r : FAILPOINT(SYNC, "custody.sync-record", durable_sync(fd));
}

static bool is_there(const struct layout *l, const char *id, struct stat *ret_st)
{
	return fstatat(layout_commit_fd(l), id, ret_st, AT_SYMLINK_NOFOLLOW) == 0;
}

int custody_finish(const struct layout *l, const char *id, int dir_fd)
{
	struct stat taken, data;
	if (dir_fd < 0 || !is_there(l, id, &taken) || fstatat(dir_fd, INGEST_DATA, &data, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !file_same(&taken, &data))
		return 0;
	return FAILPOINT(NAME, "custody.finish", fs_unlinkat(dir_fd, INGEST_DATA, 0)) < 0 ? -errno : 0;
}

int custody_take(const struct layout *l, const char *id, int dir_fd, const struct stat *want)
{
	struct stat st;
	int r = sync_record(dir_fd);
	if (r == 0)
		r = FAILPOINT(NAME, "custody.take", durable_move_at(dir_fd, INGEST_DATA, layout_commit_fd(l), id));
	if (r < 0)
		return r;
	/* Whatever it was before: this is the first check that nobody can interfere with. */
	if (fstatat(layout_commit_fd(l), id, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	bool same = file_same(&st, want) && st.st_size == want->st_size && file_mtime_ns(&st) == file_mtime_ns(want);
	return same ? 0 : -ESTALE;
}

int custody_drop(const struct layout *l, const char *id)
{
	return FAILPOINT(NAME, "custody.drop", name_remove_at(layout_commit_fd(l), id));
}

static int open_ingest(const struct layout *l, const char *id, int *ret_fd)
{
	AUTO_FD ingest_fd = -1;
	int r = dir_open_at(layout_root_fd(l), LAYOUT_INGEST, false, &ingest_fd);
	return r < 0 ? r : dir_open_at(ingest_fd, id, false, ret_fd);
}

int custody_put_back(const struct layout *l, const char *id)
{
	AUTO_FD dir_fd = -1;
	struct stat st;
	if (!is_there(l, id, &st))
		return 0;
	int r = open_ingest(l, id, &dir_fd);
	if (r == 0)
		r = FAILPOINT(NAME, "custody.put-back", durable_move_at(layout_commit_fd(l), id, dir_fd, INGEST_DATA));
	if (r == -ENOENT || r == -EEXIST)
		r = custody_drop(l, id);
	return r;
}

int custody_sync(const struct layout *l)
{
	return FAILPOINT(SYNC, "custody.sync", durable_sync_dir(layout_commit_fd(l)));
}

/*
 * A file with a second name is half moved, from its ingest or into blobs/: it exists there, so this name is
 * superfluous.
 */
static void recover_one(const struct layout *l, const char *id)
{
	AUTO_FD claim = -1;
	struct stat st;
	int r = custody_claim(l, id, &claim);
	if (r < 0) {
		log_notice("leaving '%s/" LAYOUT_COMMIT "/%s' where it is: %s", layout_path(l), id,
			   r == -EAGAIN ? "another commitd is working on it" : strerror(-r));
		return;
	}
	if (is_there(l, id, &st) && S_ISREG(st.st_mode) && st.st_nlink > 1) {
		(void)custody_drop(l, id);
		return;
	}
	log_notice("'%s/" LAYOUT_COMMIT "/%s' has no name yet: moving it back to its ingest", layout_path(l), id);
	r = custody_put_back(l, id);
	if (r < 0)
		(void)log_errno(r, "cannot put '%s/" LAYOUT_COMMIT "/%s' back", layout_path(l), id);
}

void custody_recover(const struct layout *l)
{
	int fd = openat(layout_commit_fd(l), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	while (dir && (e = readdir(dir)))
		if (strlen(e->d_name) == INGEST_ID_SIZE - 1)
			recover_one(l, e->d_name);
}
