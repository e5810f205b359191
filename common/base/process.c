/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/process.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/failpoint.h"
#include "common/base/fs.h"
#include "common/base/log.h"

/*
 * Otherwise the next file to be opened could become stderr. To read from a closed stdin or to write to a closed stdout
 * stays an error: nothing may count as read or written. A closed stderr only makes us silent.
 */
static void hold_closed(void)
{
	static const int flags[] = {[STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDWR};

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", flags[fd]); /* takes the lowest that is free: `fd` */
}

bool process_has_stdout(void)
{
	return (fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) != O_RDONLY;
}

void process_init(const char *program)
{
	/*
	 * Large messages come and go thousands of times a second: through mmap, page faults would cost more than the
	 * whole pipeline. 32 MiB is the most that glibc takes for the threshold; beyond it, it refuses.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)mallopt(M_TOP_PAD, 1 << 20);
	(void)mallopt(M_ARENA_MAX, 1);
	hold_closed();
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a write past RLIMIT_FSIZE is an error (EFBIG) like any other */
	(void)umask((umask(0) & 077) | S_IWOTH);
	log_init(program);
}

/* Either is enough against a core file of our own; the limit also holds for what we start. */
int process_hide(void)
{
	static const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int runtime_dir_make(const char *path, int *ret_fd, struct reason *why)
{
	if (strlen(path) > RUNTIME_DIR_MAX) {
		reason_set(
		    why, "the runtime directory '%s' is longer than %d bytes, too long for the path of a socket in it",
		    path, RUNTIME_DIR_MAX);
		return -ENAMETOOLONG;
	}
	if (FAILPOINT(NAME, "runtime.make", fs_mkdir(path, 0750)) < 0 && errno != EEXIST) {
		int r = -errno;
		reason_set(why, "cannot create the runtime directory '%s': %s", path, strerror(-r));
		return r;
	}
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;
		reason_set(why, "cannot open the runtime directory '%s': %s", path, strerror(-r));
		return r;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		reason_set(why, "the runtime directory '%s' belongs to user %u", path, (unsigned)st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		reason_set(why, "others can write in the runtime directory '%s' (mode %04o)", path,
			   (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
