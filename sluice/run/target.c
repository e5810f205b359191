/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/target.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/durable.h"
#include "common/base/exit.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

#define DIR_MODE 0777 /* less the umask */

struct seen {
	enum { NOTHING, DIRECTORY, FILE_OR_LINK } what;
	uint64_t frees; /* bytes, if it is removed */
};

static int fail(const char *path, int r, struct reason *why)
{
	reason_set(why, "'%s': %s", path, strerror(-r));
	return exit_code_of(r);
}

/* Whether it is the store, or below it, where a command writes nothing. */
static int check_outside(const struct target *t, const struct layout *store, struct reason *why)
{
	AUTO_FD fd = openat(t->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t dev, ino;
	struct stat st, last = {.st_ino = 0};

	layout_identity(store, &dev, &ino);
	while (fd >= 0 && fstat(fd, &st) == 0 && !file_same(&st, &last)) {
		if (st.st_dev == dev && st.st_ino == ino) {
			reason_set(why, "'%s' is in the store; choose a directory elsewhere", t->path);
			return EX_USAGE;
		}
		last = st;
		int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close_fd(fd);
		fd = above;
	}
	return 0;
}

static int make(struct target *t, struct reason *why)
{
	AUTO_FD above = -1;

	if (FAILPOINT(NAME, "target.make", fs_mkdir(t->path, DIR_MODE)) < 0) {
		if (errno != ENOENT)
			return fail(t->path, -errno, why);
		reason_set(why, "the directory above '%s' does not exist", t->path);
		return EX_CANTCREAT;
	}
	t->is_made = true;
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->fd >= 0)
		above = openat(t->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return t->fd >= 0 && errno == EACCES ? 0 : fail(t->path, -errno, why);
	int r = FAILPOINT(SYNC, "target.sync-above", durable_sync(above));
	return r < 0 ? fail(t->path, r, why) : 0;
}

int target_open(struct target *t, const char *path, const struct layout *store, struct reason *why)
{
	int code = 0;

	*t = (struct target){.path = path, .fd = -1, .dir_fd = -1};
	t->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->fd < 0)
		code = errno == ENOENT ? make(t, why) : fail(path, -errno, why);
	return code == 0 ? check_outside(t, store, why) : code;
}

/* What has a name. What is none of the three, and so may not be replaced, has a reason. */
static int look(int dir_fd, const char *name, struct seen *ret_seen, struct reason *why)
{
	struct stat st;

	*ret_seen = (struct seen){.what = NOTHING};
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(name, -errno, why);
	ret_seen->what = S_ISDIR(st.st_mode) ? DIRECTORY : FILE_OR_LINK;
	if (S_ISREG(st.st_mode) && st.st_nlink == 1)
		ret_seen->frees = (uint64_t)st.st_blocks * 512;
	if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
		return 0;
	reason_set(why, "what is there is neither a file nor a link nor a directory");
	return EX_CANTCREAT;
}

int target_check(const struct target *t, const char *title, uint64_t *ret_frees, struct reason *why)
{
	AUTO_FD fd = -1;
	char name[NAME_MAX + 1];
	struct seen seen;
	int at = t->fd, code;

	*ret_frees = 0;
	for (const char *slash; (slash = strchr(title, '/')); title = slash + 1) {
		(void)snprintf(name, sizeof(name), "%.*s", (int)(slash - title), title);
		code = look(at, name, &seen, why);
		if (code != 0 || seen.what == NOTHING)
			return code;
		if (seen.what == FILE_OR_LINK) {
			reason_set(why, "'%s' is a file or a symbolic link, and not a directory", name);
			return EX_CANTCREAT;
		}
		int below = -1, r = dir_open_at(at, name, false, &below);
		if (r < 0)
			return fail(name, r, why);
		(void)close_fd(fd);
		at = fd = below;
	}
	code = look(at, title, &seen, why);
	if (code == 0 && seen.what == DIRECTORY) {
		reason_set(why, "a directory has that name");
		code = EX_CANTCREAT;
	}
	if (code == 0)
		*ret_frees = seen.frees;
	return code;
}

/* Open the directory, and make it. */
static int enter(struct target *t, const char *title, size_t len, struct reason *why)
{
	char name[NAME_MAX + 1];

	for (const char *p = title; p < title + len; p += strlen(name) + 1) {
		int at = t->dir_fd >= 0 ? t->dir_fd : t->fd, below = -1;
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, "/"), p);
		int r = durable_mkdir_at(at, name, DIR_MODE);
		if (r == 0)
			r = dir_open_at(at, name, false, &below);
		if (r < 0)
			return fail(name, r, why);
		(void)close_fd(t->dir_fd);
		t->dir_fd = below;
	}
	return 0;
}

int target_enter(struct target *t, const char *title, int *ret_dir_fd, const char **ret_name, struct reason *why)
{
	const char *slash = strrchr(title, '/');
	size_t len = slash ? (size_t)(slash - title) : 0;
	int code = 0;

	if (!t->is_entered || strlen(t->dir) != len || strncmp(t->dir, title, len) != 0) {
		code = target_leave(t, why);
		if (code == 0)
			code = enter(t, title, len, why);
		if (code != 0)
			return code;
		t->is_entered = true;
		(void)snprintf(t->dir, sizeof(t->dir), "%.*s", (int)len, title);
	}
	*ret_dir_fd = t->dir_fd >= 0 ? t->dir_fd : t->fd;
	*ret_name = slash ? slash + 1 : title;
	return 0;
}

int target_leave(struct target *t, struct reason *why)
{
	int fd = t->dir_fd >= 0 ? t->dir_fd : t->fd;
	int r = t->is_entered ? FAILPOINT(SYNC, "target.sync", durable_sync_dir(fd)) : 0;

	t->dir_fd = close_fd(t->dir_fd);
	t->is_entered = false;
	return r < 0 ? fail(t->path, r, why) : 0;
}

void target_remove(struct target *t)
{
	if (t->is_made)
		(void)fs_rmdir(t->path);
}

void target_release(struct target *t)
{
	t->dir_fd = close_fd(t->dir_fd);
	t->fd = close_fd(t->fd);
}
