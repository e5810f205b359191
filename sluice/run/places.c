/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/places.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/exit.h"
#include "common/base/failpoint.h"
#include "common/base/fs.h"
#include "common/base/hasher.h"

/* Store */
#include "common/store/layout.h"

#define RUNTIME_HEX_DIGITS 16
#define STORE_MODE         0755

void places_world_get(struct places_world *ret_world)
{
	*ret_world = (struct places_world){
	    .uid = geteuid(),
	    .home = getenv("HOME"),
	    .data_home = getenv("XDG_DATA_HOME"),
	    .runtime_home = getenv("XDG_RUNTIME_DIR"),
	    .run_user = PLACES_RUN_USER,
	};
}

/* By the XDG base directory specification a relative path is ignored. */
static bool is_absolute(const char *path)
{
	return path && path[0] == '/';
}

int places_default_store(const struct places_world *world, char **ret_path)
{
	char *path = NULL;
	int n = -1;

	if (world->uid == 0)
		n = asprintf(&path, "%s", PLACES_STORE_ROOT);
	else if (is_absolute(world->data_home))
		n = asprintf(&path, "%s/sluice", world->data_home);
	else if (is_absolute(world->home))
		n = asprintf(&path, "%s/.local/share/sluice", world->home);
	else
		return -EINVAL;
	if (n < 0)
		return -ENOMEM;
	*ret_path = path;
	return 0;
}

/* Whether `uid`, and nobody else, can create a file in that directory. */
static bool is_ours_alone(const char *path, uid_t uid)
{
	struct stat st;

	return is_absolute(path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH)) && faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
}

/* "BASE/NAME" if BASE is ours alone and the path is short enough for sockets in it. */
static bool take_base(const struct places_world *world, const char *base, const char *name,
		      char ret_path[static RUNTIME_DIR_MAX + 1])
{
	return is_ours_alone(base, world->uid) &&
	       snprintf(ret_path, RUNTIME_DIR_MAX + 1, "%s/%s", base, name) <= RUNTIME_DIR_MAX;
}

/* "STORE/.run" if the store is ours, or does not exist yet and will be created by us. */
static bool take_store(const struct places_world *world, const char *store, char ret_path[static RUNTIME_DIR_MAX + 1])
{
	struct stat st;
	bool is_new = stat(store, &st) < 0 && errno == ENOENT;

	return (is_new || is_ours_alone(store, world->uid)) &&
	       snprintf(ret_path, RUNTIME_DIR_MAX + 1, "%s/" LAYOUT_RUN, store) <= RUNTIME_DIR_MAX;
}

/* Only where nobody else can create the name first, so never in /tmp. */
static void derive_of_user(const struct places_world *world, const char *store, const char *hex,
			   char ret_path[static RUNTIME_DIR_MAX + 1])
{
	char name[sizeof("sluice-") + RUNTIME_HEX_DIGITS], hidden[sizeof(".sluice-") + RUNTIME_HEX_DIGITS];
	AUTO_FREE char *run = NULL, *state = NULL;

	(void)snprintf(name, sizeof(name), "sluice-%s", hex);
	(void)snprintf(hidden, sizeof(hidden), ".sluice-%s", hex);
	if (asprintf(&run, "%s/%u", world->run_user, (unsigned)world->uid) < 0)
		run = NULL;
	if (asprintf(&state, "%s/.local/state", is_absolute(world->home) ? world->home : "") < 0)
		state = NULL;
	if (!take_base(world, world->runtime_home, name, ret_path) && !take_base(world, run, name, ret_path) &&
	    !take_base(world, state, name, ret_path) && !take_base(world, world->home, hidden, ret_path) &&
	    !take_store(world, store, ret_path)) /* creating this one fails, with advice */
		(void)snprintf(ret_path, RUNTIME_DIR_MAX + 1, "%s/%u/%s", world->run_user, (unsigned)world->uid, name);
}

void places_derive_runtime(const struct places_world *world, const char *store,
			   char ret_path[static RUNTIME_DIR_MAX + 1], bool *ret_private)
{
	uint8_t digest[HASH_MAX_BYTES];
	char hex[RUNTIME_HEX_DIGITS + 1];
	bool is_default = world->uid == 0 && strcmp(store, PLACES_STORE_ROOT) == 0;

	hash_bytes(HASH_SHA256, store, strlen(store), digest);
	hex_encode(digest, RUNTIME_HEX_DIGITS / 2, hex);
	*ret_private = !is_default;
	if (world->uid == 0)
		(void)snprintf(ret_path, RUNTIME_DIR_MAX + 1, is_default ? "%s" : "%s-%s", PLACES_RUNTIME_ROOT, hex);
	else
		derive_of_user(world, store, hex, ret_path);
}

/* Cut the last component off `path` and put it before `tail`. -EINVAL for "..". */
static int move_last_component(char *path, char **tail)
{
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	char *slash = strrchr(path, '/');
	char *component = slash ? slash + 1 : path;
	char *joined;

	if (strcmp(component, "..") == 0 || *component == '\0')
		return -EINVAL;
	if (asprintf(&joined, **tail ? "%s/%s" : "%s%s", component, *tail) < 0)
		return -ENOMEM;
	free(*tail);
	*tail = joined;
	if (!slash)
		memcpy(path, ".", 2); /* the component had at least one character */
	else if (slash == path)
		path[1] = '\0';
	else
		*slash = '\0';
	return 0;
}

int places_real_path(const char *path, char **ret_path)
{
	AUTO_FREE char *head = strdup(path);
	AUTO_FREE char *tail = strdup("");

	if (!head || !tail)
		return -ENOMEM;
	if (!*head)
		return -ENOENT;
	for (;;) {
		AUTO_FREE char *real = realpath(head, NULL);
		if (real) {
			const char *between = *tail && strcmp(real, "/") != 0 ? "/" : "";
			return asprintf(ret_path, "%s%s%s", real, between, tail) < 0 ? -ENOMEM : 0;
		}
		if (errno != ENOENT)
			return -errno;
		int r = move_last_component(head, &tail);
		if (r < 0)
			return r;
	}
}

static int find_store(const struct places_world *world, const char *store, char **ret_store, struct reason *why)
{
	AUTO_FREE char *standard = NULL;

	if (!store) {
		int r = places_default_store(world, &standard);
		if (r == -EINVAL)
			reason_set(why, "there is no home directory for a store: set HOME or pass --store DIR");
		else if (r < 0)
			reason_set(why, "%s", strerror(-r));
		if (r < 0)
			return r == -EINVAL ? EX_CONFIG : EX_OSERR;
		store = standard;
	}
	int r = places_real_path(store, ret_store);
	if (r != 0 || !*ret_store) {
		reason_set(why, "cannot use the store '%s': %s", store, strerror(-r));
		return r == -ENOMEM ? EX_OSERR : EX_CONFIG;
	}
	return 0;
}

static int find_runtime(const struct places_world *world, const char *runtime_dir, struct places *p, struct reason *why)
{
	AUTO_FREE char *real = NULL;

	if (!runtime_dir) {
		places_derive_runtime(world, p->store, p->runtime, &p->private);
		return 0;
	}
	int r = places_real_path(runtime_dir, &real);
	if (r != 0 || !real) {
		reason_set(why, "cannot use the runtime directory '%s': %s", runtime_dir, strerror(-r));
		return EX_CONFIG;
	}
	if (strlen(real) > RUNTIME_DIR_MAX) {
		reason_set(why,
			   "the path of the runtime directory '%s' has more than %d characters, too long for sockets",
			   real, RUNTIME_DIR_MAX);
		return EX_CONFIG;
	}
	(void)snprintf(p->runtime, sizeof(p->runtime), "%s", real);
	p->private = false;
	return 0;
}

int places_find(const char *store, const char *runtime_dir, struct places *ret_places, struct reason *why)
{
	struct places_world world;
	struct places found = {.store = NULL};

	places_world_get(&world);
	int code = find_store(&world, store, &found.store, why);
	if (code == 0)
		code = find_runtime(&world, runtime_dir, &found, why);
	if (code != 0) {
		places_release(&found);
		return code;
	}
	*ret_places = found;
	return 0;
}

void places_release(struct places *p)
{
	free(p->store);
	p->store = NULL;
}

/* Create the store for the runtime directory in it, unless it exists. 0 or -errno. */
static int make_store(const char *store)
{
	AUTO_FREE char *path = strdup(store);

	if (!path)
		return -ENOMEM;
	for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (fs_mkdir(path, STORE_MODE) < 0 && errno != EEXIST)
			return -errno;
		if (!slash)
			return is_ours_alone(store, geteuid()) ? 0 : -EPERM;
		*slash = '/';
	}
}

static bool is_in_store(const struct places *p)
{
	size_t len = p->store ? strlen(p->store) : 0;

	return p->private && len > 0 && strncmp(p->runtime, p->store, len) == 0 && p->runtime[len] == '/';
}

/* What to do if the default directory cannot be used. XDG_RUNTIME_DIR does not count for root. */
static const char *advice(const struct places *p)
{
	if (geteuid() == 0)
		return p->private || strcmp(p->runtime, PLACES_RUNTIME_ROOT) == 0 ? "; pass --runtime-dir DIR" : "";
	return p->private ? "; set XDG_RUNTIME_DIR to a directory of your own, or pass --runtime-dir DIR" : "";
}

static int cannot_make(const struct places *p, int r, struct reason *why)
{
	reason_set(why, "cannot create the runtime directory '%s': %s%s", p->runtime, strerror(-r), advice(p));
	return r == -ENOENT ? EX_CANTCREAT : exit_code_of(r);
}

int places_make_runtime(const struct places *p, int *ret_fd, bool *ret_made, struct reason *why)
{
	AUTO_FD fd = -1;
	struct stat st;
	int r = is_in_store(p) ? make_store(p->store) : 0;
	if (r < 0)
		return cannot_make(p, r, why);
	bool made = FAILPOINT(NAME, "enter.runtime", fs_mkdir(p->runtime, p->private ? 0700 : 0750)) == 0;

	if (!made && errno != EEXIST)
		return cannot_make(p, -errno, why);
	r = runtime_dir_make(p->runtime, &fd, why);
	if (r == -EACCES)
		reason_set(why, "%s; see 'sluice doctor'", why->text);
	if (r < 0)
		return r == -ENAMETOOLONG ? EX_CONFIG : exit_code_of(r);
	if (p->private && (fstat(fd, &st) < 0 || st.st_uid != geteuid())) {
		reason_set(why, "the runtime directory '%s' belongs to another user%s", p->runtime, advice(p));
		return EX_NOPERM;
	}
	if (ret_made)
		*ret_made = made;
	*ret_fd = take_fd(&fd);
	return 0;
}
