/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/file.h"

/* System */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/failpoint.h"
#include "common/base/fs.h"

static int regular_open(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd, struct stat *ret_st)
{
	AUTO_FD fd = fs_openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode);
	if (fd < 0) {
		/* A FIFO or a socket, or a directory. */
		return errno == ENXIO || errno == EISDIR ? -EINVAL : -errno;
	}
	if (fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -EINVAL;
	*ret_fd = take_fd(&fd);
	return 0;
}

int file_open_at(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd, struct stat *ret_st)
{
	AUTO_FD fd = -1;
	struct stat st;
	/* Truncating has to wait until we know what it is. */
	int r = regular_open(dir_fd, name, flags & ~O_TRUNC, mode, &fd, &st);
	if (r < 0)
		return r;
	if (st.st_nlink != 1)
		return st.st_nlink == 0 ? -ESTALE : -EINVAL;
	if ((flags & O_TRUNC) && st.st_size > 0 && (fs_ftruncate(fd, 0) < 0 || fstat(fd, &st) < 0))
		return -errno;
	if (ret_st)
		*ret_st = st;
	*ret_fd = take_fd(&fd);
	return 0;
}

int file_open_read_at(int dir_fd, const char *name, int *ret_fd, struct stat *ret_st)
{
	struct stat st;
	int r = regular_open(dir_fd, name, O_RDONLY, 0, ret_fd, &st);
	if (r == 0 && ret_st)
		*ret_st = st;
	return r;
}

static mode_t mode_of_new_dir(int dir_fd)
{
	struct stat st;
	return fstat(dir_fd, &st) == 0 && (st.st_mode & S_ISGID) ? 0775 : 0755;
}

int dir_open_at(int dir_fd, const char *name, bool make, int *ret_fd)
{
	mode_t mode = make ? mode_of_new_dir(dir_fd) : 0;
	if (make && FAILPOINT(NAME, "directory.make", fs_mkdirat(dir_fd, name, mode)) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int file_write_all(int fd, const void *data, size_t len, size_t *ret_written)
{
	const uint8_t *p = data;
	size_t done = 0;
	int r = 0;
	while (done < len) {
		ssize_t n = fs_write(fd, p + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)n;
	}
	if (ret_written)
		*ret_written = done;
	return r;
}

int file_pwrite_all(int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *p = data;
	for (size_t done = 0; done < len;) {
		ssize_t n = fs_pwrite(fd, p + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int file_read_full(int fd, void *data, size_t len, size_t *ret_len)
{
	uint8_t *p = data;
	size_t done = 0;
	while (done < len) {
		ssize_t n = read(fd, p + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_len = done;
	return 0;
}

int file_pread_full(int fd, void *data, size_t len, uint64_t offset, size_t *ret_len)
{
	uint8_t *p = data;
	size_t done = 0;
	while (done < len) {
		ssize_t n = pread(fd, p + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_len = done;
	return 0;
}

static int load(int fd, const struct stat *st, size_t max, struct buf *out)
{
	if ((uint64_t)st->st_size > max)
		return -EFBIG;
	/* One byte more than its size, to notice a file that is growing. */
	size_t room = (size_t)st->st_size + 1, len;
	int r = buf_reserve(out, room);
	if (r < 0)
		return r;
	r = file_read_full(fd, out->data + out->len, room, &len);
	if (r == 0 && len > max)
		r = -EFBIG;
	if (r == 0)
		out->len += len;
	out->data[out->len] = '\0';
	return r;
}

int file_load_stat_at(int dir_fd, const char *name, size_t max, struct buf *out, struct stat *ret_st)
{
	AUTO_FD fd = -1;
	struct stat st = {0};
	int r = file_open_read_at(dir_fd, name, &fd, &st);
	if (r == 0)
		r = load(fd, &st, max, out);
	if (r == 0)
		*ret_st = st;
	return r;
}

int file_load_at(int dir_fd, const char *name, size_t max, struct buf *out)
{
	struct stat st;
	return file_load_stat_at(dir_fd, name, max, out, &st);
}

int file_load(const char *path, size_t max, struct buf *out)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st = {0};
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? load(fd, &st, max, out) : -EINVAL;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int dir_list(const char *path, struct dirent ***ret_names)
{
	int count = scandir(path, ret_names, is_visible, compare_names);
	return count < 0 ? -errno : count;
}

bool name_ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);
	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

int name_remove_at(int dir_fd, const char *name)
{
	if (fs_unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	if (fs_unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == EEXIST ? -ENOTEMPTY : -errno;
}

static int dir_empty(DIR *dir)
{
	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(dir);
		if (!e)
			return -errno;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		int r = FAILPOINT(NAME, "directory.empty", name_remove_at(dirfd(dir), e->d_name));
		if (r < 0)
			return r;
	}
}

int dir_remove_at(int dir_fd, const char *name)
{
	AUTO_FD fd = -1;
	int r = dir_open_at(dir_fd, name, false, &fd);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	AUTO_DIR dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	r = dir_empty(dir);
	if (r < 0)
		return r;
	if (FAILPOINT(NAME, "directory.remove", fs_unlinkat(dir_fd, name, AT_REMOVEDIR)) < 0 && errno != ENOENT)
		return errno == EEXIST ? -ENOTEMPTY : -errno;
	return 0;
}

bool file_is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

bool file_is_short(int r)
{
	return file_is_full(r) || r == -EMFILE || r == -ENFILE;
}

int file_space_left(int fd, uint64_t *ret_bytes)
{
	struct statvfs st;
	if (fstatvfs(fd, &st) < 0)
		return -errno;
	if (st.f_blocks == 0) /* ramfs, and some that a FUSE program serves */
		return -ENODATA;
	*ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}
