/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that syncs and renames. What each function promises, it promises across a power cut, given a disk that
 * keeps what it acknowledged. All of them block for as long as the disk takes: in a daemon, only worker threads call
 * them.
 */
#ifndef SLUICE_BASE_DURABLE_H
#define SLUICE_BASE_DURABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Flush a file's data and the metadata needed to read it back (fdatasync), or all of its metadata (fsync; also for
 * directories). 0: on disk. -errno: the kernel may have dropped the dirty pages, and a second call could falsely
 * succeed, so the caller must treat the bytes since the last success as lost and never sync this descriptor again.
 */
int durable_sync_data(int fd);
int durable_sync(int fd);

/*
 * False: a sync of this directory fails with EINVAL, as on some network file systems. There, syncs of directories have
 * no effect but count as successful, and after a power cut names may be missing that had been reported.
 */
bool durable_knows_dirs(int dir_fd);

/*
 * durable_sync() for a directory whose `dir_fd` stays open: uses a new descriptor, so it may be repeated after a
 * failure.
 */
int durable_sync_dir(int dir_fd);

/* mkdir `name` in `dir_fd` (existing is fine) and sync `dir_fd`, so that the name is there after a power cut. */
int durable_mkdir_at(int dir_fd, const char *name, mode_t mode);

/*
 * Replace the content of `name` in `dir_fd` in one step: temporary file (`mode` less the umask), sync, rename, sync of
 * the directory. After any failure or power cut the name holds all of the old content or all of the new. 0: the new
 * content is durable.
 */
int durable_replace_at(int dir_fd, const char *name, const void *data, size_t len, mode_t mode);

/*
 * The same for a file that others may write, too: `may` is asked once the new content is on disk, right before the
 * rename. If its result is not 0, nothing is replaced, and it is returned. `ret_written` is what the new file was like
 * just before the rename.
 */
struct durable_check {
	int (*may)(void *self);
	void *self;
};
int durable_replace_if_at(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
			  const struct durable_check *check, struct stat *ret_written);

/*
 * Give a file of the same directory, complete and synced, its name in one step, in place of whatever file or link has that
 * name. 0: not yet durable; sync the directory. Or -errno: -EISDIR, if a directory has the name.
 */
int durable_rename_at(int dir_fd, const char *temporary, const char *name);

/*
 * Move `src_name` to `dst_name` without replacing anything (renameat2 with RENAME_NOREPLACE; else linkat and unlinkat; else
 * a check and renameat: then the caller must be the only one that creates names in the target directory, as a stage is in
 * its store).
 * -EEXIST: the target exists and the source is untouched. 0: moved, not yet durable; sync the target directory and
 * then the source directory with durable_sync(), which serves any number of moves.
 */
int durable_move_at(int src_dir_fd, const char *src_name, int dst_dir_fd, const char *dst_name);

#endif
