/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A different time of day for a program: LD_PRELOAD this, and WARP names a file of eight bytes, the signed number of
 * seconds to add to the wall clock. It may change at any time. The monotonic clock is not changed.
 */

/* System */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *wrong_by;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("WARP");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *page = mmap(NULL, sizeof(*wrong_by), PROT_READ, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED)
		wrong_by = page;
	(void)close(fd);
}

static time_t warped(time_t s)
{
	return s + (wrong_by ? (time_t)atomic_load(wrong_by) : 0);
}

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret_time);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret_time->tv_sec = warped(ret_time->tv_sec);
	return r;
}

int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
	struct timespec now;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -1;
	*ret_time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *ret_time)
{
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -1;
	if (ret_time)
		*ret_time = now.tv_sec;
	return now.tv_sec;
}
