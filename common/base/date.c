/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/date.h"

/* System */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define YEAR_9999 253402300799u /* the last second that DATE_TEXT_SIZE has room for */

void date_format(uint64_t wall_s, char ret_text[static DATE_TEXT_SIZE])
{
	time_t t = (time_t)(wall_s < YEAR_9999 ? wall_s : YEAR_9999);
	struct tm tm;
	(void)gmtime_r(&t, &tm);
	(void)strftime(ret_text, DATE_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int digits_at(const char *text, size_t at, size_t len)
{
	int value = 0;
	for (size_t i = at; i < at + len; i++)
		value = value * 10 + (text[i] - '0');
	return value;
}

int date_parse(const char *text, uint64_t *ret_wall_s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
	if (strlen(text) != sizeof form - 1)
		return -EINVAL;
	for (size_t i = 0; form[i] != '\0'; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
			return -EINVAL;
	struct tm tm = {
	    .tm_year = digits_at(text, 0, 4) - 1900,
	    .tm_mon = digits_at(text, 5, 2) - 1,
	    .tm_mday = digits_at(text, 8, 2),
	    .tm_hour = digits_at(text, 11, 2),
	    .tm_min = digits_at(text, 14, 2),
	    .tm_sec = digits_at(text, 17, 2),
	};
	time_t t = timegm(&tm);
	if (t < 0)
		return -EINVAL;
	/* timegm() turns 31 February into 3 March: a date is valid only if it survives the round trip. */
	char again[DATE_TEXT_SIZE];
	date_format((uint64_t)t, again);
	if (strcmp(again, text) != 0)
		return -EINVAL;
	*ret_wall_s = (uint64_t)t;
	return 0;
}
