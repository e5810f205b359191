/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever takes over fetchd while it talks to a server. LD_PRELOAD this, with INTRUDER_ACTS=FILE, whose lines are "VERB
 * PATH", and INTRUDER_REPORT=FILE, which gets "VERB PATH ERRNO" for each when fetchd first connects to one, and "end".
 * 0: it could be done.
 */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char acts[16384];
static int report_fd = -1;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("INTRUDER_ACTS"), *report = getenv("INTRUDER_REPORT");
	if (!path || !report || strcmp(program_invocation_short_name, "fetchd") != 0)
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, acts, sizeof(acts) - 1) > 0)
		report_fd = open(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	(void)close(fd);
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	(void)close(fd);
	return 0;
}

static int executed(const char *path)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		(void)execl(path, path, (char *)NULL);
		_exit(errno);
	}
	return pid < 0 || waitpid(pid, &status, 0) < 0 ? errno : WEXITSTATUS(status);
}

static int connected(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = syscall(SYS_connect, fd, &to, sizeof(to)) < 0 ? errno : 0;
	(void)close(fd);
	return error;
}

static int signalled(const char *number)
{
	pid_t pid = 0;
	if (sscanf(number, "%d", &pid) != 1 || pid <= 0)
		return EINVAL;
	return kill(pid, 0) < 0 ? errno : 0;
}

/* A namespace: in that of users one may do much that is forbidden here. "user3": by clone3(2). */
static int cloned(const char *kind)
{
	struct {
		uint64_t flags, others[3], exit_signal, more[3];
	} wanted = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	unsigned long flag = strcmp(kind, "mount") == 0 ? CLONE_NEWNS : CLONE_NEWUSER;
	long pid = strcmp(kind, "user3") == 0 ? syscall(SYS_clone3, &wanted, sizeof(wanted))
					      : syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid((pid_t)pid, NULL, 0) < 0 ? errno : 0;
}

/* What is typed into a terminal is executed by the shell in it. */
static int typed(const char *text)
{
	return ioctl(STDERR_FILENO, TIOCSTI, text) < 0 ? errno : 0;
}

/* Of a file that was opened for reading. */
static int changed_open(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 || fstat(fd, &st) < 0 || fchmod(fd, st.st_mode & 07777) < 0 ? errno : 0;
	(void)close(fd);
	return error;
}

static int changed(const char *verb, const char *path)
{
	struct stat st;
	int r = stat(path, &st);
	if (r == 0)
		r = strcmp(verb, "truncate") == 0 ? truncate(path, st.st_size)
		    : strcmp(verb, "chmod") == 0  ? chmod(path, st.st_mode & 07777)
		    : strcmp(verb, "chown") == 0  ? chown(path, (uid_t)-1, st.st_gid)
		    : strcmp(verb, "touch") == 0  ? utimensat(AT_FDCWD, path, NULL, 0)
						  : setxattr(path, "user.intruder", "x", 1, 0);
	return r < 0 ? errno : 0;
}

static int done(const char *verb, const char *path)
{
	if (strcmp(verb, "read") == 0)
		return opened(path, O_RDONLY);
	if (strcmp(verb, "list") == 0)
		return opened(path, O_RDONLY | O_DIRECTORY);
	if (strcmp(verb, "write") == 0)
		return opened(path, O_WRONLY);
	if (strcmp(verb, "make") == 0)
		return opened(path, O_WRONLY | O_CREAT | O_EXCL);
	if (strcmp(verb, "execute") == 0)
		return executed(path);
	if (strcmp(verb, "connect") == 0)
		return connected(path);
	if (strcmp(verb, "signal") == 0)
		return signalled(path);
	if (strcmp(verb, "clone") == 0)
		return cloned(path);
	if (strcmp(verb, "type") == 0)
		return typed(path);
	if (strcmp(verb, "chmod-open") == 0)
		return changed_open(path);
	static const char *const changes[] = {"truncate", "chmod", "chown", "touch", "xattr"};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (strcmp(verb, changes[i]) == 0)
			return changed(verb, path);
	int r = strcmp(verb, "mkdir") == 0    ? mkdir(path, 0700)
		: strcmp(verb, "remove") == 0 ? unlink(path)
					      : symlink("/etc", path);
	return r < 0 ? errno : 0;
}

static void act(void)
{
	char *rest = acts, *line;
	while ((line = strsep(&rest, "\n"))) {
		char verb[16];
		int len = 0;
		if (sscanf(line, "%15s %n", verb, &len) == 1)
			(void)dprintf(report_fd, "%s %s %d\n", verb, line + len, done(verb, line + len));
	}
	(void)dprintf(report_fd, "end\n");
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	if (report_fd >= 0 && to->sa_family == AF_INET) {
		act();
		(void)close(report_fd);
		report_fd = -1;
	}
	return (int)syscall(SYS_connect, fd, to, len);
}
