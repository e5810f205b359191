/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program sets up for itself, and the directory that the programs of a set meet in.
 */
#ifndef SLUICE_BASE_PROCESS_H
#define SLUICE_BASE_PROCESS_H

#include "common/base/reason.h"

/*
 * What every program of ours does first: malloc settings that keep large messages out of mmap and all threads in one
 * arena, SIGPIPE and SIGXFSZ ignored, descriptors 0 to 2 open, logging under `program`. The umask is the user's, but for
 * two things: what we make we can use ourselves, and other users never write to it.
 */
void process_init(const char *program);

/*
 * Open the runtime directory, making it with mode 0750 if it is not there (parents must exist). Refused: a path that is
 * too long for a socket in it (-ENAMETOOLONG), a directory of another user than us or root, or one that others may
 * write in (-EPERM).
 */
int runtime_dir_make(const char *path, int *ret_fd, struct reason *why);

/*
 * The longest path of a runtime directory: sun_path is 107 characters, and the longest name below it
 * (common/wire/stage.c) has room behind it.
 */
#define RUNTIME_DIR_MAX 92

#endif
