/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for registries, from the files of podman and docker (containers-auth.json(5), docker's config.json):
 *
 *   {"auths": {"HOST[:PORT][/NAMESPACE[/NAME]]": {"auth": "base64 of user:password", "identitytoken": "..."}},
 *    "credHelpers": {"HOST": "NAME of docker-credential-NAME"}, "credsStore": "the same, for all other hosts"}
 *
 * The longest matching key counts. Nothing is kept in memory between look-ups, and nothing is ever logged.
 */
#ifndef SLUICE_OCI_CREDENTIALS_H
#define SLUICE_OCI_CREDENTIALS_H

#include "common/base/buf.h"
#include "common/base/reason.h"

#define CREDENTIALS_FILE_MAX (1u << 20) /* bytes */
#define CREDENTIALS_MAX      8192       /* bytes of base64, or of an identity token */
#define HELPER_NAME_MAX      64         /* bytes after "docker-credential-" */

enum credential_kind {
	CREDENTIAL_NONE,
	CREDENTIAL_BASIC,    /* value: base64 of user:password */
	CREDENTIAL_IDENTITY, /* value: an identity (refresh) token */
	CREDENTIAL_HELPER,   /* value: the helper's name; server: what to ask it for (helper.h) */
};

/* All zero: none. Released by credential_wipe(). */
struct credential {
	enum credential_kind kind;
	struct buf value;
	struct buf server;
};

/* Overwrite and release its memory, and reset it to none. */
void credential_wipe(struct credential *c);

/*
 * Find the credential for `name` ("library/alpine", or empty) at `host` ("docker.io", "localhost:5000") in the text of
 * one file. -ENOENT: it has none; -EINVAL with a reason: the file or the entry is malformed. Pure.
 */
int credentials_parse(struct span text, const char *host, const char *name, struct credential *ret_credential,
		      struct reason *why);

/* What a helper printed: {"Username": ..., "Secret": ...}. As above. Pure. */
int credentials_parse_helper(struct span text, struct credential *ret_credential, struct reason *why);

/* The same in a file; -ENOENT also if it does not exist; another -errno with a reason that names it. Reads the disk. */
int credentials_load(const char *path, const char *host, const char *name, struct credential *ret_credential,
		     struct reason *why);

/* The texts are borrowed. */
struct credential_search {
	const char *auth_file; /* may be NULL */
	const char *host;
	const char *name;
	unsigned next; /* the next file to read; 0 at first */
};

/*
 * The same from the first file that has one, starting with the search's next: `auth_file`,
 * $CREDENTIALS_DIRECTORY/sluice-auth.json, $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json (if that is not
 * set, /run/containers/UID/auth.json), $XDG_CONFIG_HOME/containers/auth.json (~/.config), $DOCKER_CONFIG/config.json
 * (~/.docker). Another call continues after that file. Missing files are skipped; one that cannot be read or parsed is
 * -errno with a reason that names it. Reads the disk.
 */
int credentials_find(struct credential_search *s, struct credential *ret_credential, struct reason *why);

#endif
