/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries in auth.json, in podman's form and place (containers-auth.json(5)): the file is replaced in one step, with mode
 * 0600, and whatever else is in it stays. Who changes it holds a lock beside it, `.auth.json.lock` for that name.
 */
#ifndef SLUICE_SLUICE_RUN_AUTHFILE_H
#define SLUICE_SLUICE_RUN_AUTHFILE_H

/* System */
#include <limits.h>

/* Base */
#include "common/base/reason.h"

/*
 * Where credentials are written: `given` if it is not NULL, $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, or
 * /run/containers/UID/auth.json. 0, or an exit code with a reason.
 */
int authfile_place(const char *given, char ret_path[static PATH_MAX], struct reason *why);

/*
 * Set the entry of `host` to `auth` (base64 of user:password), or remove it if that is NULL; the caller has checked the
 * texts. Directories are created as needed. 0, or an exit code with a reason that names the file: 66 there is no such
 * entry to remove; 73 it is not a regular file of ours; 78 it cannot be parsed, or a helper keeps the credentials of
 * `host`.
 */
int authfile_change(const char *path, const char *host, const char *auth, struct reason *why);

#endif
