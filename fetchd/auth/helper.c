/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/auth/helper.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/loop.h"

/* OCI */
#include "common/oci/credentials.h"

#define PROGRAM_SIZE (HELPER_NAME_MAX + sizeof("docker-credential-"))
#define READ_BYTES   4096u

struct helper {
	char program[PROGRAM_SIZE];
	helper_done *done;
	void *self;
	pid_t pid;         /* 0 once it is dead */
	int fd;            /* its stdout */
	struct buf output; /* wiped */
	struct loop_io readable;
	struct loop_child child;
	struct loop_timer timeout;
};

static void helper_free(struct helper *h)
{
	loop_io_stop(&h->readable);
	loop_child_stop(&h->child);
	loop_timer_stop(&h->timeout);
	if (h->pid > 0)
		(void)kill(-h->pid, SIGKILL); /* and what it started; the loop reaps it */
	(void)close_fd(h->fd);
	buf_wipe(&h->output);
	free(h);
}

static void finish(struct helper *h, enum helper_end end, const struct reason *why)
{
	h->done(h->self, end, buf_span(&h->output), why);
	helper_free(h);
}

static void fail(struct helper *h, const char *what)
{
	struct reason why;
	reason_set(&why, "%s %s", h->program, what);
	finish(h, HELPER_FAILED, &why);
}

/* Take what is there. False: it is over the limit, or nothing can be read. */
static bool take(struct helper *h)
{
	for (;;) {
		if (h->output.len + READ_BYTES > HELPER_OUTPUT_MAX || buf_reserve(&h->output, READ_BYTES) < 0)
			return false;
		ssize_t n = read(h->fd, h->output.data + h->output.len, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 || errno == EAGAIN;
		h->output.len += (size_t)n;
		h->output.data[h->output.len] = '\0';
	}
}

static void on_readable(void *self, unsigned events)
{
	struct helper *h = self;
	size_t before = h->output.len;
	(void)events;
	if (!take(h))
		fail(h, "prints more than a credential");
	else if (h->output.len == before)
		loop_io_stop(&h->readable); /* the end; how it ended comes next */
}

/* All helpers made by docker's library print this sentence and exit with 1. */
static bool says_nothing(const struct buf *output)
{
	static const char sentence[] = "credentials not found";
	return output->data && strncmp(output->data, sentence, strlen(sentence)) == 0;
}

static void on_exit_of_child(void *self, int status)
{
	struct helper *h = self;
	struct reason why;
	h->pid = 0;
	if (!take(h)) {
		fail(h, "prints more than a credential");
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		finish(h, HELPER_PRINTED, NULL);
	} else if (WIFEXITED(status) && says_nothing(&h->output)) {
		finish(h, HELPER_NOTHING, NULL);
	} else {
		bool exited = WIFEXITED(status);
		reason_set(&why, "%s ended with %s %d", h->program, exited ? "exit code" : "signal",
			   exited ? WEXITSTATUS(status) : WTERMSIG(status));
		finish(h, HELPER_FAILED, &why);
	}
}

static void on_timeout(void *self)
{
	fail(self, "does not answer");
}

/*
 * In a process group of its own, so that it can be killed with its children; without our descriptors but the three, and
 * without our signal handling. Its stderr could quote a secret, so it is discarded.
 */
static int spawn(struct helper *h, int in, int out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	char verb[] = "get";
	char *argv[] = {h->program, verb, NULL};
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	int r = posix_spawn_file_actions_init(&files);
	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r == 0) {
		(void)posix_spawnattr_setflags(&attributes,
					       POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
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
			r = posix_spawnp(&h->pid, h->program, &files, &attributes, argv, environ);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* The question fits in a pipe's buffer, so writing it cannot block. */
static int run(struct helper *h, const char *server)
{
	int question[2], answer[2];
	if (pipe2(question, O_CLOEXEC) < 0)
		return -errno;
	AUTO_FD question_end = question[0];
	AUTO_FD ask = question[1];
	if (pipe2(answer, O_CLOEXEC) < 0)
		return -errno;
	h->fd = answer[0];
	AUTO_FD answer_end = answer[1];
	if (fcntl(h->fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(ask, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	int r = file_write_all(ask, server, strlen(server), NULL);
	if (r == 0)
		r = file_write_all(ask, "\n", 1, NULL);
	return r < 0 ? r : spawn(h, question_end, answer_end);
}

int helper_start(struct loop *loop, const char *name, const char *server, uint64_t timeout_ms, helper_done *done,
		 void *self, struct helper **ret_helper)
{
	struct helper *h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->done = done;
	h->self = self;
	h->fd = -1;
	(void)snprintf(h->program, sizeof(h->program), "docker-credential-%s", name);
	loop_io_init(&h->readable, loop, on_readable, h);
	loop_timer_init(&h->timeout, loop, on_timeout, h);
	int r = run(h, server);
	if (r < 0) {
		h->pid = 0;
		helper_free(h);
		return r;
	}
	loop_io_watch(&h->readable, h->fd, LOOP_READ);
	loop_child_start(&h->child, loop, h->pid, on_exit_of_child, h);
	loop_timer_set(&h->timeout, timeout_ms);
	*ret_helper = h;
	return 0;
}

void helper_cancel(struct helper *h)
{
	if (h)
		helper_free(h);
}
