/*
 * Advisory locks (flock(2)) on small files that say who holds them and since when. The kernel drops the lock with its
 * last descriptor, so nobody who was killed holds one.
 */
#ifndef SLUICE_BASE_LOCK_H
#define SLUICE_BASE_LOCK_H

#include "common/base/reason.h"

enum lock_mode {
	LOCK_SHARED,
	LOCK_EXCLUSIVE,
};

/*
 * Open or make `name` in `dir_fd` and lock it without waiting; under an exclusive lock the file says
 * "program pid since time". The caller owns the descriptor; closing it unlocks.
 * -EWOULDBLOCK: held by another; `ret_holder` (may be NULL) is what the file says. A file that was unlinked while we
 * locked it is tried again, so a holder may unlink it before closing.
 */
int lock_take_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd,
		 struct reason *ret_holder);

/* The same, but wait for it. Blocks; not for an event loop. */
int lock_wait_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd);

#endif
