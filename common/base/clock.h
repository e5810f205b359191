/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Durations use the monotonic clock in milliseconds; what people see uses the wall clock.
 *
 * A seam: another implementation can take the place of clock.c when a program is linked.
 */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds on the monotonic clock, or microseconds. Never fails, never blocks. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);

/* Seconds since the machine was booted, also those in which it slept. */
uint64_t clock_boot_s(void);

/* Seconds since 1970 on the wall clock. */
uint64_t clock_wall_s(void);

/* Sleep for so long, or until a signal arrives. Never on an event loop. */
void clock_pause(unsigned ms);

#endif
