/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/logfile.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/fs.h"

#define HELD_BYTES (2u * 65536u) /* what a pipe holds, and more than the beginning of a line */

int logfile_begin(struct logfile *l, int file_fd)
{
	AUTO_FREE char *held = malloc(HELD_BYTES);
	int ends[2];

	if (!held)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*l = (struct logfile){.file_fd = file_fd, .in_fd = ends[0], .out_fd = ends[1], .held = take_ptr(held)};
	/* Not the other end, on which the stages may block: what they write is not lost. */
	return fcntl(l->in_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int load_end(int fd, uint64_t size, size_t max, struct buf *out)
{
	size_t len = 0;
	int r = buf_reserve(out, max);

	if (r == 0)
		r = file_pread_full(fd, out->data + out->len, max, size > max ? size - max : 0, &len);
	if (r < 0)
		return r;
	out->len += len;
	out->data[out->len] = '\0';
	return 0;
}

/* Replace the content of the file by its last lines. Nobody else writes to it meanwhile. */
static void shorten(const struct logfile *l, uint64_t size)
{
	AUTO_BUF end = BUF_INIT;

	if (load_end(l->file_fd, size, LOGFILE_KEEP, &end) < 0 || fs_ftruncate(l->file_fd, 0) < 0)
		return;
	const char *cut = strchr(end.data, '\n');
	size_t at = cut ? (size_t)(cut + 1 - end.data) : 0;
	(void)file_write_all(l->file_fd, end.data + at, end.len - at, NULL);
}

static void append(const struct logfile *l, size_t len, bool final)
{
	struct stat st;

	if (fstat(l->file_fd, &st) < 0)
		return;
	bool is_full = (uint64_t)st.st_size + (uint64_t)len > LOGFILE_MAX;
	if (is_full && final)
		return;
	if (is_full)
		shorten(l, (uint64_t)st.st_size);
	(void)file_write_all(l->file_fd, l->held, len, NULL);
}

/* How much of what is held ends with a line, or all of it if there is no room for more. */
static size_t whole_lines(const struct logfile *l)
{
	const char *newline = memrchr(l->held, '\n', l->held_len);

	if (newline)
		return (size_t)(newline + 1 - l->held);
	return l->held_len < HELD_BYTES ? 0 : l->held_len;
}

void logfile_take(struct logfile *l, bool final)
{
	if (l->in_fd < 0)
		return;
	ssize_t got = read(l->in_fd, l->held + l->held_len, HELD_BYTES - l->held_len);
	if (got <= 0)
		return;
	l->held_len += (size_t)got;
	size_t len = whole_lines(l);
	if (len == 0)
		return;
	append(l, len, final);
	l->held_len -= len;
	memmove(l->held, l->held + len, l->held_len);
}

void logfile_end(struct logfile *l)
{
	logfile_take(l, true);
	if (l->held_len > 0)
		append(l, l->held_len, true);
	l->in_fd = close_fd(l->in_fd);
	l->out_fd = close_fd(l->out_fd);
	free(l->held);
	l->held = NULL;
	l->held_len = 0;
}

int logfile_load(int dir_fd, const char *name, struct buf *out)
{
	AUTO_FD fd = -1;
	struct stat st;
	int r = file_open_at(dir_fd, name, O_RDONLY, 0, &fd, &st);

	return r < 0 ? r : load_end(fd, (uint64_t)st.st_size, LOGFILE_MAX, out);
}
