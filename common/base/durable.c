/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/durable.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

int durable_sync_data(int fd)
{
	/* EINTR is an error like any other here: we cannot know what is left unwritten. */
	return fs_fdatasync(fd) < 0 ? -errno : 0;
}

static bool is_directory(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

int durable_sync(int fd)
{
	if (fs_fsync(fd) == 0)
		return 0;
	int r = -errno;
	/* Nothing was lost, and otherwise nothing could ever be stored there. The stages warn at start. */
	return r == -EINVAL && is_directory(fd) ? 0 : r;
}

bool durable_knows_dirs(int dir_fd)
{
	return fs_fsync(dir_fd) == 0 || errno != EINVAL;
}

int durable_sync_dir(int dir_fd)
{
	/* A long-lived descriptor may have failed to sync before; then a later success would prove nothing. */
	AUTO_FD fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : durable_sync(fd);
}

int durable_mkdir_at(int dir_fd, const char *name, mode_t mode)
{
	/* An existing one may have been made just before a power cut, or a moment ago, so its name is synced too. */
	if (FAILPOINT(NAME, "mkdir.make", fs_mkdirat(dir_fd, name, mode)) < 0 && errno != EEXIST)
		return -errno;
	return FAILPOINT(SYNC, "mkdir.sync", durable_sync_dir(dir_fd));
}

/* Write the complete temporary file, to disk. */
static int temporary_write(int dir_fd, const char *temporary, const void *data, size_t len, mode_t mode,
			   struct stat *ret_st)
{
	AUTO_FD fd = -1;
	int r = FAILPOINT(NAME, "replace.make",
			  file_open_at(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL, mode, &fd, NULL));
	if (r < 0)
		return r;
	r = FAILPOINT(WRITE, "replace.write", file_write_all(fd, data, len, NULL));
	/* Before the rename: otherwise a power cut could leave the new name with old or no bytes. */
	if (r == 0)
		r = FAILPOINT(SYNC, "replace.sync", durable_sync(fd));
	return r == 0 && fstat(fd, ret_st) < 0 ? -errno : r;
}

int durable_replace_if_at(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
			  const struct durable_check *check, struct stat *ret_written)
{
	/* A fixed name, so that a leftover of a crash is found and removed. */
	char temporary[NAME_MAX + 1];
	struct stat st;
	int n = snprintf(temporary, sizeof temporary, ".%s.new", name);
	if (n < 0 || (size_t)n >= sizeof temporary)
		return -ENAMETOOLONG;
	if (FAILPOINT(NAME, "replace.unlink", fs_unlinkat(dir_fd, temporary, 0)) < 0 && errno != ENOENT)
		return -errno;
	int r = temporary_write(dir_fd, temporary, data, len, mode, &st);
	if (r == 0)
		r = check->may(check->self);
	if (r == 0 && FAILPOINT(NAME, "replace.rename", fs_renameat(dir_fd, temporary, dir_fd, name)) < 0)
		r = -errno;
	if (r < 0) {
		(void)fs_unlinkat(dir_fd, temporary, 0);
		return r;
	}
	r = FAILPOINT(SYNC, "replace.sync-directory", durable_sync_dir(dir_fd));
	if (r == 0)
		*ret_written = st;
	return r;
}

static int always(void *self)
{
	(void)self;
	return 0;
}

int durable_replace_at(int dir_fd, const char *name, const void *data, size_t len, mode_t mode)
{
	static const struct durable_check check = {.may = always};
	struct stat st;
	return durable_replace_if_at(dir_fd, name, data, len, mode, &check, &st);
}

int durable_rename_at(int dir_fd, const char *temporary, const char *name)
{
	return fs_renameat(dir_fd, temporary, dir_fd, name) < 0 ? -errno : 0;
}

/*
 * For file systems without hard links too. Nobody else creates names in the target, so a name that was free stays free.
 */
static int move_plainly(int src_dir_fd, const char *src_name, int dst_dir_fd, const char *dst_name)
{
	struct stat st;
	if (fstatat(dst_dir_fd, dst_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	return fs_renameat(src_dir_fd, src_name, dst_dir_fd, dst_name) < 0 ? -errno : 0;
}

int durable_move_at(int src_dir_fd, const char *src_name, int dst_dir_fd, const char *dst_name)
{
	if (FAILPOINT(NAME, "move.rename",
		      fs_renameat2(src_dir_fd, src_name, dst_dir_fd, dst_name, RENAME_NOREPLACE)) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system or a kernel without RENAME_NOREPLACE. Between the two steps the file has both names. */
	if (FAILPOINT(NAME, "move.link", fs_linkat(src_dir_fd, src_name, dst_dir_fd, dst_name, 0)) < 0)
		return errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS
			   ? move_plainly(src_dir_fd, src_name, dst_dir_fd, dst_name)
			   : -errno;
	return FAILPOINT(NAME, "move.unlink", fs_unlinkat(src_dir_fd, src_name, 0)) < 0 ? -errno : 0;
}
