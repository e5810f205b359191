/* SPDX-License-Identifier: Apache-2.0 */
/* A file system whose locks lie, for the whole program that includes this: flock(2) as the test says. */
#ifndef SLUICE_TEST_UNIT_FLOCK_H
#define SLUICE_TEST_UNIT_FLOCK_H

#include <errno.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool flock_lies; /* it succeeds and does nothing, as on some network file systems */
static int flock_error; /* or it fails, as on others; 0: it works */

/* In place of the C library's. */
int flock(int fd, int operation)
{
	if (flock_error) {
		errno = flock_error;
		return -1;
	}
	return flock_lies ? 0 : (int)syscall(SYS_flock, fd, operation);
}

#endif
