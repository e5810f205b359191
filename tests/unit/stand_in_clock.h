/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that the test sets, linked in place of common/base/clock.c. Until it is set it is the machine's clock; then
 * time passes only when the test says so, and in a pause. Include it in one file of a program.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_CLOCK_H
#define SLUICE_TESTS_UNIT_STAND_IN_CLOCK_H

/* System */
#include <stdatomic.h>
#include <time.h>

/* Own */
#include "tests/unit/unit.h"

/* What it stands in for */
#include "common/base/clock.h"

#define STAND_IN_WALL_S UINT64_C(1700000000) /* wall clock at monotonic time 0 */

static _Atomic uint64_t stand_in_clock_ms = UINT64_MAX; /* the machine's */

/* Set the time to `now_ms`. */
static inline void stand_in_clock_set(uint64_t now_ms)
{
	atomic_store(&stand_in_clock_ms, now_ms);
}

/* Return to the machine's clock. */
static inline void stand_in_clock_release(void)
{
	stand_in_clock_set(UINT64_MAX);
}

static inline uint64_t stand_in_clock_real_us(clockid_t clock)
{
	struct timespec ts;
	assert_int_equal(clock_gettime(clock, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
	uint64_t now_ms = atomic_load(&stand_in_clock_ms);
	return now_ms != UINT64_MAX ? now_ms * 1000 : stand_in_clock_real_us(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

uint64_t clock_boot_s(void)
{
	uint64_t now_ms = atomic_load(&stand_in_clock_ms);
	return now_ms != UINT64_MAX ? now_ms / 1000 : stand_in_clock_real_us(CLOCK_BOOTTIME) / 1000000;
}

uint64_t clock_wall_s(void)
{
	uint64_t now_ms = atomic_load(&stand_in_clock_ms);
	return now_ms != UINT64_MAX ? STAND_IN_WALL_S + now_ms / 1000
				    : stand_in_clock_real_us(CLOCK_REALTIME) / 1000000;
}

void clock_pause(unsigned ms)
{
	uint64_t now_ms = atomic_load(&stand_in_clock_ms);
	assert_true(now_ms != UINT64_MAX); /* nothing sleeps here */
	stand_in_clock_set(now_ms + ms);
}

#endif
