/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/auth/keeper.h"

/* System */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/loop.h"

/* Own */
#include "fetchd/auth/keeper_serve.h"

#define END_MS      3000u /* that it gets to end */
#define END_LOOK_MS 2

struct keeper_ask {
	struct keeper *keeper;
	uint64_t id;
	keeper_done *done;
	void *self;
	TAILQ_ENTRY(keeper_ask) link;
};

struct keeper {
	pid_t pid;
	int fd; /* -1: it has ended by itself */
	uint64_t last_id;
	uint32_t reads;
	struct loop_io readable;
	void (*gone)(void *self);
	void *self;
	TAILQ_HEAD(, keeper_ask) asks;
};

static void ask_free(struct keeper_ask *a)
{
	TAILQ_REMOVE(&a->keeper->asks, a, link);
	free(a);
}

int keeper_start(const struct call *call, struct keeper **ret_keeper)
{
	int ends[2];
	struct keeper *k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	TAILQ_INIT(&k->asks);
	int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
	k->pid = r == 0 ? fork() : -1;
	if (k->pid == 0) {
		(void)close(ends[0]);
		keeper_serve(ends[1], call);
	}
	if (r == 0) {
		r = k->pid < 0 ? -errno : 0;
		(void)close(ends[1]);
		k->fd = ends[0];
	}
	if (r < 0) {
		if (k->fd > 0)
			(void)close(k->fd);
		free(k);
		return r;
	}
	*ret_keeper = k;
	return 0;
}

/* ── answers ── */

static void give(struct keeper_ask *a, struct keeper_answer *answer)
{
	keeper_done *done = a->done;
	void *self = a->self;
	ask_free(a);
	done(self, answer);
	credential_wipe(&answer->credential);
}

static void on_end(struct keeper *k)
{
	loop_io_stop(&k->readable);
	k->fd = close_fd(k->fd);
	if (k->gone) {
		k->gone(k->self);
		return;
	}
	while (!TAILQ_EMPTY(&k->asks)) {
		struct keeper_answer answer = {.result = -EPIPE};
		reason_set(&answer.why, KEEPER_NAME ", which looks up credentials, was killed");
		give(TAILQ_FIRST(&k->asks), &answer);
	}
}

static void take(struct keeper *k, const struct keeper_reply *reply)
{
	struct keeper_answer answer = {.result = reply->result, .next = reply->next, .why = reply->why};
	struct keeper_ask *a;
	TAILQ_FOREACH(a, &k->asks, link)
		if (a->id == reply->id)
			break;
	if (!a)
		return; /* cancelled meanwhile */
	answer.credential.kind = (enum credential_kind)reply->kind;
	if (reply->result == 0 && buf_append_str(&answer.credential.value, reply->value) < 0) {
		answer.result = -ENOMEM;
		reason_set(&answer.why, "out of memory");
	}
	give(a, &answer);
}

static void on_readable(void *self, unsigned events)
{
	struct keeper *k = self;
	struct keeper_reply reply;
	(void)events;
	ssize_t n = recv(k->fd, &reply, sizeof(reply), MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n != (ssize_t)sizeof(reply))
		on_end(k);
	else
		take(k, &reply);
	explicit_bzero(&reply, sizeof(reply));
}

void keeper_watch(struct keeper *k, struct loop *loop, void (*gone)(void *self), void *self)
{
	k->gone = gone;
	k->self = self;
	loop_io_init(&k->readable, loop, on_readable, k);
	loop_io_watch(&k->readable, k->fd, LOOP_READ);
}

/* ── questions ── */

static int ask(struct keeper *k, const struct keeper_question *q)
{
	ssize_t n;
	do {
		n = send(k->fd, q, sizeof(*q), MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n >= 0 || errno == EPIPE || errno == ECONNRESET ? 0 : -errno; /* its end shows on the socket */
}

int keeper_find(struct keeper *k, const char *host, const char *name, unsigned next, keeper_done *done, void *self,
		struct keeper_ask **ret_ask)
{
	struct keeper_question q = {.id = ++k->last_id, .kind = KEEPER_FIND, .reads = k->reads, .next = next};
	if (strlen(host) >= sizeof(q.host) || strlen(name) >= sizeof(q.name))
		return -ENAMETOOLONG;
	if (k->fd < 0 && !k->gone)
		return -EPIPE;
	struct keeper_ask *a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	memcpy(q.host, host, strlen(host));
	memcpy(q.name, name, strlen(name));
	int r = k->fd < 0 ? 0 : ask(k, &q);
	if (r < 0) {
		free(a);
		return r;
	}
	*a = (struct keeper_ask){.keeper = k, .id = q.id, .done = done, .self = self};
	TAILQ_INSERT_TAIL(&k->asks, a, link);
	*ret_ask = a;
	return 0;
}

void keeper_cancel(struct keeper_ask *a)
{
	if (!a)
		return;
	struct keeper *k = a->keeper;
	struct keeper_question q = {.id = a->id, .kind = KEEPER_DROP, .reads = k->reads};
	if (k->fd >= 0)
		(void)ask(k, &q); /* where there is no room, the helper runs to its end */
	ask_free(a);
}

void keeper_reread(struct keeper *k)
{
	k->reads++;
}

void keeper_free(struct keeper *k)
{
	int status;
	if (!k)
		return;
	loop_io_stop(&k->readable);
	(void)close_fd(k->fd);
	uint64_t end_ms = clock_mono_ms() + END_MS;
	bool runs = true;
	while (runs && clock_mono_ms() < end_ms) {
		runs = waitpid(k->pid, &status, WNOHANG) == 0;
		if (runs)
			clock_pause(END_LOOK_MS);
	}
	if (runs)
		(void)kill(k->pid, SIGKILL);
	free(k);
}
