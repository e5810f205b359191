/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/auth/keeper_serve.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/text.h"

/* OCI */
#include "common/oci/credential_helper.h"
#include "common/oci/credentials.h"

/* Own */
#include "fetchd/auth/helper.h"
#include "fetchd/config/settings.h"
#include "fetchd/harden.h"

#define SOCKET_FD (STDERR_FILENO + 1) /* where the keeper has it, the only one besides the three */

struct keeping;

/* One question that waits for a helper. */
struct search {
	struct keeping *keeping;
	uint64_t id;
	char host[KEEPER_WORD_SIZE], name[KEEPER_WORD_SIZE];
	struct credential_search places;
	struct credential credential; /* names the helper; then what it said */
	struct helper *helper;
	LIST_ENTRY(search) link;
};

struct keeping {
	int fd;
	const struct call *call;
	struct settings *settings;
	uint32_t reads;
	struct loop *loop;
	struct loop_io readable;
	LIST_HEAD(, search) searches;
	unsigned searches_len;
};

static void search_free(struct search *s)
{
	LIST_REMOVE(s, link);
	s->keeping->searches_len--;
	helper_cancel(s->helper);
	credential_wipe(&s->credential);
	free(s);
}

/* ── answers ── */

/* Waits for room: fetchd always takes answers, or is gone. */
static void send_reply(struct keeping *k, const struct keeper_reply *reply)
{
	ssize_t n;
	do {
		n = send(k->fd, reply, sizeof(*reply), MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		loop_break(k->loop);
}

static void answer(struct search *s, int result, const struct reason *why)
{
	struct keeping *k = s->keeping;
	struct keeper_reply reply = {.id = s->id, .result = result, .next = s->places.next, .why = *why};
	const struct buf *value = &s->credential.value;
	if (result == 0 && value->len > KEEPER_VALUE_MAX) {
		reply.result = -EINVAL;
		reason_set(&reply.why, "the credentials for '%s' are longer than %d bytes", s->host, KEEPER_VALUE_MAX);
	} else if (result == 0) {
		reply.kind = s->credential.kind;
		memcpy(reply.value, value->data, value->len);
	}
	search_free(s);
	send_reply(k, &reply);
	explicit_bzero(&reply, sizeof(reply));
}

/* ── searching ── */

static void look_further(struct search *s);

static void on_helper(void *self, enum helper_end end, struct span output, const struct reason *why)
{
	struct search *s = self;
	struct reason inner = {"out of memory"};
	char name[HELPER_NAME_MAX + 1];
	int r = end == HELPER_NOTHING ? -ENOENT : end == HELPER_FAILED ? -EINVAL : 0;
	s->helper = NULL;
	(void)snprintf(name, sizeof(name), "%s", s->credential.value.data);
	credential_wipe(&s->credential);
	if (end == HELPER_FAILED)
		inner = *why;
	if (end == HELPER_PRINTED)
		r = credentials_parse_helper(output, &s->credential, &inner);
	if (end == HELPER_PRINTED && r == -EINVAL)
		reason_set(&inner, "docker-credential-%s: %s", name, inner.text);
	if (r == -ENOENT)
		look_further(s);
	else
		answer(s, r, &inner);
}

/* The texts of the search are its own, so the helper runs on after the question is forgotten. */
static int run_helper(struct search *s, struct reason *why)
{
	const struct credential *c = &s->credential;
	return helper_start(s->keeping->loop, c->value.data, c->server.data, HELPER_TIMEOUT_MS, on_helper, s,
			    &s->helper, why);
}

static void look_further(struct search *s)
{
	struct reason why = {"out of memory"};
	s->places.auth_file = s->keeping->settings->auth_file;
	int r = credentials_find(&s->places, &s->credential, &why);
	if (r == 0 && s->credential.kind == CREDENTIAL_HELPER) {
		r = run_helper(s, &why);
		if (r == 0)
			return;
	}
	answer(s, r, &why);
}

/* As fetchd did, which also told what is wrong with it. */
static void read_configuration(struct keeping *k, uint32_t reads)
{
	AUTO_FREE struct settings *fresh = calloc(1, sizeof(*fresh));
	struct reason why;
	k->reads = reads;
	if (fresh && program_reread(k->call, fresh, &why) == 0)
		*k->settings = *fresh;
	log_set_level(LOG_LEVEL_ERROR);
}

/* ── questions ── */

static bool is_sound(const struct keeper_question *q)
{
	return memchr(q->host, '\0', sizeof(q->host)) && memchr(q->name, '\0', sizeof(q->name)) &&
	       text_is_visible(q->host, sizeof(q->host)) &&
	       (q->name[0] == '\0' || text_is_visible(q->name, sizeof(q->name)));
}

static void find(struct keeping *k, const struct keeper_question *q)
{
	static const struct reason none = {""}, no_memory = {"out of memory"};
	struct search *s = k->searches_len < KEEPER_SEARCHES ? calloc(1, sizeof(*s)) : NULL;
	if (!s) {
		const struct keeper_reply reply = {.id = q->id, .result = -ENOMEM, .why = no_memory};
		send_reply(k, &reply);
		return;
	}
	s->keeping = k;
	s->id = q->id;
	LIST_INSERT_HEAD(&k->searches, s, link);
	k->searches_len++;
	if (!is_sound(q)) {
		answer(s, -ENOENT, &none);
		return;
	}
	memcpy(s->host, q->host, sizeof(s->host));
	memcpy(s->name, q->name, sizeof(s->name));
	s->places = (struct credential_search){NULL, s->host, s->name, q->next};
	look_further(s);
}

static void drop(struct keeping *k, uint64_t id)
{
	struct search *s;
	LIST_FOREACH(s, &k->searches, link)
		if (s->id == id)
			break;
	if (s)
		search_free(s);
}

static void on_question(void *self, unsigned events)
{
	struct keeping *k = self;
	struct keeper_question q;
	(void)events;
	ssize_t n = recv(k->fd, &q, sizeof(q), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n != (ssize_t)sizeof(q) || (q.kind != KEEPER_FIND && q.kind != KEEPER_DROP)) {
		loop_break(k->loop); /* the end, or not one of ours */
		return;
	}
	if (q.reads != k->reads)
		read_configuration(k, q.reads);
	if (q.kind == KEEPER_FIND)
		find(k, &q);
	else
		drop(k, q.id);
}

/* ── the process ── */

/*
 * Nothing of fetchd's but the socket and stderr. It ends with fetchd, not by what is sent to all of a terminal or unit.
 */
static int become(int fd)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* closed with all others below */
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
	    prctl(PR_SET_NAME, KEEPER_NAME) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	if (fd != SOCKET_FD && dup2(fd, SOCKET_FD) < 0)
		return -errno;
	closefrom(SOCKET_FD + 1);
	return 0;
}

void keeper_serve(int fd, const struct call *call)
{
	struct keeping k = {.fd = SOCKET_FD, .call = call, .settings = call->settings};
	log_set_level(LOG_LEVEL_ERROR);
	int r = become(fd);
	(void)harden_calls(HARDEN_MAY_EXEC); /* fetchd tells where that is not to be had */
	if (r == 0)
		r = loop_new(&k.loop);
	if (r < 0) {
		(void)log_errno(r, "cannot look up credentials");
		_exit(EX_OSERR);
	}
	loop_io_init(&k.readable, k.loop, on_question, &k);
	loop_io_watch(&k.readable, k.fd, LOOP_READ);
	loop_run(k.loop);
	while (!LIST_EMPTY(&k.searches))
		search_free(LIST_FIRST(&k.searches));
	_exit(EX_OK); /* what exit(3) would flush is fetchd's */
}
