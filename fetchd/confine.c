/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/confine.h"

/* System */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

/* Base */
#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* Own */
#include "fetchd/config/certs.h"
#include "fetchd/harden.h"

/* What can be read. The texts are owned. */
struct readable {
	char **paths;
	size_t len, room;
	bool failed; /* no memory: fetchd could not read what it must */
};

/* libraries that are loaded late (names, TLS), their settings, certificates */
static const char *const of_system[] = {
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/lib32",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/urandom",
};

static void add(struct readable *all, const char *path)
{
	char **grown = array_room(all->paths, all->len, &all->room, sizeof(*grown));
	if (grown)
		all->paths = grown;
	char *copy = grown ? strdup(path) : NULL;
	if (copy)
		all->paths[all->len++] = copy;
	else
		all->failed = true;
}

static void readable_release(struct readable *all)
{
	for (size_t i = 0; i < all->len; i++)
		free(all->paths[i]);
	free(all->paths);
}

/* ── directories of configuration ── */

static bool holds_directories(const char *path)
{
	static const char *const of_configuration[] = {"registries.d", "certs.d"};
	AUTO_DIR dir = opendir(path);
	const struct dirent *e;
	struct stat st;
	while (dir && (e = readdir(dir))) {
		bool is_own = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
		for (size_t i = 0; i < sizeof(of_configuration) / sizeof(of_configuration[0]); i++)
			is_own = is_own || strcmp(e->d_name, of_configuration[i]) == 0;
		if (!is_own && fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			return true;
	}
	return !dir;
}

/* Whether nothing else is expected in it, now or later: then all in it can be read. */
static bool is_apart(const char *path)
{
	const char *home = getenv("HOME");
	struct stat st, of_home;
	if (stat(path, &st) < 0 || (st.st_mode & S_IWOTH) || holds_directories(path))
		return false;
	return !home || stat(home, &of_home) < 0 || !file_same(&st, &of_home);
}

/* The directory of a file, with its slash; empty: the working directory. */
static void directory_of(const char *path, char ret_directory[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	(void)snprintf(ret_directory, PATH_MAX, "%.*s", slash ? (int)(slash + 1 - path) : 0, path);
}

static void add_beside(struct readable *all, const char *path)
{
	char directory[PATH_MAX];
	directory_of(path, directory);
	const char *beside = directory[0] != '\0' ? directory : ".";
	add(all, strcmp(beside, "/") != 0 && is_apart(beside) ? beside : path);
}

/* A file may be a link, and either its own name or what that leads to may be replaced. */
static void add_file(struct readable *all, const char *path)
{
	if (!path || path[0] == '\0')
		return;
	AUTO_FREE char *real = realpath(path, NULL);
	add_beside(all, path);
	if (real)
		add_beside(all, real);
}

static void add_below(struct readable *all, const char *variable, const char *below)
{
	char path[PATH_MAX];
	const char *base = getenv(variable);
	if (base && base[0] == '/' && snprintf(path, sizeof(path), "%s%s", base, below) < (int)sizeof(path))
		add(all, path);
}

/* A list, as OpenSSL has it. */
static void add_list(struct readable *all, const char *list)
{
	char path[PATH_MAX];
	while (list && list[0] != '\0') {
		int len = (int)strcspn(list, ":");
		if (len > 0 && snprintf(path, sizeof(path), "%.*s", len, list) < (int)sizeof(path))
			add(all, path);
		list += len + (list[len] == ':' ? 1 : 0);
	}
}

static void add_configuration(struct readable *all, const struct settings *s)
{
	char path[PATH_MAX], directory[PATH_MAX];
	add_below(all, "XDG_CONFIG_HOME", "/sluice");
	add_below(all, "HOME", "/.config/sluice");
	add_below(all, "HOME", "/.config/containers/certs.d");
	add_file(all, s->config);
	directory_of(s->config ? s->config : "", directory);
	if (s->config && snprintf(path, sizeof(path), "%sregistries.d", directory) < (int)sizeof(path))
		add(all, path);
	for (size_t i = 0; i < s->registries.len; i++) {
		const struct http_tls *tls = &s->registries.all[i].tls;
		add_file(all, tls->ca_file);
		add_file(all, tls->client_cert);
		add_file(all, tls->client_key);
	}
}

/* ── what main calls ── */

int confine_calls(const struct call *call, struct keeper **ret_keeper)
{
	int r = keeper_start(call, ret_keeper);
	if (r < 0) {
		(void)log_errno(r, "cannot start the process that looks up credentials");
		return EX_OSERR;
	}
	r = harden_calls(HARDEN_NO_EXEC);
	if (r < 0) /* the units have a filter of their own, which may not permit another one */
		log_info("system calls are not restricted by fetchd itself: %s", strerror(-r));
	return 0;
}

void confine_files(const struct settings *s)
{
	struct readable all = {0};
	for (size_t i = 0; i < sizeof(of_system) / sizeof(of_system[0]); i++)
		add(&all, of_system[i]);
	add_file(&all, "/etc/resolv.conf"); /* which may lead anywhere */
	add_file(&all, getenv("SSL_CERT_FILE"));
	add_list(&all, getenv("SSL_CERT_DIR"));
	add_file(&all, getenv("OPENSSL_CONF"));
	add_list(&all, getenv("OPENSSL_MODULES"));
	add_configuration(&all, s);
	int r = all.failed ? -ENOMEM : harden_files((const char *const *)(void *)all.paths, all.len);
	readable_release(&all);
	int changes = harden_changes();
	if (r == 0)
		r = changes;
	if (r < 0)
		log_info("files are not restricted by fetchd itself: %s", strerror(-r));
}
