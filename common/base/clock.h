/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Durations use the monotonic clock in milliseconds; what people see uses the wall clock.
 */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_TEXT_SIZE 21 /* "2026-01-31T12:34:56Z" and its terminator */
#define BOOT_ID_SIZE    16 /* bytes; a UUID */

/* Milliseconds on the monotonic clock. Never fails, never blocks. */
uint64_t clock_mono_ms(void);

/* Tests: from now on clock_mono_ms() answers `now_ms`; UINT64_MAX gives the real clock back. */
void clock_fake_mono_ms(uint64_t now_ms);

/* Seconds since 1970 on the wall clock. */
uint64_t clock_wall_s(void);

/* RFC 3339 in UTC with seconds, as in `started`. */
void clock_format(uint64_t wall_s, char ret_text[static CLOCK_TEXT_SIZE]);

/* The reverse, exactly that form. 0 or -EINVAL. */
int clock_parse(const char *text, uint64_t *ret_wall_s);

/*
 * The id of this boot: from `given` (systemd's %b, 32 hex digits, or a UUID with dashes) unless that is NULL or empty,
 * else from /proc/sys/kernel/random/boot_id. 0, -EINVAL when `given` is neither form, or -errno.
 */
int clock_boot_id(const char *given, uint8_t ret_id[static BOOT_ID_SIZE]);

#endif
