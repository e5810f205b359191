/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/stages.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/failpoint.h"
#include "common/base/fs.h"
#include "common/base/lock.h"

/* Wire */
#include "common/wire/stage.h"

/* Sluice */
#include "sluice/run/logfile.h"

#define ENTER_TRIES     100 /* tries, if the runtime directory keeps being removed */
#define START_EVERY_MS  200 /* between starts of a supervisor that dies at once */
#define LOCKED_TRIES    50  /* for supervisors that lose to another one which is then gone */
#define LEAVE_LOOK_MS   5   /* how often a leaving command checks whether the supervisor is gone */
#define SUPERVISOR_ARGS 16

struct stages {
	const struct context *ctx;
	int dir_fd;
	int users_fd;
	bool remove;     /* remove the runtime directory at the end */
	pid_t pid;       /* our supervisor, or 0 */
	unsigned locked; /* how often ours found another supervisor */
	int failed;      /* the exit code of one of ours that could not start the stages, or 0 */
	uint64_t next_start_ms;
};

static bool serve_in(int dir_fd)
{
	return lock_is_held_at(dir_fd, STAGES_UP_LOCK) || stage_runs(dir_fd, STAGE_INGESTD);
}

bool stages_are_services(int dir_fd)
{
	return faccessat(dir_fd, STAGES_SERVICES, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool stages_of_services(const char *runtime_dir)
{
	AUTO_FD dir_fd = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir_fd >= 0 && stages_are_services(dir_fd);
}

/* The stages run, or the service manager restarts them. */
static bool need_none_of_ours(int dir_fd)
{
	return stages_are_services(dir_fd) || serve_in(dir_fd);
}

bool stages_serve(const char *runtime_dir)
{
	AUTO_FD dir_fd = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir_fd >= 0 && serve_in(dir_fd);
}

bool stages_left_over(int dir_fd, struct reason *ret_name)
{
	for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++)
		if (stage_left_over(dir_fd, stage, ret_name))
			return true;
	return false;
}

bool stages_obstacle(int dir_fd, struct reason *ret_name)
{
	for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++)
		if (stage_obstacle(dir_fd, stage, ret_name))
			return true;
	return false;
}

void stages_sweep(int dir_fd)
{
	for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++)
		stage_sweep(dir_fd, stage);
	(void)FAILPOINT(NAME, "sweep.log", fs_unlinkat(dir_fd, STAGES_LOG, 0));
}

/* In the child: only calls that are safe after a fork in a threaded process. It inherits nothing of ours. */
_Noreturn static void run_supervisor(char *const *argv, bool to_stderr)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	int null_fd = open("/dev/null", O_RDWR);
	if (null_fd < 0)
		_exit(EX_OSERR);
	(void)dup2(null_fd, STDIN_FILENO);
	(void)dup2(to_stderr ? STDERR_FILENO : null_fd, STDOUT_FILENO);
	if (!to_stderr)
		(void)dup2(null_fd, STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	(void)execv("/proc/self/exe", argv);
	_exit(EX_OSERR);
}

static int start(struct stages *s, struct reason *why)
{
	const struct context *ctx = s->ctx;
	const char *args[SUPERVISOR_ARGS] = {
	    "sluice", "up", "--background", "--store", ctx->places.store, "--runtime-dir", ctx->places.runtime};
	size_t n = 7;

	if (ctx->config) {
		args[n++] = "--config";
		args[n++] = ctx->config;
	}
	if (ctx->verbose)
		args[n++] = "--verbose";
	if (s->remove)
		args[n++] = "--remove";
	args[n] = NULL;
	pid_t pid = fork();
	if (pid < 0) {
		int r = -errno;
		reason_set(why, "cannot start the stages: %s", strerror(-r));
		return EX_OSERR;
	}
	if (pid == 0)
		run_supervisor((char *const *)(void *)args, ctx->verbose);
	s->pid = pid;
	s->next_start_ms = clock_mono_ms() + START_EVERY_MS;
	return 0;
}

/* Open the runtime directory and take the users lock in it. -EAGAIN: the directory was removed under us. */
static int become_user(struct stages *s, struct reason *why)
{
	bool made;
	struct stat st;

	s->dir_fd = close_fd(s->dir_fd);
	int code = places_make_runtime(&s->ctx->places, &s->dir_fd, &made, why);
	if (code != 0)
		return code;
	if (stages_are_services(s->dir_fd))
		return 0; /* we neither start nor stop them */
	s->remove = s->remove || made || s->ctx->places.private;
	int r = lock_wait_at(s->dir_fd, STAGES_USERS, LOCK_SHARED, "sluice", &s->users_fd);
	if (r == 0 && fstat(s->dir_fd, &st) == 0 && st.st_nlink == 0) {
		s->users_fd = close_fd(s->users_fd);
		r = -ENOENT;
	}
	if (r == -ENOENT)
		return -EAGAIN;
	if (r == -EOPNOTSUPP) {
		(void)stage_no_locks(s->ctx->places.runtime, why);
		return exit_code_of(r);
	}
	if (r < 0) {
		reason_set(why, "cannot lock '%s/%s': %s", s->ctx->places.runtime, STAGES_USERS, strerror(-r));
		return exit_code_of(r);
	}
	return 0;
}

int stages_enter(const struct context *ctx, struct stages **ret_stages, struct reason *why)
{
	struct stages *s = calloc(1, sizeof(*s));
	int code = -EAGAIN;

	if (!s) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	*s = (struct stages){.ctx = ctx, .dir_fd = -1, .users_fd = -1};
	for (unsigned i = 0; code == -EAGAIN && i < ENTER_TRIES; i++)
		code = become_user(s, why);
	if (code == -EAGAIN) {
		reason_set(why, "the runtime directory '%s' keeps disappearing", ctx->places.runtime);
		code = EX_TEMPFAIL;
	}
	if (code == 0 && !need_none_of_ours(s->dir_fd))
		code = start(s, why);
	if (code != 0) {
		stages_leave(s, 0);
		return code;
	}
	*ret_stages = s;
	return 0;
}

/* The last line in `text` that begins with `head`, terminated at its end. NULL: there is none. */
static char *last_line(char *text, const char *head)
{
	char *found = NULL;

	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n' ? 1 : 0;
		if (strncmp(line, head, strlen(head)) == 0)
			found = line;
	}
	if (found)
		found[strcspn(found, "\n")] = '\0';
	return found;
}

/*
 * Why the supervisor gave up, from its log: its own last line says which stage did not start, and that stage's last
 * line says why.
 */
static void explain(const struct stages *s, struct reason *why)
{
	AUTO_BUF log = BUF_INIT;

	reason_set(why, "the stages did not start (exit code %d)", s->failed);
	if (logfile_load(s->dir_fd, STAGES_LOG, &log) < 0 || log.len == 0)
		return;
	char *verdict = last_line(log.data, "sluice: ");
	if (!verdict)
		return;
	verdict += strlen("sluice: ");
	reason_set(why, "%s", verdict);
	for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++) {
		struct reason head;
		reason_set(&head, "%s: ", stage_name(stage));
		const char *line =
		    strncmp(verdict, head.text, strlen(head.text) - 2) == 0 ? last_line(log.data, head.text) : NULL;
		if (line)
			reason_set(why, "%s", line);
	}
}

/* Our supervisor ended. 0: start another one if need be; or an exit code. */
static int take_end(struct stages *s, int status, struct reason *why)
{
	s->pid = 0;
	if (WIFSIGNALED(status) || WEXITSTATUS(status) == 0)
		return 0;
	/* It lost a race with another command's supervisor; try again, since that may be gone by now. */
	if (WEXITSTATUS(status) == EX_TEMPFAIL &&
	    (lock_is_held_at(s->dir_fd, STAGES_UP_LOCK) || s->locked++ < LOCKED_TRIES))
		return 0;
	s->failed = WEXITSTATUS(status);
	explain(s, why);
	return s->failed;
}

int stages_check(struct stages *s, struct reason *why)
{
	int status;

	if (s->pid > 0 && waitpid(s->pid, &status, WNOHANG) == s->pid) {
		int code = take_end(s, status, why);
		if (code != 0)
			return code;
	}
	if (s->pid > 0 || need_none_of_ours(s->dir_fd) || clock_mono_ms() < s->next_start_ms)
		return 0;
	return start(s, why);
}

/*
 * Whether others still use the stages after we left: then the lock can be shared, but not taken exclusively. If neither
 * works, the supervisor has it and is about to stop.
 */
static bool others_use(int users_fd)
{
	bool taken = lock_change(users_fd, LOCK_EXCLUSIVE);
	bool shared = !taken && lock_change(users_fd, LOCK_SHARED);

	lock_drop(users_fd);
	return shared;
}

static void wait_for_end(struct stages *s, unsigned wait_ms)
{
	uint64_t end_ms = clock_mono_ms() + wait_ms;
	int status;

	while (waitpid(s->pid, &status, WNOHANG) == 0 && clock_mono_ms() < end_ms && !others_use(s->users_fd))
		clock_pause(LEAVE_LOOK_MS);
}

/* A supervisor that failed left its log for us to show; without other users the log is not needed any more. */
static void clean_up(const struct stages *s)
{
	if (!lock_change(s->users_fd, LOCK_EXCLUSIVE) || need_none_of_ours(s->dir_fd))
		return;
	stages_sweep(s->dir_fd);
	(void)FAILPOINT(NAME, "leave.up-lock", fs_unlinkat(s->dir_fd, STAGES_UP_LOCK, 0));
	(void)FAILPOINT(NAME, "leave.users", fs_unlinkat(s->dir_fd, STAGES_USERS, 0));
	if (s->remove)
		(void)FAILPOINT(NAME, "leave.runtime", fs_rmdir(s->ctx->places.runtime));
}

void stages_leave(struct stages *s, unsigned wait_ms)
{
	if (!s)
		return;
	if (s->users_fd >= 0 && s->pid > 0) {
		lock_drop(s->users_fd);
		wait_for_end(s, wait_ms);
	} else if (s->users_fd >= 0) {
		clean_up(s);
	}
	(void)close_fd(s->users_fd);
	(void)close_fd(s->dir_fd);
	free(s);
}
