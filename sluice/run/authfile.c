/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/authfile.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/durable.h"
#include "common/base/exit.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/lock.h"

/* OCI */
#include "common/oci/credentials.h"
#include "common/oci/json.h"

#define AUTHS "auths"

/* The file, while it is changed. */
struct authfile {
	const char *path;
	char dir[PATH_MAX];
	const char *name; /* in that directory */
	int dir_fd, lock_fd;
	char lock[NAME_MAX + 1];
};

int authfile_place(const char *given, char ret_path[static PATH_MAX], struct reason *why)
{
	const char *variable = getenv("REGISTRY_AUTH_FILE"), *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (!given && variable && variable[0] != '\0')
		given = variable;
	if (given)
		len = snprintf(ret_path, PATH_MAX, "%s", given);
	else if (runtime && runtime[0] != '\0')
		len = snprintf(ret_path, PATH_MAX, "%s/containers/auth.json", runtime);
	else
		len = snprintf(ret_path, PATH_MAX, "/run/containers/%u/auth.json", (unsigned)geteuid());
	if (len < PATH_MAX)
		return 0;
	reason_set(why, "the name of the file of credentials is too long");
	return EX_USAGE;
}

static int cannot(const struct authfile *f, const char *verb, int r, struct reason *why)
{
	reason_set(why, "cannot %s '%s': %s%s", verb, f->path, strerror(-r),
		   r == -EACCES || r == -EROFS || r == -ENOENT ? "; name another file with --authfile" : "");
	return exit_code_of(r);
}

/* The directories that it needs, for us alone. */
static int make_dirs(const char *dir)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s", dir);
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (fs_mkdir(path, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
			return -errno;
		*slash = '/';
	}
	return fs_mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int lock_it(struct authfile *f, const char *path, struct reason *why)
{
	const char *slash = strrchr(path, '/');

	*f = (struct authfile){.path = path, .name = slash ? slash + 1 : path, .dir_fd = -1, .lock_fd = -1};
	(void)snprintf(f->dir, sizeof(f->dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	if (f->dir[0] == '\0')
		f->dir[0] = '/';
	if (f->name[0] == '\0' || snprintf(f->lock, sizeof(f->lock), ".%s.lock", f->name) >= (int)sizeof(f->lock))
		return cannot(f, "write", -ENAMETOOLONG, why);
	int r = make_dirs(f->dir);
	if (r == 0) {
		f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = f->dir_fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = lock_wait_at(f->dir_fd, f->lock, LOCK_EXCLUSIVE, "sluice", &f->lock_fd);
	return r < 0 ? cannot(f, "write", r, why) : 0;
}

static void unlock(struct authfile *f)
{
	if (f->lock_fd >= 0)
		(void)fs_unlinkat(f->dir_fd, f->lock, 0);
	(void)close_fd(f->lock_fd);
	(void)close_fd(f->dir_fd);
}

/* Somebody else's file, or one that somebody else leads us to, is not ours to write. */
static int check(const struct authfile *f, bool *ret_exists, struct reason *why)
{
	struct stat st;

	*ret_exists = fstatat(f->dir_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*ret_exists)
		return errno == ENOENT ? 0 : cannot(f, "read", -errno, why);
	if (S_ISREG(st.st_mode) && st.st_uid == geteuid())
		return 0;
	reason_set(why, "cannot write '%s': it %s; name another file with --authfile", f->path,
		   S_ISLNK(st.st_mode)   ? "is a symbolic link"
		   : S_ISREG(st.st_mode) ? "belongs to another user"
					 : "is not a file");
	return EX_CANTCREAT;
}

static int load(const struct authfile *f, struct json_t **ret_root, struct reason *why)
{
	struct buf text = BUF_INIT;
	bool exists;
	int code = check(f, &exists, why);

	*ret_root = NULL;
	if (code != 0)
		return code;
	int r = exists ? file_load_at(f->dir_fd, f->name, CREDENTIALS_FILE_MAX, &text) : 0;
	if (r < 0) {
		code = cannot(f, "read", r, why);
	} else if (text.len == 0) {
		*ret_root = json_object_make();
		code = *ret_root ? 0 : EX_OSERR;
	} else if (json_parse(buf_span(&text), ret_root, NULL) < 0 || !json_is_object(*ret_root)) {
		reason_set(why, "cannot use '%s': it is not a JSON object, and is left as it is", f->path);
		code = EX_CONFIG;
	}
	buf_wipe(&text);
	return code;
}

static int save(const struct authfile *f, const struct json_t *root, struct reason *why)
{
	struct buf text = BUF_INIT;

	int r = json_format(root, &text);
	if (r == 0)
		r = buf_append_str(&text, "\n");
	if (r == 0)
		r = durable_replace_at(f->dir_fd, f->name, text.data, text.len, 0600);
	buf_wipe(&text);
	return r < 0 ? cannot(f, "write", r, why) : 0;
}

static int set_entry(struct json_t *root, const char *host, const char *auth)
{
	struct json_t *auths = json_member(root, AUTHS), *entry = json_object_make();
	int r = entry ? json_set_text(entry, "auth", auth) : -ENOMEM;

	if (r == 0 && (!auths || !json_is_object(auths))) {
		auths = json_object_make();
		r = auths ? json_set(root, AUTHS, auths) : -ENOMEM;
	}
	if (r == 0)
		return json_set(auths, host, entry);
	json_free(entry);
	return r;
}

static int change(const struct authfile *f, struct json_t *root, const char *host, const char *auth, struct reason *why)
{
	struct json_t *auths = json_member(root, AUTHS), *helpers = json_member(root, "credHelpers");
	const char *helper = helpers ? json_member_text(helpers, host) : NULL;

	if (helper && helper[0] != '\0') {
		reason_set(why, "'%s' leaves the credentials for '%s' to docker-credential-%s: use podman or docker",
			   f->path, host, helper);
		return EX_CONFIG;
	}
	if (!auth && (!auths || !json_is_object(auths) || json_remove(auths, host) < 0)) {
		reason_set(why, "'%s' has no credentials for '%s'", f->path, host);
		return EX_NOINPUT;
	}
	if (auth && set_entry(root, host, auth) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	return save(f, root, why);
}

int authfile_change(const char *path, const char *host, const char *auth, struct reason *why)
{
	AUTO_JSON root = NULL;
	struct authfile f;
	int code = lock_it(&f, path, why);

	if (code == 0)
		code = load(&f, &root, why);
	if (code == 0)
		code = change(&f, root, host, auth, why);
	unlock(&f);
	return code;
}
