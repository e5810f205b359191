/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/notify.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/escape.h"
#include "common/base/opt.h"

#define STATUS "STATUS="

/* The address that `path` names: a file, or with "@" before it one in the abstract namespace. 0 or -EINVAL. */
static int address_of(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_len)
{
	size_t len = strlen(path);
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(a.sun_path))
		return -EINVAL;
	memcpy(a.sun_path, path, len);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	*ret_address = a;
	/* An abstract name is as long as the address says; a path ends where it ends. */
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '@' ? 0 : 1));
	return 0;
}

int notify_send(const char *assignments)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t address_len;

	if (!path || path[0] == '\0')
		return 0;
	int r = address_of(path, &address, &address_len);
	if (r < 0)
		return r;
	AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ssize_t n = sendto(fd, assignments, strlen(assignments), MSG_NOSIGNAL | MSG_DONTWAIT,
			   (const struct sockaddr *)&address, address_len);
	return n < 0 ? -errno : 0;
}

int notify_reloading(void)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_us());
	return notify_send(text);
}

int notify_status(const char *format, ...)
{
	char text[NOTIFY_STATUS_MAX], line[sizeof(STATUS) + NOTIFY_STATUS_MAX] = STATUS;
	va_list args;

	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		return -EINVAL;
	(void)escape_line(text, strlen(text), line + strlen(STATUS), sizeof(line) - strlen(STATUS));
	return notify_send(line);
}

uint64_t notify_watchdog_us(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t value;

	if (!usec || opt_parse_number(OPT_COUNT, usec, &value) < 0)
		return 0;
	uint64_t wanted_us = value;
	/* Children would inherit the variables, but they are not for them. */
	if (pid && (opt_parse_number(OPT_COUNT, pid, &value) < 0 || value != (uint64_t)getpid()))
		return 0;
	return wanted_us;
}
