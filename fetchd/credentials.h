/*
 * Passwords for registries, from the files that podman and docker keep (containers-auth.json(5)):
 * {"auths": {"HOST[:PORT]": {"auth": "base64 of user:password"}}}. Nothing is kept in memory between look-ups, and
 * nothing of it is ever logged. Credential helpers and tokens will be further sources here.
 */
#ifndef SLUICE_FETCHD_CREDENTIALS_H
#define SLUICE_FETCHD_CREDENTIALS_H

#include "common/base/buf.h"
#include "common/base/reason.h"

#define CREDENTIALS_FILE_MAX (1u << 20) /* bytes */
#define CREDENTIALS_MAX      8192       /* bytes of base64 */

/*
 * Find the credentials for `host` ("docker.io", "localhost:5000") in the text of one file, as the value of an
 * Authorization header ("Basic ..."), in `ret_value`. -ENOENT: it has none; -EINVAL with a reason: it is no such file,
 * or the entry is not base64. Pure.
 */
int credentials_parse(struct span text, const char *host, struct buf *ret_value, struct reason *why);

/*
 * The same from the first file that has the host: `auth_file` (may be NULL), $REGISTRY_AUTH_FILE,
 * $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json. Files that are not
 * there are passed over; one that cannot be read or understood is -errno with a reason that names it. Reads the disk.
 */
int credentials_find(const char *auth_file, const char *host, struct buf *ret_value, struct reason *why);

/* Overwrite and release: for buffers that held credentials. */
void credentials_wipe(struct buf *value);

#endif
