/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/boot.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define UUID_LEN     36

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

int boot_id_read(const char *given, uint8_t ret_id[static BOOT_ID_SIZE])
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
