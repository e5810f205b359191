/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mount.h"

/* System */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A line: "36 35 98:0 /root /mount rw,noatime master:1 - ext4 /dev/root rw". */
static bool take_line(const char *line, dev_t device, char ret_type[static MOUNT_TYPE_SIZE])
{
	unsigned first, second;
	const char *mark = strstr(line, " - ");
	return mark && sscanf(line, "%*s %*s %u:%u", &first, &second) == 2 && makedev(first, second) == device &&
	       sscanf(mark + 3, "%32s", ret_type) == 1;
}

void mount_type(int fd, char ret_type[static MOUNT_TYPE_SIZE])
{
	struct stat st;
	char *line = NULL;
	size_t room = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	(void)snprintf(ret_type, MOUNT_TYPE_SIZE, "?");
	bool found = !f || fstat(fd, &st) < 0;
	while (!found && getline(&line, &room, f) >= 0)
		found = take_line(line, st.st_dev, ret_type);
	free(line);
	if (f)
		(void)fclose(f);
}
