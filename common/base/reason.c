/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/reason.h"

/* System */
#include <stdio.h>
#include <string.h>

/* Base */
#include "common/base/escape.h"

void reason_set(struct reason *why, const char *format, ...)
{
	if (!why)
		return;
	/* By way of a buffer of our own, so that why->text may be among the arguments. */
	char text[2 * REASON_MAX];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (len < 0)
		text[0] = '\0';
	(void)escape_line(text, strlen(text), why->text, sizeof why->text);
}
