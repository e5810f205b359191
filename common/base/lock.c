/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/lock.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/date.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

#define LOCK_MODE 0600 /* nobody else can open it, and so nobody else can lock it */
#define LOCK_GONE 1    /* in addition to 0 and -errno */

/* A process that tests a lock shares it for an instant, so a server retries this often before it gives up. */
#define LOOKERS_TRIES   1000
#define LOOKERS_WAIT_MS 1

size_t lock_holder_format(const char *program, char ret_text[static LOCK_HOLDER_MAX])
{
	char since[DATE_TEXT_SIZE];

	date_format(clock_wall_s(), since);
	int len = snprintf(ret_text, LOCK_HOLDER_MAX, "%.128s %d since %s\n", program, (int)getpid(), since);
	return len > 0 ? (size_t)len : 0;
}

void lock_holder_parse(struct span content, struct reason *ret_holder)
{
	const uint8_t *newline = content.len > 0 ? memchr(content.data, '\n', content.len) : NULL;

	if (newline && newline > content.data && content.data[0] != '\0')
		reason_set(ret_holder, "%.*s", (int)(newline - content.data), (const char *)content.data);
	else
		reason_set(ret_holder, "another process");
}

/* The text is for people: a full disk must not prevent taking the lock, so failures are ignored. */
static void holder_write(int dir_fd, const char *name, const char *program)
{
	char text[LOCK_HOLDER_MAX];
	AUTO_FD fd = -1;
	size_t len = lock_holder_format(program, text);
	/*
	 * On a separate descriptor: if the lock's were open for writing, the file system could not be remounted
	 * read-only.
	 */
	if (file_open_at(dir_fd, name, O_WRONLY, 0, &fd, NULL) < 0)
		return;
	if (FAILPOINT(WRITE, "lock.write", file_pwrite_all(fd, text, len, 0)) == 0 && fs_ftruncate(fd, (off_t)len) < 0)
		return;
}

static void holder_read(int fd, struct reason *ret_holder)
{
	char text[LOCK_HOLDER_MAX];
	size_t len;
	if (file_pread_full(fd, text, sizeof text, 0, &len) < 0)
		len = 0;
	lock_holder_parse(span_of(text, len), ret_holder);
}

/* Whether `name` is still the file that we locked: LOCK_GONE if it was unlinked or replaced before we got the lock. */
static int name_check(int dir_fd, const char *name, int fd)
{
	struct stat ours, named;
	if (fstat(fd, &ours) < 0)
		return -errno;
	if (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? LOCK_GONE : -errno;
	return file_same(&ours, &named) ? 0 : LOCK_GONE;
}

static int lock_fd(int fd, int how)
{
	int r;

	do {
		r = flock(fd, how) < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r == -ENOSYS || r == -ENOLCK ? -EOPNOTSUPP : r;
}

static int open_again(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/*
 * We have the lock, perhaps a shared one. On some network file systems flock(2) succeeds but does nothing: then a second
 * description of the file gets the exclusive lock too.
 */
static int exclusion_check(int dir_fd, const char *name, int fd)
{
	AUTO_FD again = open_again(dir_fd, name);
	if (again < 0)
		return again == -ENOENT ? LOCK_GONE : again;
	int r = lock_fd(again, LOCK_EX | LOCK_NB);
	if (r == -EWOULDBLOCK || r == -EBADF)
		return 0;
	return r == 0 && name_check(dir_fd, name, fd) == 0 ? -EOPNOTSUPP : r == 0 ? LOCK_GONE : r;
}

int lock_works_at(int dir_fd, const char *name)
{
	AUTO_FD fd = open_again(dir_fd, name);
	if (fd < 0)
		return fd;
	int r = lock_fd(fd, LOCK_SH | LOCK_NB);
	if (r == 0)
		r = exclusion_check(dir_fd, name, fd);
	return r == -EWOULDBLOCK || r == LOCK_GONE ? 0 : r; /* held, or replaced: so it does exclude others */
}

/* Lock exclusively, unless another process holds the lock: one that can be shared is only being tested. */
static int lock_fd_over_lookers(int fd)
{
	int r = lock_fd(fd, LOCK_EX | LOCK_NB);

	for (unsigned i = 0; r == -EWOULDBLOCK && i < LOOKERS_TRIES; i++) {
		if (lock_fd(fd, LOCK_SH | LOCK_NB) < 0)
			return r;
		lock_drop(fd);
		clock_pause(LOOKERS_WAIT_MS);
		r = lock_fd(fd, LOCK_EX | LOCK_NB);
	}
	return r;
}

/* Open the lock file, create it if necessary, and lock it. Otherwise as lock_once(). */
static int open_and_lock(int dir_fd, const char *name, int flags, enum lock_mode mode, bool wait, int *ret_fd)
{
	struct stat st;
	int r = FAILPOINT(NAME, "lock.make", file_open_at(dir_fd, name, flags | O_CREAT, LOCK_MODE, ret_fd, &st));
	if (r < 0)
		return r == -ESTALE ? LOCK_GONE : r;
	/* Made by an earlier version, or copied. If it is not ours, we can only use it as it is. */
	if ((st.st_mode & 07777 & ~(mode_t)LOCK_MODE) && st.st_uid == geteuid())
		(void)fs_fchmod(*ret_fd, LOCK_MODE);
	int how = (mode == LOCK_EXCLUSIVE ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB);
	return mode == LOCK_SERVE ? lock_fd_over_lookers(*ret_fd) : lock_fd(*ret_fd, how);
}

/* One round. LOCK_GONE: the file was removed under us, try again. */
static int lock_once(int dir_fd, const char *name, enum lock_mode mode, bool wait, int *ret_fd,
		     struct reason *ret_holder)
{
	AUTO_FD fd = -1;
	int r = open_and_lock(dir_fd, name, O_RDONLY, mode, wait, &fd);
	if (r == -EBADF && mode != LOCK_SHARED) { /* NFS: an exclusive lock is for those who can write */
		fd = close_fd(fd);
		r = open_and_lock(dir_fd, name, O_RDWR, mode, wait, &fd);
	}
	if (r == -EWOULDBLOCK) {
		holder_read(fd, ret_holder);
		return name_check(dir_fd, name, fd) == LOCK_GONE ? LOCK_GONE : -EWOULDBLOCK;
	}
	if (r == 0)
		r = name_check(dir_fd, name, fd);
	if (r == 0)
		r = exclusion_check(dir_fd, name, fd);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static int lock_take(int dir_fd, const char *name, enum lock_mode mode, bool wait, const char *program, int *ret_fd,
		     struct reason *ret_holder)
{
	int fd, r;
	/* Each further round means that another process took the lock and released it, so this ends. */
	do {
		r = lock_once(dir_fd, name, mode, wait, &fd, ret_holder);
	} while (r == LOCK_GONE);
	if (r < 0)
		return r;
	if (mode != LOCK_SHARED)
		holder_write(dir_fd, name, program);
	*ret_fd = fd;
	return 0;
}

int lock_take_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd,
		 struct reason *ret_holder)
{
	return lock_take(dir_fd, name, mode, false, program, ret_fd, ret_holder);
}

int lock_wait_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd)
{
	return lock_take(dir_fd, name, mode, true, program, ret_fd, NULL);
}

bool lock_is_held_at(int dir_fd, const char *name)
{
	AUTO_FD fd = open_again(dir_fd, name);
	return fd >= 0 && lock_fd(fd, LOCK_SH | LOCK_NB) == -EWOULDBLOCK;
}

bool lock_change(int fd, enum lock_mode mode)
{
	return lock_fd(fd, (mode == LOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0;
}

int lock_byte(int fd, uint64_t at)
{
	struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1};
	if (fcntl(fd, F_OFD_SETLK, &byte) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

void lock_drop(int fd)
{
	(void)lock_fd(fd, LOCK_UN);
}
