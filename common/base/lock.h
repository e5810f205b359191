/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advisory locks (flock(2)) on small files that say who holds them and since when. The kernel drops the lock with its
 * last descriptor, so a killed process never holds one.
 */
#ifndef SLUICE_BASE_LOCK_H
#define SLUICE_BASE_LOCK_H

#include <stdbool.h>

#include "common/base/reason.h"
#include "common/base/span.h"

#define LOCK_HOLDER_MAX 256 /* bytes of a file that says who holds a lock */

enum lock_mode {
	LOCK_SHARED,
	LOCK_EXCLUSIVE,
	LOCK_SERVE, /* exclusive, for a server: a concurrent lock_is_held_at() does not make it fail */
};

/*
 * Open or create `name` in `dir_fd` and lock it without waiting; unless the lock is shared, the file then says "program
 * pid since time". It is created with mode 0600: any user who can open a lock can take it. The caller owns the
 * descriptor; closing it unlocks. -EWOULDBLOCK: held by another; `ret_holder` (may be NULL) is what the file says.
 * -EOPNOTSUPP: the file system has no locks, or gives the same lock to two. If the file was unlinked while we locked
 * it, we try again, so a holder may unlink it before closing.
 */
int lock_take_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd,
		 struct reason *ret_holder);

/*
 * Whether locks work on the file system of `name`, a file that we may read, locked or not: shares its lock for an instant,
 * and tries to take it exclusively besides. 0; -EOPNOTSUPP: both succeeded, or the file system has no locks; or -errno.
 */
int lock_works_at(int dir_fd, const char *name);

/*
 * Whether `name` is locked exclusively; false if it does not exist or cannot be opened. Tries a shared lock for an
 * instant, so that concurrent callers do not see each other.
 */
bool lock_is_held_at(int dir_fd, const char *name);

/* Like lock_take_at(), but wait for the lock. Blocks; not for an event loop. */
int lock_wait_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd);

/* Lock the file that `fd` has open, without waiting, in place of the lock that it had. False: another holds it. */
bool lock_change(int fd, enum lock_mode mode);

/* Unlock it, and keep it open. */
void lock_drop(int fd);

/*
 * Lock one byte of the file that `fd` has open for writing, without waiting, until that open file is closed: a file has
 * many such locks, which do not concern each other. 0; -EAGAIN: another open file has it; or another -errno.
 */
int lock_byte(int fd, uint64_t at);

/* What such a file says about this process: one line. Returns its length. */
size_t lock_holder_format(const char *program, char ret_text[static LOCK_HOLDER_MAX]);

/* What it says about another: the first line of `content`, or "another process" if it has none. */
void lock_holder_parse(struct span content, struct reason *ret_holder);

#endif
