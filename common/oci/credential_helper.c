/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/credential_helper.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/file.h"

#define READ_BYTES 4096u
#define LOOK_MS    20 /* its stdout may be open after its end, or closed before */

/* ── starting one ── */

/*
 * Without our descriptors but the three, and without our signal handling. Its stderr could quote a secret, so it is
 * discarded.
 */
static int spawn(struct helper_process *p, int in, int out, enum helper_group group)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	char verb[] = "get";
	char *argv[] = {p->program, verb, NULL};
	int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	int r = posix_spawn_file_actions_init(&files);
	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r == 0) {
		(void)posix_spawnattr_setflags(
		    &attributes, (short)(flags | (group == HELPER_OWN_GROUP ? POSIX_SPAWN_SETPGROUP : 0)));
		(void)posix_spawnattr_setsigmask(&attributes, &none);
		(void)posix_spawnattr_setsigdefault(&attributes, &all);
		r = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
		if (r == 0)
			r = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
		if (r == 0)
			r = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
		if (r == 0)
			r = posix_spawnp(&p->pid, p->program, &files, &attributes, argv, environ);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* The question fits in a pipe's buffer, so writing it cannot block. */
static int run(struct helper_process *p, const char *server, enum helper_group group)
{
	int question[2], answer[2];
	if (pipe2(question, O_CLOEXEC) < 0)
		return -errno;
	AUTO_FD question_end = question[0];
	AUTO_FD ask = question[1];
	if (pipe2(answer, O_CLOEXEC) < 0)
		return -errno;
	p->fd = answer[0];
	AUTO_FD answer_end = answer[1];
	if (fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(ask, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	int r = file_write_all(ask, server, strlen(server), NULL);
	if (r == 0)
		r = file_write_all(ask, "\n", 1, NULL);
	return r < 0 ? r : spawn(p, question_end, answer_end, group);
}

int helper_spawn(struct helper_process *p, const char *name, const char *server, enum helper_group group,
		 struct reason *why)
{
	*p = HELPER_PROCESS_INIT;
	(void)snprintf(p->program, sizeof(p->program), "docker-credential-%s", name);
	int r = run(p, server, group);
	if (r == 0)
		return 0;
	reason_set(why, "cannot run %s: %s", p->program, strerror(-r));
	p->pid = 0;
	helper_release(p);
	return r == -ENOENT ? -EINVAL : r; /* -ENOENT is a helper's answer */
}

void helper_release(struct helper_process *p)
{
	if (p->fd >= 0)
		(void)close_fd(p->fd);
	p->fd = -1;
	buf_wipe(&p->output);
}

/* ── what it says ── */

bool helper_take(struct helper_process *p)
{
	for (;;) {
		if (p->output.len + READ_BYTES > HELPER_OUTPUT_MAX || buf_reserve(&p->output, READ_BYTES) < 0)
			return false;
		ssize_t n = read(p->fd, p->output.data + p->output.len, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 || errno == EAGAIN;
		p->output.len += (size_t)n;
		p->output.data[p->output.len] = '\0';
	}
}

/* All helpers made by docker's library print this sentence and exit with 1. */
static bool says_nothing(const struct buf *output)
{
	static const char sentence[] = "credentials not found";
	return output->data && strncmp(output->data, sentence, strlen(sentence)) == 0;
}

int helper_judge(const struct helper_process *p, int status, struct reason *why)
{
	bool exited = WIFEXITED(status);
	if (exited && WEXITSTATUS(status) == 0)
		return 0;
	if (exited && says_nothing(&p->output))
		return -ENOENT;
	reason_set(why, "%s ended with %s %d", p->program, exited ? "exit code" : "signal",
		   exited ? WEXITSTATUS(status) : WTERMSIG(status));
	return -EINVAL;
}

/* ── one that is waited for ── */

/* Once it has ended. Whoever ignores SIGCHLD hears only that it has. */
static bool has_ended(struct helper_process *p, int *ret_status)
{
	*ret_status = 0;
	pid_t pid = waitpid(p->pid, ret_status, WNOHANG);
	return pid == p->pid || (pid < 0 && errno == ECHILD);
}

/* NULL: it has ended with this status, and all that it printed is there. */
static const char *wait_for_end(struct helper_process *p, uint64_t timeout_ms, int *ret_status)
{
	uint64_t end_ms = clock_mono_ms() + timeout_ms;
	struct pollfd readable = {.fd = p->fd, .events = POLLIN};
	for (;;) {
		size_t before = p->output.len;
		bool ended = has_ended(p, ret_status);
		if (!helper_take(p))
			return "prints more than a credential";
		if (ended)
			return NULL;
		if (clock_mono_ms() >= end_ms)
			return "does not answer";
		if (p->output.len == before && (readable.revents & POLLHUP))
			readable.fd = -1;
		(void)poll(&readable, 1, LOOK_MS);
	}
}

static int hear(struct helper_process *p, uint64_t timeout_ms, struct credential *c, struct reason *why)
{
	struct reason inner;
	int status;
	const char *trouble = wait_for_end(p, timeout_ms, &status);
	if (trouble) {
		(void)kill(p->pid, SIGKILL);
		(void)waitpid(p->pid, NULL, 0);
		reason_set(why, "%s %s", p->program, trouble);
		return -EINVAL;
	}
	int r = helper_judge(p, status, why);
	if (r == 0) {
		r = credentials_parse_helper(buf_span(&p->output), c, &inner);
		if (r < 0 && r != -ENOENT)
			reason_set(why, "%s: %s", p->program, r == -ENOMEM ? strerror(ENOMEM) : inner.text);
	}
	return r;
}

int credential_ask_helper(struct credential *c, uint64_t timeout_ms, struct reason *why)
{
	struct credential said = {.kind = CREDENTIAL_NONE};
	struct helper_process p;
	int r = helper_spawn(&p, c->value.data, c->server.data, HELPER_OUR_GROUP, why);
	if (r == 0) {
		r = hear(&p, timeout_ms, &said, why);
		helper_release(&p);
	}
	credential_wipe(c);
	*c = said;
	return r;
}
