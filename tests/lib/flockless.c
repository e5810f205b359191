/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory shown through a file system (FUSE) whose flock(2) succeeds but does nothing, as on some network mounts:
 *
 *   flockless lies DIRECTORY MOUNTPOINT
 *   flockless works DIRECTORY MOUNTPOINT    the same, but locks work in the kernel
 *
 * It serves until it is unmounted or terminated, then unmounts. Everything else is passed on to the directory.
 */

#define FUSE_USE_VERSION 35

/* System */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int base_fd;

/* The path in the directory. */
static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int told(long r)
{
	return r < 0 ? -errno : (int)r;
}

static int fd_of(const struct fuse_file_info *fi)
{
	return (int)fi->fh;
}

static void *on_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	(void)conn;
	config->use_ino = 1;
	config->nullpath_ok = 1;
	config->hard_remove = 1;
	config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
	return NULL;
}

/* ── files ── */

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	return told(fi ? fstat(fd_of(fi), st) : fstatat(base_fd, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int fd = openat(base_fd, below(path), fi->flags | O_CREAT | O_CLOEXEC, mode);
	fi->fh = (uint64_t)fd;
	return fd < 0 ? -errno : 0;
}

static int on_open(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(base_fd, below(path), fi->flags | O_CLOEXEC);
	fi->fh = (uint64_t)fd;
	return fd < 0 ? -errno : 0;
}

static int on_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return told(close(fd_of(fi)));
}

static int on_read(const char *path, char *data, size_t len, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	return told(pread(fd_of(fi), data, len, at));
}

static int on_write(const char *path, const char *data, size_t len, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	return told(pwrite(fd_of(fi), data, len, at));
}

static int on_fsync(const char *path, int only_data, struct fuse_file_info *fi)
{
	(void)path;
	return told(only_data ? fdatasync(fd_of(fi)) : fsync(fd_of(fi)));
}

static int on_fallocate(const char *path, int mode, off_t at, off_t len, struct fuse_file_info *fi)
{
	(void)path;
	return told(fallocate(fd_of(fi), mode, at, len));
}

static int on_truncate(const char *path, off_t len, struct fuse_file_info *fi)
{
	if (fi)
		return told(ftruncate(fd_of(fi), len));
	int fd = openat(base_fd, below(path), O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : told(ftruncate(fd, len));
	if (fd >= 0)
		(void)close(fd);
	return r;
}

static int on_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	return told(fi ? fchmod(fd_of(fi), mode) : fchmodat(base_fd, below(path), mode, 0));
}

static int on_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	return told(fi ? fchown(fd_of(fi), uid, gid) : fchownat(base_fd, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int on_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
	return told(fi ? futimens(fd_of(fi), times) : utimensat(base_fd, below(path), times, AT_SYMLINK_NOFOLLOW));
}

/* Claims success. */
static int on_flock(const char *path, struct fuse_file_info *fi, int operation)
{
	(void)path;
	(void)fi;
	(void)operation;
	return 0;
}

/* ── directories ── */

static int on_mkdir(const char *path, mode_t mode)
{
	return told(mkdirat(base_fd, below(path), mode));
}

/* A socket. */
static int on_mknod(const char *path, mode_t mode, dev_t device)
{
	return told(mknodat(base_fd, below(path), mode, device));
}

static int on_unlink(const char *path)
{
	return told(unlinkat(base_fd, below(path), 0));
}

static int on_rmdir(const char *path)
{
	return told(unlinkat(base_fd, below(path), AT_REMOVEDIR));
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
	return told(renameat2(base_fd, below(from), base_fd, below(to), flags));
}

static int on_link(const char *from, const char *to)
{
	return told(linkat(base_fd, below(from), base_fd, below(to), 0));
}

static int on_opendir(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(base_fd, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fi->fh = (uint64_t)fd;
	return fd < 0 ? -errno : 0;
}

static int on_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t at, struct fuse_file_info *fi,
		      enum fuse_readdir_flags flags)
{
	(void)path;
	(void)at;
	(void)flags;
	int fd = openat(fd_of(fi), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	for (const struct dirent *e; (e = readdir(dir));)
		(void)fill(buffer, e->d_name, NULL, 0, 0);
	return told(closedir(dir));
}

static int on_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return told(fstatvfs(base_fd, st));
}

int main(int argc, char **argv)
{
	struct fuse_operations operations = {
	    .init = on_init,
	    .getattr = on_getattr,
	    .create = on_create,
	    .open = on_open,
	    .release = on_release,
	    .read = on_read,
	    .write = on_write,
	    .fsync = on_fsync,
	    .truncate = on_truncate,
	    .chmod = on_chmod,
	    .fallocate = on_fallocate,
	    .chown = on_chown,
	    .utimens = on_utimens,
	    .mkdir = on_mkdir,
	    .mknod = on_mknod,
	    .unlink = on_unlink,
	    .rmdir = on_rmdir,
	    .rename = on_rename,
	    .link = on_link,
	    .opendir = on_opendir,
	    .releasedir = on_release,
	    .readdir = on_readdir,
	    .fsyncdir = on_fsync,
	    .statfs = on_statfs,
	};
	char *words[] = {argv[0], "-f", "-s", argc == 4 ? argv[3] : NULL, NULL};

	base_fd = argc == 4 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (base_fd < 0 || (strcmp(argv[1], "lies") != 0 && strcmp(argv[1], "works") != 0)) {
		(void)fprintf(stderr, "usage: flockless lies|works DIRECTORY MOUNTPOINT\n");
		return 64;
	}
	if (argv[1][0] == 'l')
		operations.flock = on_flock;
	(void)umask(0); /* the kernel has taken it off the modes */
	return fuse_main(4, words, &operations, NULL);
}
