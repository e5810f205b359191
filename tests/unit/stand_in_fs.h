/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of files that fail when the test says so, linked in place of common/base/fs.c. Other operations are made by
 * the kernel, except syncs, which are only counted. Include it in one file of a program.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_FS_H
#define SLUICE_TESTS_UNIT_STAND_IN_FS_H

/* Own */
#include "tests/unit/unit.h"

/* What it stands in for */
#include "common/base/fs.h"

enum fs_op {
	FS_WRITE,
	FS_SYNC,
	FS_MOVE, /* rename */
	FS_LINK,
	FS_REMOVE,
	FS_MAKE, /* a file or a directory */
	FS_TRUNCATE,
	FS_RESERVE,
	FS_MODE,
	FS_OPS
};
#define FS_ALL ((1u << FS_OPS) - 1)

static struct {
	unsigned made[FS_OPS]; /* of each kind, since stand_in_fs_begin() */
	unsigned kinds;        /* bits: the operations that count for the strike */
	unsigned left;         /* operations before the strike; 0: it has happened */
	int error;
	bool fired;
	bool is_poor; /* no flags of renames, no hard links, no syncs of directories */
} stand_in_fs;

/* Nothing fails from here on. */
static inline void stand_in_fs_begin(void)
{
	memset(&stand_in_fs, 0, sizeof(stand_in_fs));
}

/* The `nth` operation of these kinds from here on fails with `error`, once. */
static inline void stand_in_fs_fail(unsigned kinds, unsigned nth, int error)
{
	stand_in_fs.kinds = kinds;
	stand_in_fs.left = nth;
	stand_in_fs.error = error;
	stand_in_fs.fired = false;
}

static inline unsigned stand_in_fs_made(unsigned kinds)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < FS_OPS; i++)
		sum += kinds & 1u << i ? stand_in_fs.made[i] : 0;
	return sum;
}

/* errno is set if it fails. */
static inline bool fs_fails(enum fs_op op)
{
	stand_in_fs.made[op]++;
	if (stand_in_fs.left == 0 || !(stand_in_fs.kinds & 1u << op) || --stand_in_fs.left > 0)
		return false;
	stand_in_fs.fired = true;
	errno = stand_in_fs.error;
	return true;
}

/* errno is set if it is poor. */
static inline bool fs_lacks(bool is_asked, int error)
{
	if (stand_in_fs.is_poor && is_asked)
		errno = error;
	return stand_in_fs.is_poor && is_asked;
}

static inline bool fs_is_dir(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

#define FS_CALL(op, type, name, parameters, arguments)                                                                 \
	type fs_##name parameters                                                                                      \
	{                                                                                                              \
		return fs_fails(op) ? -1 : name arguments;                                                             \
	}

FS_CALL(FS_MAKE, int, mkdir, (const char *path, mode_t mode), (path, mode))
FS_CALL(FS_MAKE, int, mkdirat, (int dir_fd, const char *name, mode_t mode), (dir_fd, name, mode))
FS_CALL(FS_WRITE, ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))
FS_CALL(FS_WRITE, ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
FS_CALL(FS_TRUNCATE, int, ftruncate, (int fd, off_t len), (fd, len))
FS_CALL(FS_RESERVE, int, fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))
FS_CALL(FS_MOVE, int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to))
FS_CALL(FS_REMOVE, int, unlink, (const char *path), (path))
FS_CALL(FS_REMOVE, int, rmdir, (const char *path), (path))
FS_CALL(FS_REMOVE, int, unlinkat, (int dir_fd, const char *name, int flags), (dir_fd, name, flags))
FS_CALL(FS_MODE, int, fchmod, (int fd, mode_t mode), (fd, mode))
FS_CALL(FS_MODE, int, fchmodat, (int dir_fd, const char *name, mode_t mode, int flags), (dir_fd, name, mode, flags))

int fs_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return fs_fails(FS_MOVE) || fs_lacks(flags != 0, EINVAL) ? -1 : renameat2(from_fd, from, to_fd, to, flags);
}

int fs_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return fs_fails(FS_LINK) || fs_lacks(true, EPERM) ? -1 : linkat(from_fd, from, to_fd, to, flags);
}

int fs_symlinkat(const char *target, int dir_fd, const char *name)
{
	return fs_fails(FS_LINK) ? -1 : symlinkat(target, dir_fd, name);
}

int fs_clone(int fd, int from_fd)
{
	(void)fd;
	(void)from_fd;
	errno = EOPNOTSUPP;
	return -1;
}

/* No test cuts the power, so nothing has to wait for a disk. */
int fs_fsync(int fd)
{
	assert_true(fd >= 0);
	return fs_fails(FS_SYNC) || fs_lacks(fs_is_dir(fd), EINVAL) ? -1 : 0;
}

int fs_fdatasync(int fd)
{
	return fs_fsync(fd);
}

int fs_openat(int dir_fd, const char *name, int flags, mode_t mode)
{
	return flags & O_CREAT && fs_fails(FS_MAKE) ? -1 : openat(dir_fd, name, flags, mode);
}

#endif
