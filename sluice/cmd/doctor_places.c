/* Own header */
#include "sluice/cmd/doctor.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
#include "common/base/file.h"

/* OCI */
#include "common/store/layout.h"

/* Wire */
#include "common/wire/pipe.h"

/* Sluice */
#include "sluice/run/stages.h"
#include "sluice/run/supervise.h"
#include "sluice/show/text.h"

#define SPACE_FAIL     (UINT64_C(64) << 20) /* bytes */
#define SPACE_WARN     (UINT64_C(1) << 30)
#define INODES_FAIL    64
#define INODES_WARN    1024
#define OUTPUT_MAX     1024
#define SERVICE_CONFIG "/etc/sluice/sluice.conf" /* what the units read, if it is there */

/* Why somebody may not go into a directory: mostly, because he is not in its group. */
static void say_no_entry(struct doctor *d, const char *check, const char *path, int error)
{
	struct stat st;
	struct reason advice;
	const struct group *g = stat(path, &st) == 0 ? getgrgid(st.st_gid) : NULL;

	reason_set(&advice, "become its owner, or root");
	if (g && (st.st_mode & S_IXGRP) && st.st_gid != getegid())
		reason_set(&advice, "join its group: 'sudo adduser \"$USER\" %s', then log in again", g->gr_name);
	doctor_say(d, FINDING_FAIL, check, advice.text, "'%s' cannot be entered: %s", path, strerror(error));
}

static void check_pipes_dir(struct doctor *d)
{
	struct stat st;

	if (fstatat(d->dir_fd, PIPE_DATA_DIR, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (st.st_mode & S_IRWXO)
		doctor_say(d, FINDING_FAIL, "pipes", "take it from others: chmod o= on it",
			   "'%s/" PIPE_DATA_DIR "' is open to everybody, who may feed the stages",
			   d->ctx->places.runtime);
	else
		doctor_say(d, FINDING_OK, "pipes", NULL, "'%s/" PIPE_DATA_DIR "' admits the stages alone",
			   d->ctx->places.runtime);
}

void doctor_runtime(struct doctor *d)
{
	const char *path = d->ctx->places.runtime;
	struct reason left;
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT) {
		doctor_say(d, FINDING_OK, "runtime", NULL, "'%s' is not there: nothing runs", path);
		return;
	}
	if (access(path, R_OK | X_OK) < 0 || d->dir_fd < 0 || fstat(d->dir_fd, &st) < 0) {
		say_no_entry(d, "runtime", path, errno);
		return;
	}
	if (st.st_mode & S_IWOTH)
		doctor_say(d, FINDING_FAIL, "runtime", "take that from others: chmod o-w on it",
			   "'%s' can be written by everybody", path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		doctor_say(d, FINDING_FAIL, "runtime", "use a directory of your own: --runtime-dir",
			   "'%s' belongs to user %u", path, (unsigned)st.st_uid);
	else
		doctor_say(d, FINDING_OK, "runtime", NULL, "'%s' can be entered", path);
	check_pipes_dir(d);
	if (stages_left_over(d->dir_fd, &left))
		doctor_say(d, FINDING_WARN, "leftovers", "nothing: the next start of that stage replaces it",
			   "'%s/%s' was left by a stage that was killed", path, left.text);
}

void doctor_store(struct doctor *d)
{
	const char *path = d->ctx->places.store;
	struct layout *l = NULL;
	struct reason why;

	int r = layout_open(path, LAYOUT_READER, &l, &why);
	if (r == 0)
		r = layout_check_mounts(l, &why);
	if (r == 0)
		doctor_say(d, FINDING_OK, "store", NULL, "'%s' is an image layout on one mount", path);
	else if (r == -ENOENT && !figures_any_up(&d->figures))
		doctor_say(d, FINDING_OK, "store", NULL, "'%s' is not there yet: the first pull makes it", path);
	else if (r == -EACCES)
		say_no_entry(d, "store", path, EACCES);
	else if (r == -EXDEV)
		doctor_say(d, FINDING_FAIL, "store", "mount the store as a whole, at one place", "%s", why.text);
	else
		doctor_say(d, FINDING_FAIL, "store", "name another directory: --store", "%s", why.text);
	layout_free(l);
}

/* Of the store, or of what there is of the way to it. */
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

void doctor_space(struct doctor *d)
{
	char size[HUMAN_SIZE_ROOM];
	struct statvfs st;

	int r = space_at(d->ctx->places.store, &st);
	if (r < 0) {
		doctor_say(d, FINDING_WARN, "space", "ask somebody who may look", "cannot look how much there is: %s",
			   strerror(-r));
		return;
	}
	uint64_t left = (uint64_t)st.f_bavail * st.f_frsize;
	human_size(left, size);
	if (left < SPACE_WARN)
		doctor_say(d, left < SPACE_FAIL ? FINDING_FAIL : FINDING_WARN, "space",
			   "remove images and abort what is not wanted any more; transfers wait meanwhile",
			   "only %s free for '%s'", size, d->ctx->places.store);
	else
		doctor_say(d, FINDING_OK, "space", NULL, "%s free", size);
	if (st.f_files > 0 && st.f_favail < INODES_WARN)
		doctor_say(d, st.f_favail < INODES_FAIL ? FINDING_FAIL : FINDING_WARN, "files",
			   "make room for more files (inodes) on that file system", "only %llu more files fit on it",
			   (unsigned long long)st.f_favail);
}

/*
 * Run a program of ours to its end; `ret_text` is the first line that it says, on either stream. Its exit code, or
 * -errno.
 */
static int run_program(const char *name, const char *const *args, struct reason *ret_text)
{
	AUTO_FREE char *path = supervise_find_beside(name);
	posix_spawn_file_actions_t actions;
	char out[OUTPUT_MAX];
	size_t len = 0;
	int ends[2], status = 0;
	pid_t pid;

	reason_set(ret_text, "it says nothing");
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

void doctor_programs(struct doctor *d)
{
	bool all = true;

	(void)unsetenv("SLUICE_CONFIG"); /* a broken one is told below, by its own name */
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const char *name = figures_stage_name(i);
		const char *const args[] = {name, "--version", NULL};
		struct reason text, want;
		int code = run_program(name, args, &text);
		reason_set(&want, "%s " SLUICE_VERSION, name);
		bool same = code == 0 && strcmp(text.text, want.text) == 0;
		all = all && same;
		if (code < 0)
			doctor_say(d, FINDING_FAIL, "programs", "install all four programs side by side",
				   "cannot run '%s': %s", name, strerror(-code));
		else if (!same)
			doctor_say(d, FINDING_FAIL, "programs", "install all four programs of one version",
				   "%s --version says '%s', not '%s'", name, text.text, want.text);
	}
	if (all)
		doctor_say(d, FINDING_OK, "programs", NULL, "all are of version " SLUICE_VERSION);
}

/* fetchd is who reads it, so it says what it makes of it. */
void doctor_config(struct doctor *d)
{
	const char *path = d->ctx->config;
	struct reason text;

	if (!path && d->services && access(SERVICE_CONFIG, F_OK) == 0)
		path = SERVICE_CONFIG;
	if (!path || !*path) {
		doctor_say(d, FINDING_OK, "config", NULL, "there is none: the defaults hold");
		return;
	}
	const char *const args[] = {"fetchd", "--config", path, "--version", NULL};
	int code = run_program("fetchd", args, &text);
	if (code == 0)
		doctor_say(d, FINDING_OK, "config", NULL, "'%s' can be read", path);
	else if (code > 0)
		doctor_say(d, FINDING_FAIL, "config", "mend it; fetchd keeps its former settings until then", "%s",
			   text.text);
}
