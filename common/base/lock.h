/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advisory locks (flock(2)) on small files that say who holds them and since when. The kernel drops the lock with its
 * last descriptor, so nobody who was killed holds one.
 */
#ifndef SLUICE_BASE_LOCK_H
#define SLUICE_BASE_LOCK_H

#include <stdbool.h>

#include "common/base/reason.h"

enum lock_mode {
	LOCK_SHARED,
	LOCK_EXCLUSIVE,
	LOCK_SERVE, /* exclusive, for one that serves: those who only look (lock_is_held_at) do not put it off */
};

/*
 * Open or make `name` in `dir_fd` and lock it without waiting; under a lock that is not shared the file says
 * "program pid since time". It is made with mode 0600: whoever may open a lock may take it. The caller owns the
 * descriptor; closing it unlocks. -EWOULDBLOCK: held by another; `ret_holder` (may be NULL) is what the file says. A
 * file that was unlinked while we locked it is tried again, so a holder may unlink it before closing.
 */
int lock_take_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd,
		 struct reason *ret_holder);

/*
 * Whether somebody holds `name` and does not share it; false where it is not there or may not be looked at. The lock is
 * tried for an instant, shared, so that two who look do not see each other.
 */
bool lock_is_held_at(int dir_fd, const char *name);

/* Like lock_take_at(), but wait for it. Blocks; not for an event loop. */
int lock_wait_at(int dir_fd, const char *name, enum lock_mode mode, const char *program, int *ret_fd);

#endif
