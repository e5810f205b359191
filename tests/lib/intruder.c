/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever takes over fetchd while it talks to a server. LD_PRELOAD this, with INTRUDER_ACTS=FILE, whose lines are "VERB
 * PATH", and INTRUDER_REPORT=FILE, which gets "VERB PATH ERRNO" for each when fetchd first connects to one, and "end".
 * 0: it could be done.
 */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
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
