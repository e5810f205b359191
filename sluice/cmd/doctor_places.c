/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/doctor_places.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/config.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/version.h"

/* Store */
#include "common/store/layout.h"
#include "common/store/names.h"
#include "common/store/storelock.h"

/* Wire */
#include "common/wire/stage.h"

/* Sluice */
#include "sluice/cmd/doctor_mirrors.h"
#include "sluice/run/counts.h"
#include "sluice/run/stages.h"
#include "sluice/run/supervise.h"
#include "sluice/show/text.h"

#define SPACE_FAIL  (UINT64_C(64) << 20) /* bytes */
#define SPACE_WARN  (UINT64_C(1) << 30)
#define INODES_FAIL 64
#define INODES_WARN 1024
#define INDEX_WARN  (NAMES_INDEX_MAX / 4 * 3)
#define OUTPUT_MAX  1024

/* The usual cause: the user is not in its group. */
static void report_no_entry(struct findings *f, const char *check, const char *path, int error)
{
	struct stat st;
	struct reason advice;
	const struct group *g = stat(path, &st) == 0 ? getgrgid(st.st_gid) : NULL;

	reason_set(&advice, "run it as the owner or as root");
	if (g && (st.st_mode & S_IXGRP) && st.st_gid != getegid())
		reason_set(&advice, "join its group: 'sudo adduser \"$USER\" %s', then log in again", g->gr_name);
	finding_report(f, FINDING_FAIL, check, advice.text, "cannot enter '%s': %s", path, strerror(error));
}

/* Write access to a directory of sockets is enough to replace them. */
static void check_socket_dirs(const char *runtime, int dir_fd, struct findings *f)
{
	static const char *const dirs[] = {STAGE_FETCH_DIR, STAGE_SEAL_DIR};
	struct stat st;
	bool any = false, all = true;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (fstatat(dir_fd, dirs[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		any = true;
		if (!(st.st_mode & (S_IRWXO | S_IWGRP)))
			continue;
		all = false;
		finding_report(f, FINDING_FAIL, "pipes", "run 'chmod g-w,o=' on it",
			       "'%s/%s' is open to other users (mode %04o), who could take the place of a stage",
			       runtime, dirs[i], (unsigned)st.st_mode & 07777);
	}
	if (any && all)
		finding_report(f, FINDING_OK, "pipes", NULL, "their directories admit only the stages");
}

/* If the stages have their own users, their directories decide who may send requests. */
static bool check_entry(const char *runtime, struct findings *f)
{
	struct reason path;

	reason_set(&path, "%s/%s", runtime, stage_name(STAGE_INGESTD));
	if (access(path.text, X_OK) == 0 || errno != EACCES)
		return true;
	report_no_entry(f, "runtime", path.text, EACCES);
	return false;
}

/* By the locks that were taken, or tried: without any, nothing can be told without creating one. */
static bool has_locks(int dir_fd)
{
	static const char *const locks[] = {STAGES_UP_LOCK, "fetchd/" STAGE_LOCK, "ingestd/" STAGE_LOCK,
					    "commitd/" STAGE_LOCK};

	for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
		if (lock_works_at(dir_fd, locks[i]) == -EOPNOTSUPP)
			return false;
	return true;
}

void doctor_check_runtime(const struct context *ctx, int dir_fd, struct findings *f)
{
	const char *path = ctx->places.runtime;
	struct reason left;
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT) {
		finding_report(f, FINDING_OK, "runtime", NULL, "'%s' does not exist: nothing is running", path);
		return;
	}
	if (access(path, R_OK | X_OK) < 0 || dir_fd < 0 || fstat(dir_fd, &st) < 0) {
		report_no_entry(f, "runtime", path, errno);
		return;
	}
	if (!check_entry(path, f))
		return;
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		finding_report(f, FINDING_FAIL, "runtime", "run 'chmod go-w' on it", "'%s' is %s-writable", path,
			       st.st_mode & S_IWOTH ? "world" : "group");
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		finding_report(f, FINDING_FAIL, "runtime", "choose another directory with --runtime-dir",
			       "'%s' belongs to user %u", path, (unsigned)st.st_uid);
	else if (!has_locks(dir_fd))
		finding_report(f, FINDING_FAIL, "runtime", "choose a local directory with --runtime-dir",
			       "file locks (flock) do nothing on the file system of '%s'", path);
	else
		finding_report(f, FINDING_OK, "runtime", NULL, "'%s' is accessible", path);
	check_socket_dirs(path, dir_fd, f);
	if (stages_obstacle(dir_fd, &left))
		finding_report(f, FINDING_FAIL, "leftovers", "remove it, then restart the stage",
			       "'%s/%s' is in the way of a stage", path, left.text);
	if (stages_left_over(dir_fd, &left))
		finding_report(f, FINDING_WARN, "leftovers",
			       "nothing to do: the stage replaces it when it starts again",
			       "'%s/%s' was left behind by a killed stage", path, left.text);
}

/* Whether index.json is readable and has room for more names. */
static void check_names(struct layout *l, struct findings *f)
{
	struct names *n = NULL;
	struct reason why;
	struct stat st = {0};
	char size[TEXT_PROSE_ROOM];

	if (names_load(l, &n, &why) < 0) {
		finding_report(f, FINDING_FAIL, "names", "restore the file, or remove it and pull again", "%s",
			       why.text);
		return;
	}
	names_free(n);
	(void)fstatat(layout_root_fd(l), LAYOUT_INDEX, &st, AT_SYMLINK_NOFOLLOW);
	text_size_prose((uint64_t)st.st_size, size);
	if (st.st_size > INDEX_WARN)
		finding_report(f, FINDING_WARN, "names", "remove names that nobody needs with 'sluice rm'",
			       "'%s/" LAYOUT_INDEX "' has %s of at most %u MiB", layout_path(l), size,
			       NAMES_INDEX_MAX >> 20);
}

static void check_layout(const struct context *ctx, bool served, struct findings *f)
{
	const char *path = ctx->places.store;
	struct layout *l = NULL;
	struct reason why;

	int r = layout_open(path, LAYOUT_READER, &l, &why);
	if (r == 0)
		r = layout_check_mounts(l, &why);
	if (r == 0)
		r = storelock_check(l, &why);
	if (r == 0)
		finding_report(f, FINDING_OK, "store", NULL, "'%s' is an image layout on one mount", path);
	if (r == 0)
		check_names(l, f);
	else if (r == -ENOENT && !served)
		finding_report(f, FINDING_OK, "store", NULL, "'%s' does not exist yet: the first pull creates it",
			       path);
	else if (r == -ENOENT)
		finding_report(f, FINDING_FAIL, "store", "pass the --store that the stages serve",
			       "'%s' does not exist", path);
	else if (r == -EACCES)
		report_no_entry(f, "store", path, EACCES);
	else if (r == -EOPNOTSUPP)
		finding_report(f, FINDING_FAIL, "store", "keep the store on a file system that has locks", "%s",
			       why.text);
	else if (r == -EXDEV)
		finding_report(f, FINDING_FAIL, "store", "put the whole store on one mount", "%s", why.text);
	else
		finding_report(f, FINDING_FAIL, "store", "choose another directory with --store", "%s", why.text);
	layout_free(l);
}

/* Stages that run are asked; before any runs, a read-only file system is all that can be known for every user. */
static void check_writing(const char *path, struct findings *f)
{
	if (access(path, W_OK) < 0 && errno == EROFS)
		finding_report(f, FINDING_FAIL, "writing", "remount it, or choose another directory with --store",
			       "'%s' is on a read-only file system", path);
}

/* The space at the store, or at the nearest existing directory above it. */
static int space_at(const char *path, struct statvfs *ret_st)
{
	AUTO_FREE char *at = strdup(path);

	while (at && statvfs(at, ret_st) < 0) {
		char *slash = strrchr(at, '/');
		if (errno != ENOENT || !slash || slash == at)
			return -errno;
		*slash = '\0';
	}
	return at ? 0 : -ENOMEM;
}

static void check_space(const char *store, struct findings *f)
{
	char size[TEXT_PROSE_ROOM];
	struct statvfs st;

	int r = space_at(store, &st);
	if (r < 0) {
		finding_report(f, FINDING_WARN, "space", "run it as a user who can",
			       "cannot determine the free space: %s", strerror(-r));
		return;
	}
	uint64_t left = (uint64_t)st.f_bavail * st.f_frsize;
	text_size_prose(left, size);
	if (st.f_blocks == 0)
		finding_report(f, FINDING_OK, "space", NULL, "the file system of '%s' does not report its free space",
			       store);
	else if (left < SPACE_WARN)
		finding_report(f, left < SPACE_FAIL ? FINDING_FAIL : FINDING_WARN, "space",
			       "make room, with 'sluice gc' or elsewhere on its file system; until then transfers wait",
			       "only %s free for '%s'", size, store);
	else
		finding_report(f, FINDING_OK, "space", NULL, "%s free", size);
	if (st.f_files > 0 && st.f_favail < INODES_WARN)
		finding_report(f, st.f_favail < INODES_FAIL ? FINDING_FAIL : FINDING_WARN, "files",
			       "free inodes on that file system", "only %llu inodes free for '%s'",
			       (unsigned long long)st.f_favail, store);
}

void doctor_check_store(const struct context *ctx, bool served, struct findings *f)
{
	check_layout(ctx, served, f);
	if (!served)
		check_writing(ctx->places.store, f);
	check_space(ctx->places.store, f);
}

/*
 * Run one of our programs to its end; `ret_text` is the first line that it prints, on either stream. Returns its exit
 * code, or -errno.
 */
static int run_program(const char *name, const char *const *args, struct reason *ret_text)
{
	AUTO_FREE char *path = supervise_find_beside(name);
	posix_spawn_file_actions_t actions;
	char out[OUTPUT_MAX];
	size_t len = 0;
	int ends[2], status = 0;
	pid_t pid;

	reason_set(ret_text, "no output");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	int r = -posix_spawnp(&pid, path ? path : name, &actions, NULL, (char *const *)(void *)args, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close_fd(ends[1]);
	if (r == 0)
		r = file_read_full(ends[0], out, sizeof(out) - 1, &len);
	(void)close_fd(ends[0]);
	if (r < 0)
		return r;
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (out[0])
		reason_set(ret_text, "%s", out);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECANCELED;
}

void doctor_check_programs(struct findings *f)
{
	bool all = true;

	(void)setenv("SLUICE_CONFIG", "/dev/null", 1); /* if the file is broken, that is reported below */
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const char *name = stage_name(i);
		const char *const args[] = {name, "--version", NULL};
		struct reason text, want;
		int code = run_program(name, args, &text);
		reason_set(&want, "%s " SLUICE_VERSION, name);
		bool same = code == 0 && strcmp(text.text, want.text) == 0;
		all = all && same;
		if (code < 0)
			finding_report(f, FINDING_FAIL, "programs", "install all four programs in one directory",
				       "cannot run '%s': %s", name, strerror(-code));
		else if (!same)
			finding_report(f, FINDING_FAIL, "programs", "install all four programs of one version",
				       "'%s --version' prints '%s', not '%s'", name, text.text, want.text);
	}
	if (all)
		finding_report(f, FINDING_OK, "programs", NULL, "all have version " SLUICE_VERSION);
}

/* Let fetchd read it, as when it starts. */
void doctor_check_config(const struct context *ctx, bool services, struct findings *f)
{
	char found[PATH_MAX];
	const char *path = ctx->config;
	struct reason text;

	if (!path && services)
		path = CONFIG_OF_MACHINE;
	if (!path && config_find(found, sizeof(found)))
		path = found;
	if (!path) {
		finding_report(f, FINDING_OK, "config", NULL, "none: defaults apply");
		doctor_check_mirrors(NULL, f);
		return;
	}
	const char *const args[] = {"fetchd", "--config", path, "--version", NULL};
	int code = run_program("fetchd", args, &text);
	if (code == 0)
		finding_report(f, FINDING_OK, "config", NULL, "'%s' is valid", path);
	else if (code > 0)
		finding_report(f, FINDING_FAIL, "config",
			       "fix it; a running fetchd keeps its former settings until then", "%s", text.text);
	doctor_check_mirrors(path, f);
}
