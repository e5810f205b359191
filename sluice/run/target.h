/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of the user's that files are put into, by paths that others have chosen (titles.h). A path is walked one
 * component at a time from the directory's descriptor, and never through a symbolic link: neither a path nor what is in the
 * directory leads out of it.
 *
 *   target_open(&t, path, layout, &why)      it exists
 *   target_check(&t, title, &why)            for all files, before the first is put
 *   target_enter(&t, title, &fd, &name, &why)  put the file there; and so on, those of one directory together
 *   target_leave(&t, &why)                   all names are durable
 *   target_release(&t)
 */
#ifndef SLUICE_SLUICE_RUN_TARGET_H
#define SLUICE_SLUICE_RUN_TARGET_H

/* System */
#include <stdbool.h>

/* OCI */
#include "common/store/layout.h"

/* Sluice */
#include "sluice/run/titles.h"

struct target {
	const char *path; /* as given; borrowed */
	int fd;           /* owned; -1: not open */
	bool is_made;     /* by target_open() */
	bool is_entered;  /* then `dir` is the directory, below this one, that files are being put into */
	int dir_fd;       /* owned; -1 unless it is entered, and another than this one */
	char dir[TITLE_MAX + 1];
};

/*
 * Open it, and create it if it does not exist, but not what is above. It must not be in the store. 0, or an exit code with a
 * reason: 64 it is in the store, 73 it cannot be created or is no directory. Release it in any case. Blocks in fsync.
 */
int target_open(struct target *t, const char *path, const struct layout *store, struct reason *why);

/*
 * Whether the path of a title (title_check()) is free, or a file or a link that can be replaced, and how many bytes on disk
 * that would free. Makes nothing. 0, or an exit code with a reason: 73 something is in the way.
 */
int target_check(const struct target *t, const char *title, uint64_t *ret_frees, struct reason *why);

/*
 * Make the directories of a title, and open the last: `ret_dir_fd`, borrowed until the next call. `ret_name` is the title's
 * last component. Leaves the directory of the title before, if it is another. As target_check(); blocks in fsync.
 */
int target_enter(struct target *t, const char *title, int *ret_dir_fd, const char **ret_name, struct reason *why);

/* The names of what was put into the entered directory are durable. 0, or an exit code with a reason. Blocks in fsync. */
int target_leave(struct target *t, struct reason *why);

/* If it was made, and has nothing in it, it goes again. */
void target_remove(struct target *t);
void target_release(struct target *t);

#endif
