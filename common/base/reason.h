/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for a person, filled in by whoever refuses something: what it was about and what is wrong with it. Libraries
 * never log; they hand back a verdict or -errno and, where a number cannot say it all, a reason.
 */
#ifndef SLUICE_BASE_REASON_H
#define SLUICE_BASE_REASON_H

#include <stdarg.h>

#define REASON_MAX 512 /* bytes, the terminator included; longer lines are cut */

struct reason {
	char text[REASON_MAX]; /* lower case, no full stop, always terminated */
};

/*
 * Replace the text; `why->text` may be among the arguments. Control bytes become \xNN (escape.h). `why` may be NULL:
 * then nothing happens, so that callers who do not care can say so.
 */
void reason_set(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
