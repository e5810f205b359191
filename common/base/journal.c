/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/journal.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/escape.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define FIELD_EXTRA    3 /* bytes of a field besides name and value: "=", the newline, a terminator while writing */

void journal_add(struct journal_entry *e, const char *name, const char *value)
{
	size_t name_len = strlen(name), room = sizeof(e->text) - e->len;

	if (name_len + FIELD_EXTRA > room)
		return;
	char *at = e->text + e->len;
	size_t len = (size_t)snprintf(at, room, "%s=", name);
	len += escape_line(value, strlen(value), at + len, room - len - 1);
	at[len++] = '\n';
	e->len += len;
}

int journal_send(const struct journal_entry *e)
{
	static const struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};

	AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ssize_t n = sendto(fd, e->text, e->len, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&a, sizeof(a));
	return n < 0 ? -errno : 0;
}

/* The variable is inherited by children whose stderr is something else, so it names the stream: "device:inode". */
bool journal_has_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	uint64_t dev, ino;

	return stream && fstat(STDERR_FILENO, &st) == 0 && sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
	       dev == st.st_dev && ino == st.st_ino;
}
