/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"

/* System */
#include <time.h>

#define US_PER_S UINT64_C(1000000)

uint64_t clock_mono_us(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

uint64_t clock_boot_s(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

uint64_t clock_wall_s(void)
{
	time_t now = time(NULL);
	return now > 0 ? (uint64_t)now : 0;
}

void clock_pause(unsigned ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	(void)nanosleep(&pause, NULL);
}
