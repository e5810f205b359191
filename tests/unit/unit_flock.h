/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces flock(2) in the whole program that includes this, for file systems whose locks do not work. */
#ifndef SLUICE_TEST_UNIT_FLOCK_H
#define SLUICE_TEST_UNIT_FLOCK_H

#include <errno.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool flock_lies; /* succeed and do nothing, as on some network file systems */
static int flock_error; /* or fail, as on others; 0: work */
static int flock_tells; /* a descriptor that gets a byte before each call; 0: none */

/* Replaces the C library's function. */
int flock(int fd, int operation)
{
	if (flock_tells > 0)
		(void)!write(flock_tells, "", 1);
	if (flock_error) {
		errno = flock_error;
		return -1;
	}
	return flock_lies ? 0 : (int)syscall(SYS_flock, fd, operation);
}

#endif
