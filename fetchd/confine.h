/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fetchd restricts itself, with or without a service manager: it parses what strangers send, so whoever takes it
 * over should get no further. Best effort: a kernel that lacks something is told of at level info, and fetchd goes on.
 *
 *   confine_calls()   the keeper (auth/keeper.h) is there, which looks up credentials; no exec, no odd system calls
 *   confine_files()   only files of the system and of the configuration can be read, and none changed
 */
#ifndef SLUICE_FETCHD_CONFINE_H
#define SLUICE_FETCHD_CONFINE_H

#include "common/base/program.h"
#include "fetchd/auth/keeper.h"
#include "fetchd/config/settings.h"

/*
 * Before there are threads, an event loop or locks. 0; or an exit code after a line that says why. The call is
 * borrowed.
 */
int confine_calls(const struct call *call, struct keeper **ret_keeper);

/*
 * After the last file that is made, before the first connection, and before there are threads. What can be read
 * afterwards: /etc and /usr, what names and certificates need elsewhere, and of the configuration the directories of
 * its files, so that those can be replaced and new ones come. A directory that holds others, or that others can write
 * in, is not its own: there only the files are.
 */
void confine_files(const struct settings *s);

#endif
