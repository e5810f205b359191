/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seconds since 1970 as text: RFC 3339 in UTC, as in `started`.
 */
#ifndef SLUICE_BASE_DATE_H
#define SLUICE_BASE_DATE_H

#include <stdint.h>

#define DATE_TEXT_SIZE 21 /* "2026-01-31T12:34:56Z" and its terminator */

/* Times after the year 9999 are shown as its last second. */
void date_format(uint64_t wall_s, char ret_text[static DATE_TEXT_SIZE]);

/* The reverse, exactly that form. 0 or -EINVAL. */
int date_parse(const char *text, uint64_t *ret_wall_s);

#endif
