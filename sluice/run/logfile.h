/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of the background supervisor and its stages, a file of bounded size. The stages write into a pipe, from which
 * the supervisor copies to the file; when that is full, its older part goes. So neither a stage that writes without end
 * nor a long run fills the file system, and the last lines, which say why something failed, are there.
 */
#ifndef SLUICE_SLUICE_RUN_LOGFILE_H
#define SLUICE_SLUICE_RUN_LOGFILE_H

#include <stdbool.h>

#include "common/base/buf.h"

#define LOGFILE_MAX  (1u << 20) /* bytes */
#define LOGFILE_KEEP (1u << 18) /* of them stay when it is full, from the end */

struct logfile {
	int file_fd;       /* borrowed; open for reading and appending */
	int in_fd, out_fd; /* owned: the ends of the pipe; -1: there is none */
	char *held;        /* owned: the beginning of a line whose end has not been taken yet */
	size_t held_len;
};

/* Make the pipe. 0 or -errno. */
int logfile_begin(struct logfile *l, int file_fd);

/*
 * Copy what is in the pipe, without waiting for more, up to the end of the last whole line. With `final` the file only grows
 * up to its limit, and what does not fit is dropped. Failures are ignored.
 */
void logfile_take(struct logfile *l, bool final);

/* Copy the rest, and close the pipe. */
void logfile_end(struct logfile *l);

/* Append the end of such a file to `out`, at most LOGFILE_MAX bytes. 0 or -errno. */
int logfile_load(int dir_fd, const char *name, struct buf *out);

#endif
