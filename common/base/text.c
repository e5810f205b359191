/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/text.h"

/* System */
#include <errno.h>
#include <stdio.h>

#define UNIT_STEP 1024.0

static void format_size(uint64_t bytes, const char *space, char *ret_text, size_t room)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / UNIT_STEP;
	unsigned unit = 0;

	if (bytes < 1024) {
		(void)snprintf(ret_text, room, "%u%sB", (unsigned)bytes, space);
		return;
	}
	/* A value that would be written as 1024 is 1.0 of the next unit. */
	while (value >= UNIT_STEP - 0.5) {
		value /= UNIT_STEP;
		unit++;
	}
	(void)snprintf(ret_text, room, value < 99.95 ? "%.1f%s%ciB" : "%.0f%s%ciB", value, space, units[unit]);
}

void text_size(uint64_t bytes, char ret_text[static TEXT_SIZE_ROOM])
{
	format_size(bytes, "", ret_text, TEXT_SIZE_ROOM);
}

void text_size_prose(uint64_t bytes, char ret_text[static TEXT_PROSE_ROOM])
{
	format_size(bytes, " ", ret_text, TEXT_PROSE_ROOM);
}

int text_number(struct span text, uint64_t max, uint64_t *ret_number)
{
	uint64_t n = 0;

	if (text.len < 1)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)text.data[i] - '0';
		if (digit > 9 || n > (max - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*ret_number = n;
	return 0;
}

bool text_is_visible(const char *text, size_t max)
{
	size_t len = 0;

	while (text[len] > ' ' && text[len] <= '~')
		len++;
	return len > 0 && len <= max && text[len] == '\0';
}
