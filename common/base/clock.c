/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"

/* System */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define UUID_LEN     36
#define YEAR_9999    253402300799u /* the last second that CLOCK_TEXT_SIZE has room for */

static _Atomic uint64_t fake_ms = UINT64_MAX;

uint64_t clock_mono_ms(void)
{
	uint64_t fake = atomic_load_explicit(&fake_ms, memory_order_relaxed);
	if (fake != UINT64_MAX)
		return fake;
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void clock_fake_mono_ms(uint64_t now_ms)
{
	atomic_store(&fake_ms, now_ms);
}

uint64_t clock_wall_s(void)
{
	time_t now = time(NULL);
	return now > 0 ? (uint64_t)now : 0;
}

void clock_format(uint64_t wall_s, char ret_text[static CLOCK_TEXT_SIZE])
{
	time_t t = (time_t)(wall_s < YEAR_9999 ? wall_s : YEAR_9999);
	struct tm tm;
	(void)gmtime_r(&t, &tm);
	(void)strftime(ret_text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int digits_at(const char *text, size_t at, size_t len)
{
	int value = 0;
	for (size_t i = at; i < at + len; i++)
		value = value * 10 + (text[i] - '0');
	return value;
}

int clock_parse(const char *text, uint64_t *ret_wall_s)
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
	char again[CLOCK_TEXT_SIZE];
	clock_format((uint64_t)t, again);
	if (strcmp(again, text) != 0)
		return -EINVAL;
	*ret_wall_s = (uint64_t)t;
	return 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int uuid_parse(const char *text, uint8_t ret_id[static BOOT_ID_SIZE])
{
	bool dashes = strlen(text) == UUID_LEN;
	if (!dashes && strlen(text) != (size_t)2 * BOOT_ID_SIZE)
		return -EINVAL;
	uint8_t id[BOOT_ID_SIZE];
	for (size_t i = 0; i < BOOT_ID_SIZE; i++) {
		if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return -EINVAL;
		int high = nibble(text[0]), low = high < 0 ? -1 : nibble(text[1]);
		if (low < 0)
			return -EINVAL;
		id[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	memcpy(ret_id, id, sizeof id);
	return 0;
}

int clock_boot_id(const char *given, uint8_t ret_id[static BOOT_ID_SIZE])
{
	if (given && given[0] != '\0')
		return uuid_parse(given, ret_id);
	AUTO_FD fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	char text[UUID_LEN + 1];
	size_t len;
	int r = file_read_full(fd, text, UUID_LEN, &len);
	if (r < 0)
		return r;
	text[len] = '\0';
	return uuid_parse(text, ret_id);
}
