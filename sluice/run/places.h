/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the store and its sockets are by default.
 *
 *   store      root: /var/lib/sluice; others: ${XDG_DATA_HOME:-~/.local/share}/sluice
 *   runtime    root's default store: /run/sluice; root's other stores: /run/sluice-HEX;
 *              others: the first of these that is short enough and whose parent nobody else can write to:
 *              $XDG_RUNTIME_DIR/sluice-HEX, /run/user/UID/sluice-HEX, ~/.local/state/sluice-HEX, ~/.sluice-HEX, STORE/.run
 *
 * HEX is the beginning of the sha256 of the store's real path, so that all commands for one store use the same sockets,
 * however long its path is: that of a socket has at most 107 characters.
 */
#ifndef SLUICE_SLUICE_RUN_PLACES_H
#define SLUICE_SLUICE_RUN_PLACES_H

/* System */
#include <stdbool.h>
#include <sys/types.h>

/* Base */
#include "common/base/process.h"
#include "common/base/reason.h"

#define PLACES_STORE_ROOT   "/var/lib/sluice"
#define PLACES_RUNTIME_ROOT "/run/sluice"
#define PLACES_RUN_USER     "/run/user"

/* What the defaults depend on. The strings are borrowed, NULL if not set. */
struct places_world {
	uid_t uid;
	const char *home;
	const char *data_home;    /* XDG_DATA_HOME */
	const char *runtime_home; /* XDG_RUNTIME_DIR */
	const char *run_user;     /* where systemd makes a directory for each user who is logged in */
};

struct places {
	char *store;                       /* owned; absolute, without symbolic links as far as it exists */
	char runtime[RUNTIME_DIR_MAX + 1]; /* absolute */
	bool private;                      /* the runtime directory is derived, for one store and one user */
};

void places_world_get(struct places_world *ret_world);

/* The store when none is given. The caller frees it. 0, -EINVAL without a home directory, -ENOMEM. */
int places_default_store(const struct places_world *world, char **ret_path);

/* The runtime directory of a store, given by its real path. */
void places_derive_runtime(const struct places_world *world, const char *store,
			   char ret_path[static RUNTIME_DIR_MAX + 1], bool *ret_private);

/*
 * The real path of the part of `path` that exists, followed by the rest as written: so a store that does not exist yet
 * has a real path too. The caller frees it. 0 or -errno (-EINVAL: ".." in the part that does not exist).
 */
int places_real_path(const char *path, char **ret_path);

/*
 * Both places; `store` and `runtime_dir` as given, or NULL. 0, or an exit code with a reason. Released by
 * places_release().
 */
int places_find(const char *store, const char *runtime_dir, struct places *ret_places, struct reason *why);
void places_release(struct places *p);

/*
 * Open the runtime directory and create it if it does not exist, for us alone if it is private. 0, or an exit code with
 * a reason: 73 if it cannot be created (75 if the disk is full), 77 if another user owns it or can write to it. The
 * caller owns the descriptor; `ret_made` may be NULL.
 */
int places_make_runtime(const struct places *p, int *ret_fd, bool *ret_made, struct reason *why);

#endif
