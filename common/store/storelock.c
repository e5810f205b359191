/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/storelock.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/file.h"

static void file_cleanup(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

/*
 * Who holds a lock on the file, or 0: from lines like "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF". A sandbox may
 * hide them.
 */
static int holder_pid(const struct stat *st)
{
	CLEANUP(file_cleanup) FILE *f = fopen("/proc/locks", "re");
	char line[256];
	while (f && fgets(line, sizeof(line), f)) {
		int pid;
		unsigned dev_major, dev_minor;
		unsigned long long ino;
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &dev_major, &dev_minor, &ino) == 4 &&
		    ino == st->st_ino && makedev(dev_major, dev_minor) == st->st_dev && pid > 0)
			return pid;
	}
	return 0;
}

int storelock_take(const struct layout *l, int *ret_fd, struct reason *why)
{
	AUTO_FD fd = -1;
	struct stat st;
	int r = dir_open_at(layout_root_fd(l), LAYOUT_BLOBS, false, &fd);
	if (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = -errno;
	if (r == -EWOULDBLOCK) {
		int pid = fstat(fd, &st) == 0 ? holder_pid(&st) : 0;
		if (pid > 0)
			reason_set(why, "the store '%s' is already served by process %d", layout_path(l), pid);
		else
			reason_set(why, "the store '%s' is already served by another process", layout_path(l));
		return r;
	}
	if (r < 0) {
		reason_set(why, "cannot lock '%s/" LAYOUT_BLOBS "': %s", layout_path(l), strerror(-r));
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
