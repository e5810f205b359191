/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/fs.h"

/* System */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int fs_openat(int dir_fd, const char *name, int flags, mode_t mode)
{
	return openat(dir_fd, name, flags, mode);
}

int fs_mkdir(const char *path, mode_t mode)
{
	return mkdir(path, mode);
}

int fs_mkdirat(int dir_fd, const char *name, mode_t mode)
{
	return mkdirat(dir_fd, name, mode);
}

ssize_t fs_write(int fd, const void *data, size_t len)
{
	return write(fd, data, len);
}

ssize_t fs_pwrite(int fd, const void *data, size_t len, off_t at)
{
	return pwrite(fd, data, len, at);
}

int fs_ftruncate(int fd, off_t len)
{
	return ftruncate(fd, len);
}

int fs_fallocate(int fd, int mode, off_t at, off_t len)
{
	return fallocate(fd, mode, at, len);
}

int fs_clone(int fd, int from_fd)
{
	return ioctl(fd, FICLONE, from_fd);
}

int fs_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return renameat(from_fd, from, to_fd, to);
}

int fs_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return renameat2(from_fd, from, to_fd, to, flags);
}

int fs_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return linkat(from_fd, from, to_fd, to, flags);
}

int fs_symlinkat(const char *target, int dir_fd, const char *name)
{
	return symlinkat(target, dir_fd, name);
}

int fs_unlink(const char *path)
{
	return unlink(path);
}

int fs_rmdir(const char *path)
{
	return rmdir(path);
}

int fs_unlinkat(int dir_fd, const char *name, int flags)
{
	return unlinkat(dir_fd, name, flags);
}

int fs_fchmod(int fd, mode_t mode)
{
	return fchmod(fd, mode);
}

int fs_fchmodat(int dir_fd, const char *name, mode_t mode, int flags)
{
	return fchmodat(dir_fd, name, mode, flags);
}

int fs_fsync(int fd)
{
	return fsync(fd);
}

int fs_fdatasync(int fd)
{
	return fdatasync(fd);
}
