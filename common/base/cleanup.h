/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership in locals: a variable marked AUTO_x releases what it owns when it goes out of scope; handing it over is
 * visible as take_fd() or take_ptr().
 */
#ifndef SLUICE_BASE_CLEANUP_H
#define SLUICE_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(f) __attribute__((cleanup(f)))

/* Close `fd` unless it is negative, leaving errno alone. Returns -1, for `fd = close_fd(fd)`. */
static inline int close_fd(int fd)
{
	if (fd >= 0) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_fd(int *fd)
{
	(void)close_fd(*fd);
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_dir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

#define AUTO_FD   CLEANUP(cleanup_fd) int
#define AUTO_FREE CLEANUP(cleanup_free)
#define AUTO_DIR  CLEANUP(cleanup_dir) DIR *

/* Hand over a descriptor: the caller owns it, the variable no longer does. */
static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

/* The same for memory: returns the pointer and sets the variable to NULL. */
#define take_ptr(pointer)                                                                                              \
	__extension__({                                                                                                \
		__typeof__(pointer) taken_ptr_ = (pointer);                                                            \
		(pointer) = NULL;                                                                                      \
		taken_ptr_;                                                                                            \
	})

#endif
