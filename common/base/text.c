#include "common/base/text.h"

/* System */
#include <stdio.h>

#define UNIT_STEP 1024.0

void text_size(uint64_t bytes, char ret_text[static TEXT_SIZE_ROOM])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / UNIT_STEP;
	unsigned unit = 0;

	if (bytes < 1024) {
		(void)snprintf(ret_text, TEXT_SIZE_ROOM, "%uB", (unsigned)bytes);
		return;
	}
	/* A value that would be written as 1024 is 1.0 of the next unit. */
	while (value >= UNIT_STEP - 0.5) {
		value /= UNIT_STEP;
		unit++;
	}
	(void)snprintf(ret_text, TEXT_SIZE_ROOM, value < 99.95 ? "%.1f%ciB" : "%.0f%ciB", value, units[unit]);
}
