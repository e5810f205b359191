/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All calls by which our programs change files and directories or make that durable. Each is the system call of its
 * name, with the same result and errno. Most callers want durable.h and file.h, which are built on them. Reading does
 * not go through here.
 *
 * A seam: another implementation can take the place of fs.c when a program is linked, and make a write, a sync or a
 * rename fail.
 */
#ifndef SLUICE_BASE_FS_H
#define SLUICE_BASE_FS_H

#include <sys/stat.h>
#include <sys/types.h>

/* To create or to write. The caller owns the descriptor. */
int fs_openat(int dir_fd, const char *name, int flags, mode_t mode);
int fs_mkdir(const char *path, mode_t mode);
int fs_mkdirat(int dir_fd, const char *name, mode_t mode);

/* Bytes, and the space for them. */
ssize_t fs_write(int fd, const void *data, size_t len);
ssize_t fs_pwrite(int fd, const void *data, size_t len, off_t at);
int fs_ftruncate(int fd, off_t len);
int fs_fallocate(int fd, int mode, off_t at, off_t len);

/* Let a file share all blocks of another on the same file system, as ioctl(2) with FICLONE. */
int fs_clone(int fd, int from_fd);

/* Names and modes. */
int fs_renameat(int from_fd, const char *from, int to_fd, const char *to);
int fs_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int fs_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int fs_symlinkat(const char *target, int dir_fd, const char *name);
int fs_unlink(const char *path);
int fs_rmdir(const char *path);
int fs_unlinkat(int dir_fd, const char *name, int flags);
int fs_fchmod(int fd, mode_t mode);
int fs_fchmodat(int dir_fd, const char *name, mode_t mode, int flags);

/* Flush to disk. These block for as long as it takes. */
int fs_fsync(int fd);
int fs_fdatasync(int fd);

#endif
