/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories, relative to a directory descriptor and, except for file_load(), never through a symbolic link.
 * For what must reach the disk, use durable.h.
 */
#ifndef SLUICE_BASE_FILE_H
#define SLUICE_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/base/buf.h"

/*
 * Open a regular file with one link in `dir_fd`. `flags` as for openat(2); O_NOFOLLOW, O_CLOEXEC and O_NONBLOCK (so
 * that a FIFO cannot hang us) are added. -ELOOP: a symbolic link; -EINVAL: not a regular file, or one with more than
 * one link; -ESTALE: it was unlinked while we opened it. With O_TRUNC it is truncated only after these checks. `ret_st`
 * may be NULL. The caller owns the descriptor.
 */
int file_open_at(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd, struct stat *ret_st);

/*
 * Open a regular file for reading, however many links it has: a file that is only read may also be in a backup made of
 * hard links. Otherwise as above.
 */
int file_open_read_at(int dir_fd, const char *name, int *ret_fd, struct stat *ret_st);

/*
 * Open a directory in `dir_fd` (no symbolic link). With `make`, mkdir it first (0755 less the umask; 0775 if the
 * directory above has its set-group-ID bit, so is meant for its group); existing is fine.
 */
int dir_open_at(int dir_fd, const char *name, bool make, int *ret_fd);

/* Write all of it, continuing after short writes and EINTR. `ret_written` counts what was accepted, also on failure. */
int file_write_all(int fd, const void *data, size_t len, size_t *ret_written);

/* The same at a fixed offset, as with pwrite(2): 0 or -errno (-EIO for a write of 0 bytes). */
int file_pwrite_all(int fd, const void *data, size_t len, uint64_t offset);

/* Read exactly `len` bytes, or fewer if the file or stream ends: `ret_len`. 0 or -errno. May block on a pipe. */
int file_read_full(int fd, void *data, size_t len, size_t *ret_len);
int file_pread_full(int fd, void *data, size_t len, uint64_t offset, size_t *ret_len);

/* Append the content of a small regular file to `out`. -EFBIG when it is over `max` bytes. */
int file_load_at(int dir_fd, const char *name, size_t max, struct buf *out);

/* The same, and what the file was like just before it was read. */
int file_load_stat_at(int dir_fd, const char *name, size_t max, struct buf *out, struct stat *ret_st);

/* The same for a configuration file, which may be a symbolic link, as dotfiles and mounted secrets often are. */
int file_load(const char *path, size_t max, struct buf *out);

struct dirent;

/*
 * The names in a directory in byte order, without those that begin with a dot. Returns their number, or -errno if it
 * cannot be read. The caller frees each name and the array.
 */
int dir_list(const char *path, struct dirent ***ret_names);

/* Whether a name ends with `end` and is longer. */
bool name_ends_with(const char *name, const char *end);

/*
 * Remove whatever has that name, without following it: a file, a link, a FIFO, an empty directory. -ENOTEMPTY: a
 * directory that is not empty. 0 also if it does not exist.
 */
int name_remove_at(int dir_fd, const char *name);

/*
 * Remove a directory in `dir_fd` and its direct entries, as above: -ENOTEMPTY if one of them is a directory that is not
 * empty. 0 also if it does not exist.
 */
int dir_remove_at(int dir_fd, const char *name);

/* The time of the last change of content, in nanoseconds since 1970. */
static inline uint64_t file_mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)st->st_mtim.tv_nsec;
}

/* Whether both are the same file, which may have several names. */
static inline bool file_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * Bytes that an unprivileged process may still write on the file system of `fd`. 0 or -errno; -ENODATA: it does not
 * say.
 */
int file_space_left(int fd, uint64_t *ret_bytes);

/* Whether an -errno means that there is no space: on the disk, in inodes or in a quota. */
bool file_is_full(int r);

/* Whether it is, or all descriptors are in use: what failed may work later. */
bool file_is_short(int r);

#endif
