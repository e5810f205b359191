/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/supervise.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/fs.h"
#include "common/base/lock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/stage.h"

/* Sluice */
#include "sluice/run/logfile.h"
#include "sluice/run/stages.h"

#define STAGES             (STAGE_COMMITD - STAGE_FETCHD + 1)
#define STAGE_ARGS         12
#define USERS_GONE         1u     /* from the thread that waits for the users lock: it has the lock */
#define USERS_UNKNOWN      2u     /* it cannot wait */
#define STOP_WAIT_MS       10000u /* for a stage after SIGTERM, then SIGKILL */
#define LOCKED_PATIENCE_MS 15000u /* for a daemon of a previous supervisor to release its lock */

struct stage {
	const char *name;
	char *path;                   /* owned; beside our own program, or NULL: look in PATH */
	const char *args[STAGE_ARGS]; /* borrowed */
	char *complaint;              /* owned; the child's message if exec fails */
	pid_t pid;                    /* 0: not running */
	bool was_up;                  /* its first start has succeeded */
	uint64_t due_ms;              /* when to start it, if it is not running */
	struct respawn respawn;
};

struct supervisor {
	const struct context *ctx;
	const struct supervise_options *options;
	int dir_fd;
	struct stage stages[STAGES];
	int signal_fd;
	int idle_fd; /* readable once the waiting thread reports; -1: never */
	struct logfile log;
	bool idle; /* we have the users lock */
	bool stopping;
	uint64_t kill_ms; /* when stopping: when to use SIGKILL */
	uint64_t began_ms;
	int code;
};

unsigned respawn_delay_ms(struct respawn *r, uint64_t now_ms)
{
	if (now_ms - r->started_ms >= RESPAWN_QUICK_MS) {
		r->quick_deaths = 0;
		return 0;
	}
	unsigned delay = 0;
	for (unsigned i = 0; i < r->quick_deaths && delay < RESPAWN_DELAY_MAX_MS; i++)
		delay = delay ? 2 * delay : RESPAWN_DELAY_MIN_MS;
	r->quick_deaths++;
	return delay < RESPAWN_DELAY_MAX_MS ? delay : RESPAWN_DELAY_MAX_MS;
}

char *supervise_find_beside(const char *name)
{
	char self[PATH_MAX];
	char *path;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len <= 0)
		return NULL;
	self[len] = '\0';
	char *slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	if (asprintf(&path, "%s/%s", self, name) < 0)
		return NULL;
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static int stage_init(struct stage *st, enum stage_id id, const struct supervisor *sv)
{
	const char *name = stage_name(id);
	const struct places *places = &sv->ctx->places;
	size_t n = 0;

	*st = (struct stage){.name = name, .path = supervise_find_beside(name)};
	st->args[n++] = name;
	if (id != STAGE_FETCHD) {
		st->args[n++] = "--store";
		st->args[n++] = places->store;
	} else if (sv->ctx->config) {
		st->args[n++] = "--config";
		st->args[n++] = sv->ctx->config;
	}
	st->args[n++] = "--runtime-dir";
	st->args[n++] = places->runtime;
	st->args[n++] = "--log-level";
	st->args[n++] = sv->ctx->verbose ? "info" : "notice";
	if (sv->options->no_resume && id == STAGE_INGESTD)
		st->args[n++] = "--no-resume";
	st->args[n] = NULL;
	int r = asprintf(&st->complaint, "%s: cannot run '%s'%s\n", name, st->path ? st->path : name,
			 st->path ? "" : ": it is neither beside sluice nor in PATH");
	if (r < 0)
		st->complaint = NULL;
	return r < 0 ? -ENOMEM : 0;
}

static void stage_release(struct stage *st)
{
	free(st->path);
	free(st->complaint);
}

/* In the child: only calls that are safe after a fork in a threaded process. */
_Noreturn static void stage_become(const struct stage *st, pid_t supervisor, int log_fd)
{
	sigset_t none;
	char *const *args = (char *const *)(void *)st->args;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != supervisor) /* the supervisor died before PR_SET_PDEATHSIG took effect */
		_exit(0);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGXFSZ, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	int null_fd = open("/dev/null", O_RDONLY);
	if (null_fd >= 0)
		(void)dup2(null_fd, STDIN_FILENO);
	if (log_fd >= 0) {
		(void)dup2(log_fd, STDOUT_FILENO);
		(void)dup2(log_fd, STDERR_FILENO);
	}
	closefrom(STDERR_FILENO + 1);
	if (st->path)
		(void)execv(st->path, args);
	else
		(void)execvp(st->name, args);
	ssize_t n = write(STDERR_FILENO, st->complaint, strlen(st->complaint));
	(void)n;
	_exit(EX_CONFIG);
}

static void stage_start(struct stage *st, int log_fd)
{
	pid_t self = getpid();
	pid_t pid = fork();

	st->respawn.started_ms = clock_mono_ms();
	if (pid == 0)
		stage_become(st, self, log_fd);
	if (pid > 0) {
		st->pid = pid;
		return;
	}
	(void)log_errno(-errno, "cannot start %s", st->name);
	st->due_ms = st->respawn.started_ms + RESPAWN_DELAY_MAX_MS;
}

static void begin_stop(struct supervisor *sv, int code)
{
	/* At the second signal, kill at once. */
	sv->kill_ms = sv->stopping ? clock_mono_ms() : clock_mono_ms() + STOP_WAIT_MS;
	if (!sv->stopping)
		sv->code = code;
	sv->stopping = true;
	for (size_t i = 0; i < STAGES; i++)
		if (sv->stages[i].pid > 0)
			(void)kill(sv->stages[i].pid, SIGTERM);
}

static void log_death(const struct stage *st, int status, unsigned delay_ms)
{
	if (WIFSIGNALED(status))
		log_warning("%s (process %d) was killed by signal %d (%s), restarting it in %u ms", st->name,
			    (int)st->pid, WTERMSIG(status), strsignal(WTERMSIG(status)), delay_ms);
	else
		log_warning("%s (process %d) ended with exit code %d, restarting it in %u ms", st->name, (int)st->pid,
			    WEXITSTATUS(status), delay_ms);
}

/* Whether another start would fail the same way. */
static bool is_hopeless(const struct supervisor *sv, const struct stage *st, int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 0)
		return false;
	/* The lock of a stopping daemon becomes free; a lock that stays belongs to another supervisor's daemon. */
	if (WEXITSTATUS(status) == EX_TEMPFAIL)
		return !st->was_up && clock_mono_ms() - sv->began_ms > LOCKED_PATIENCE_MS;
	return !st->was_up;
}

/* Once a stage could not be started, the lines about that stay, whatever the others still write. */
static void take_log(struct supervisor *sv)
{
	logfile_take(&sv->log, sv->stopping && sv->code != 0);
}

static void on_death(struct supervisor *sv, struct stage *st, int status)
{
	uint64_t now_ms = clock_mono_ms();

	take_log(sv); /* what it said precedes what we say about it */
	if (now_ms - st->respawn.started_ms >= RESPAWN_QUICK_MS || WIFSIGNALED(status))
		st->was_up = true;
	if (!sv->stopping && is_hopeless(sv, st, status)) {
		log_error("%s did not start (exit code %d), stopping", st->name, WEXITSTATUS(status));
		st->pid = 0;
		begin_stop(sv, WEXITSTATUS(status));
		return;
	}
	if (!sv->stopping) {
		unsigned delay_ms = respawn_delay_ms(&st->respawn, now_ms);
		log_death(st, status, delay_ms);
		st->due_ms = now_ms + delay_ms;
	}
	st->pid = 0;
}

static void reap(struct supervisor *sv)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < STAGES; i++)
			if (sv->stages[i].pid == pid)
				on_death(sv, &sv->stages[i], status);
}

/* Start what is due; return how long until the next, or -1. */
static int start_due(struct supervisor *sv)
{
	uint64_t now_ms = clock_mono_ms();
	int wait_ms = -1;

	for (size_t i = 0; i < STAGES; i++) {
		struct stage *st = &sv->stages[i];
		if (st->pid == 0 && st->due_ms <= now_ms)
			stage_start(st, sv->log.out_fd);
		if (st->pid == 0) {
			int left_ms = st->due_ms > now_ms ? (int)(st->due_ms - now_ms) : 0;
			wait_ms = wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
		}
	}
	return wait_ms;
}

/* When stopping: kill those whose time is up; return how long is left, or -1. */
static int kill_late(struct supervisor *sv)
{
	uint64_t now_ms = clock_mono_ms();

	if (now_ms < sv->kill_ms)
		return (int)(sv->kill_ms - now_ms);
	for (size_t i = 0; i < STAGES; i++) {
		if (sv->stages[i].pid > 0) {
			log_warning("%s does not stop, killing it", sv->stages[i].name);
			(void)kill(sv->stages[i].pid, SIGKILL);
		}
	}
	sv->kill_ms = UINT64_MAX;
	return -1;
}

static bool any_runs(const struct supervisor *sv)
{
	for (size_t i = 0; i < STAGES; i++)
		if (sv->stages[i].pid > 0)
			return true;
	return false;
}

static void take_signals(struct supervisor *sv)
{
	struct signalfd_siginfo info;

	while (read(sv->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			for (size_t i = 0; i < STAGES; i++)
				if (sv->stages[i].pid > 0)
					(void)kill(sv->stages[i].pid, SIGHUP);
		} else if (info.ssi_signo != SIGCHLD) {
			log_info("signal %u: stopping", info.ssi_signo);
			begin_stop(sv, 0);
		}
	}
	reap(sv);
}

/* Whether the waiting thread has reported that it has the users lock. */
static bool is_alone(const struct supervisor *sv)
{
	uint64_t said = 0;

	return read(sv->idle_fd, &said, sizeof(said)) == (ssize_t)sizeof(said) && said == USERS_GONE;
}

static void loop(struct supervisor *sv)
{
	while (!sv->stopping || any_runs(sv)) {
		struct pollfd fds[] = {{.fd = sv->signal_fd, .events = POLLIN},
				       {.fd = sv->idle_fd, .events = POLLIN},
				       {.fd = sv->log.in_fd, .events = POLLIN}};
		int wait_ms = sv->stopping ? kill_late(sv) : start_due(sv);
		if (sv->stopping)
			fds[1].fd = -1;
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), wait_ms) < 0)
			continue;
		if (fds[2].revents)
			take_log(sv);
		if (fds[0].revents)
			take_signals(sv);
		if (fds[1].revents && !sv->stopping) {
			sv->idle = is_alone(sv);
			begin_stop(sv, 0);
		}
	}
}

/* In a separate thread, because flock(2) blocks and nothing else tells when the last user leaves. */
static void *wait_for_users(void *arg)
{
	const struct supervisor *sv = arg;
	int users_fd; /* open until the process ends, so the lock is held until then */

	int r = lock_wait_at(sv->dir_fd, STAGES_USERS, LOCK_EXCLUSIVE, "sluice up", &users_fd);
	uint64_t says = r < 0 ? USERS_UNKNOWN : USERS_GONE;
	ssize_t n = write(sv->idle_fd, &says, sizeof(says));
	(void)n;
	return NULL;
}

static int watch_users(struct supervisor *sv)
{
	pthread_t thread;
	pthread_attr_t attr;

	sv->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sv->idle_fd < 0)
		return -errno;
	int r = -pthread_attr_init(&attr);
	if (r == 0) {
		(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = -pthread_create(&thread, &attr, wait_for_users, sv);
		(void)pthread_attr_destroy(&attr);
	}
	return r;
}

static int set_up(struct supervisor *sv)
{
	sigset_t ours;
	int r = 0;

	for (enum stage_id id = STAGE_FETCHD; r == 0 && id <= STAGE_COMMITD; id++)
		r = stage_init(&sv->stages[id - STAGE_FETCHD], id, sv);
	if (r < 0)
		return r;
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGCHLD);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGHUP);
	/* Before the thread, which so has them blocked, too. */
	(void)sigprocmask(SIG_BLOCK, &ours, NULL);
	sv->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sv->signal_fd < 0)
		return -errno;
	r = sv->options->has_log ? logfile_begin(&sv->log, STDERR_FILENO) : 0;
	if (r < 0)
		return r;
	return sv->options->until_idle ? watch_users(sv) : 0;
}

/*
 * Clean up the runtime directory, unless another command uses it: then that command does. After a failure in the
 * background the log stays for the command that started us, which removes it after reading.
 */
static void clean_up(struct supervisor *sv)
{
	int users_fd;

	if (sv->code != 0 && sv->options->until_idle)
		return;
	if (!sv->idle && lock_take_at(sv->dir_fd, STAGES_USERS, LOCK_EXCLUSIVE, "sluice up", &users_fd, NULL) < 0)
		return;
	stages_sweep(sv->dir_fd);
	(void)FAILPOINT(NAME, "down.up-lock", fs_unlinkat(sv->dir_fd, STAGES_UP_LOCK, 0));
	(void)FAILPOINT(NAME, "down.users", fs_unlinkat(sv->dir_fd, STAGES_USERS, 0));
	if (sv->options->remove)
		(void)FAILPOINT(NAME, "down.runtime", fs_rmdir(sv->ctx->places.runtime));
	/* The users lock is released with the process, so whoever waits for it finds all this done. */
}

int supervise_run(const struct context *ctx, const struct supervise_options *options, int dir_fd)
{
	/* Static, because the waiting thread may use it until the process ends. */
	static struct supervisor sv;

	sv = (struct supervisor){
	    .ctx = ctx,
	    .options = options,
	    .dir_fd = dir_fd,
	    .signal_fd = -1,
	    .idle_fd = -1,
	    .log = {.in_fd = -1, .out_fd = -1},
	    .began_ms = clock_mono_ms(),
	};
	int r = set_up(&sv);
	if (r < 0) {
		(void)log_errno(r, "cannot set up the supervisor");
		sv.code = EX_OSERR;
	} else {
		loop(&sv);
		logfile_end(&sv.log);
		clean_up(&sv);
	}
	for (size_t i = 0; i < STAGES; i++)
		stage_release(&sv.stages[i]);
	return sv.code;
}
