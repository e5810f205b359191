/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program sets up for itself, and the directory of the sockets.
 */
#ifndef SLUICE_BASE_PROCESS_H
#define SLUICE_BASE_PROCESS_H

#include <stdbool.h>

#include "common/base/reason.h"

/*
 * What every program does first: malloc settings that keep large messages out of mmap and all threads in one arena;
 * SIGPIPE and SIGXFSZ ignored; descriptors 0 to 2 open; logging under `program`. The umask is the user's, except that
 * we can always use what we create, and other users can never write to it.
 */
void process_init(const char *program);

/* Whether stdout was open when the program started. If not, writing to it fails with EBADF. */
bool process_has_stdout(void);

/*
 * From now on no core file of this process is written, and no other process of the same user can read its memory or
 * trace it. 0 or -errno.
 */
int process_hide(void);

/*
 * Open the runtime directory, and create it with mode 0750 if it does not exist (its parent must). Refused: a path that
 * is too long for a socket in it (-ENAMETOOLONG), a directory that belongs to a user other than us or root, or one that
 * others may write in (-EPERM).
 */
int runtime_dir_make(const char *path, int *ret_fd, struct reason *why);

/*
 * The longest path of a runtime directory: sun_path holds 107 characters, and the longest name below the directory
 * (common/wire/stage.c) must still fit.
 */
#define RUNTIME_DIR_MAX 92

#endif
