/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for people that explains a refusal: what it is about and what is wrong with it. Libraries never log; they
 * return a verdict or -errno and, if a number cannot say it all, a reason.
 */
#ifndef SLUICE_BASE_REASON_H
#define SLUICE_BASE_REASON_H

#include <stdarg.h>

#define REASON_MAX 512 /* bytes, the terminator included; longer lines are cut */

struct reason {
	char text[REASON_MAX]; /* lower case, no full stop, always terminated */
};

/*
 * Replace the text; `why->text` may be among the arguments. Control characters become \xNN (escape.h). Does nothing if
 * `why` is NULL.
 */
void reason_set(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
