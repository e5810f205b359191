/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The implementation of common/base/failpoint.h in a debug build.
 *
 *   SLUICE_FAILPOINTS=list                     print "NAME KIND" for every point of the program, and exit
 *   SLUICE_FAILPOINTS=NAME[:N]=ACTION,...      act when NAME is passed for the Nth time (default: 1)
 *   SLUICE_FAILPOINT_TRACE=FILE                gets "passed NAME KIND" each time, and "fired NAME N ACTION" for an action
 *
 *   kill, abort   end the program before the call
 *   delay         make the call DELAY_MS later
 *   EIO, ...      make the system call inside, of the point's kind, fail with this error
 *   short         make the write inside write half
 *   torn          make it write half, and the next one fail with ENOSPC: the disk fills in the middle of a record
 *
 * The linker puts the functions named __wrap_ between the program and the C library (and nanomsg): `FAILPOINT_WRAPS` in
 * the Makefile. An action counts as fired when it has taken effect, not when its point is passed.
 */
#include "common/base/failpoint.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define ARMS_MAX     8
#define NAME_MAX_LEN 48
#define DELAY_MS     200

static const char *const kinds[] = {
    [FAILPOINT_WRITE] = "write", [FAILPOINT_SYNC] = "sync",       [FAILPOINT_NAME] = "name",
    [FAILPOINT_SEND] = "send",   [FAILPOINT_RECEIVE] = "receive",
};

static const struct {
	const char *name;
	int number;
} errors[] = {
    {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR},
    {"EAGAIN", EAGAIN}, {"EINVAL", EINVAL}, {"ENOMEM", ENOMEM},
};

struct arm {
	char name[NAME_MAX_LEN];
	char action[16];
	unsigned long nth, passed;
};

static struct {
	struct arm arms[ARMS_MAX];
	size_t len;
	int trace_fd;
	pthread_mutex_t lock;
} points = {.trace_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* The action for the next call of that kind by this thread inside this point. */
static _Thread_local struct {
	const struct arm *arm;
	enum failpoint_kind kind;
	bool torn; /* its first half was written */
} due;

extern const struct failpoint *const __start_failpoints[], *const __stop_failpoints[];

ssize_t __real_write(int fd, const void *data, size_t len);

__attribute__((format(printf, 1, 2))) static void trace(const char *format, ...)
{
	char line[128];
	va_list args;

	if (points.trace_fd < 0)
		return;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	ssize_t n = __real_write(points.trace_fd, line, (size_t)len);
	(void)n;
}

static void fired(const struct arm *a)
{
	trace("fired %s %lu %s\n", a->name, a->nth, a->action);
}

/* ── arming ── */

__attribute__((noreturn)) static void refuse(const char *what)
{
	(void)fprintf(stderr, "SLUICE_FAILPOINTS: cannot use '%s'\n", what);
	exit(64);
}

static void print_name(const struct failpoint *p, unsigned which)
{
	if (p->variant)
		(void)printf("%s.%s %s\n", p->name, p->variant(which), kinds[p->kind]);
	else
		(void)printf("%s %s\n", p->name, kinds[p->kind]);
}

static void list(void)
{
	for (const struct failpoint *const *p = __start_failpoints; p < __stop_failpoints; p++)
		for (unsigned which = 1; which <= ((*p)->variant ? (*p)->variants : 1); which++)
			print_name(*p, which);
	exit(0);
}

static int error_of(const char *action)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, action) == 0)
			return errors[i].number;
	return 0;
}

static bool is_action(const char *word)
{
	static const char *const others[] = {"kill", "abort", "delay", "short", "torn"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i], word) == 0)
			return true;
	return error_of(word) != 0;
}

/* "NAME[:N]=ACTION" */
static void arm(char *word)
{
	struct arm *a = &points.arms[points.len];
	char *action = strchr(word, '='), *count, *end = NULL;

	if (!action || points.len == ARMS_MAX || !is_action(action + 1))
		refuse(word);
	*action++ = '\0';
	count = strchr(word, ':');
	if (count)
		*count++ = '\0';
	a->nth = count ? strtoul(count, &end, 10) : 1;
	if (a->nth == 0 || (end && *end != '\0') || strlen(word) >= sizeof(a->name))
		refuse(word);
	(void)snprintf(a->name, sizeof(a->name), "%s", word);
	(void)snprintf(a->action, sizeof(a->action), "%s", action);
	points.len++;
}

__attribute__((constructor)) static void begin(void)
{
	const char *words = getenv("SLUICE_FAILPOINTS"), *file = getenv("SLUICE_FAILPOINT_TRACE");

	if (words && strcmp(words, "list") == 0)
		list();
	char *copy = words ? strdup(words) : NULL;
	for (char *word = copy; word && *word != '\0';) {
		char *next = strchr(word, ',');
		if (next)
			*next++ = '\0';
		arm(word);
		word = next;
	}
	free(copy);
	if (file)
		points.trace_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (file && points.trace_fd < 0)
		refuse(file);
}

/* ── passing ── */

static const struct arm *struck(const char *name)
{
	const struct arm *found = NULL;

	(void)pthread_mutex_lock(&points.lock);
	for (size_t i = 0; i < points.len; i++)
		if (strcmp(points.arms[i].name, name) == 0 && ++points.arms[i].passed == points.arms[i].nth)
			found = &points.arms[i];
	(void)pthread_mutex_unlock(&points.lock);
	return found;
}

void failpoint_enter(const struct failpoint *point, unsigned which)
{
	const struct timespec pause = {.tv_nsec = DELAY_MS * 1000000L};
	char name[NAME_MAX_LEN];

	(void)snprintf(name, sizeof(name), "%s%s%s", point->name, point->variant ? "." : "",
		       point->variant ? point->variant(which) : "");
	trace("passed %s %s\n", name, kinds[point->kind]);
	const struct arm *a = struck(name);
	if (!a)
		return;
	if (strcmp(a->action, "kill") == 0 || strcmp(a->action, "abort") == 0) {
		fired(a);
		(void)kill(getpid(), a->action[0] == 'k' ? SIGKILL : SIGABRT);
		for (;;)
			(void)sleep(1);
	}
	if (strcmp(a->action, "delay") == 0) {
		fired(a);
		(void)nanosleep(&pause, NULL);
		return;
	}
	due.arm = a;
	due.kind = point->kind;
	due.torn = false;
}

void failpoint_leave(void)
{
	int saved = errno;
	due.arm = NULL;
	errno = saved;
}

/* Whether a call of that kind must fail now; sets errno. */
static bool fails(enum failpoint_kind kind)
{
	if (!due.arm || due.kind != kind)
		return false;
	int error = due.torn ? ENOSPC : error_of(due.arm->action);
	if (error == 0)
		return false;
	fired(due.arm);
	due.arm = NULL;
	errno = error;
	return true;
}

/* How many of `len` bytes to write now. */
static size_t taken(size_t len)
{
	if (!due.arm || due.kind != FAILPOINT_WRITE || due.torn || len < 2)
		return len;
	due.torn = strcmp(due.arm->action, "torn") == 0;
	if (!due.torn) {
		fired(due.arm);
		due.arm = NULL;
	}
	return len / 2;
}

/* ── the calls; with 64-bit offsets the headers redirect some to a name that ends in 64 ── */

#define WRAP(kind, type, name, parameters, arguments)                                                                  \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		return fails(FAILPOINT_##kind) ? -1 : __real_##name arguments;                                         \
	}

WRAP(WRITE, ssize_t, write, (int fd, const void *data, size_t len), (fd, data, taken(len)))
WRAP(WRITE, ssize_t, pwrite64, (int fd, const void *data, size_t len, off_t at), (fd, data, taken(len), at))
WRAP(SYNC, int, fsync, (int fd), (fd))
WRAP(SYNC, int, fdatasync, (int fd), (fd))
WRAP(NAME, int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to))
WRAP(NAME, int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags))
WRAP(NAME, int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
     (from_fd, from, to_fd, to, flags))
WRAP(NAME, int, symlinkat, (const char *target, int dir_fd, const char *name), (target, dir_fd, name))
WRAP(NAME, int, unlinkat, (int fd, const char *name, int flags), (fd, name, flags))
WRAP(NAME, int, unlink, (const char *path), (path))
WRAP(NAME, int, rmdir, (const char *path), (path))
WRAP(NAME, int, mkdirat, (int fd, const char *name, mode_t mode), (fd, name, mode))
WRAP(NAME, int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(NAME, int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(NAME, int, fchmodat, (int fd, const char *name, mode_t mode, int flags), (fd, name, mode, flags))
WRAP(NAME, int, ftruncate64, (int fd, off_t len), (fd, len))
WRAP(NAME, int, fallocate64, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))
/* sluice has no pipes and is linked without nanomsg. */
#pragma weak __real_nn_send
#pragma weak __real_nn_bind
WRAP(SEND, int, nn_send, (int socket, const void *data, size_t len, int flags), (socket, data, len, flags))
WRAP(NAME, int, nn_bind, (int socket, const char *address), (socket, address))
WRAP(SEND, ssize_t, send, (int socket, const void *data, size_t len, int flags), (socket, data, len, flags))
WRAP(NAME, int, bind, (int socket, const struct sockaddr *address, socklen_t size), (socket, address, size))

int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, mode_t mode);
int __wrap_openat64(int fd, const char *name, int flags, mode_t mode)
{
	return (flags & O_CREAT) != 0 && fails(FAILPOINT_NAME) ? -1 : __real_openat64(fd, name, flags, mode);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	return request == FICLONE && fails(FAILPOINT_NAME) ? -1 : __real_ioctl(fd, request, argument);
}

ssize_t __real_writev(int fd, const struct iovec *pieces, int len);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int len);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int len)
{
	if (fails(FAILPOINT_WRITE))
		return -1;
	size_t first = taken(pieces[0].iov_len);
	return first < pieces[0].iov_len ? __real_write(fd, pieces[0].iov_base, first) : __real_writev(fd, pieces, len);
}
