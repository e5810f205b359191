/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Untrusted text as one harmless line: control characters, invalid UTF-8, and characters that are invisible or change
 * the writing direction become \xNN.
 */
#ifndef SLUICE_BASE_ESCAPE_H
#define SLUICE_BASE_ESCAPE_H

#include <stddef.h>

/*
 * Write `text` to `ret_line` (`room` bytes, 1 or more, terminator included), escaped, and cut before the first
 * character that does not fit. Returns the length. Escaping twice changes nothing. The two do not overlap.
 */
size_t escape_line(const char *text, size_t len, char *ret_line, size_t room);

#endif
