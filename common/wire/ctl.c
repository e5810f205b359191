/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 500 lines because a connection, its queue and its subscriptions are one life. */
#include "common/wire/ctl.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/fs.h"
#include "common/base/log.h"

#define BACKLOG      128
#define ACCEPTS_MAX  16   /* accepted in one turn, before other events get their turn */
#define NO_ROOM_MS   100u /* until accept(2) is tried again after running out of descriptors */
#define SOCKET_UMASK 0117

/* A message that waits for a client to read. */
struct packet {
	STAILQ_ENTRY(packet) link;
	size_t len;
	uint8_t bytes[];
};

STAILQ_HEAD(packet_queue, packet);

enum client_phase {
	CLIENT_ASKS,   /* its next request is read */
	CLIENT_WAITS,  /* its request is being answered */
	CLIENT_LEAVES, /* nothing more is read; dropped once it has read its last message, or its time is up */
};

struct client {
	TAILQ_ENTRY(client) link;
	struct ctl *ctl;
	struct ctl_asker who;
	enum client_phase phase;
	int fd; /* owned */
	struct loop_io io;
	struct loop_timer farewell; /* set in CLIENT_LEAVES */
	uint64_t heard_ms;
	uint8_t version; /* of its last request, in which it is answered; 0: it has made none */
	bool is_noted;   /* its versions differ from ours, and that has been logged */
	struct packet_queue queue;
	size_t queue_len;
	bool wants_all;
	char **subjects; /* owned, each terminated */
	size_t subjects_len, subjects_room;
};

TAILQ_HEAD(client_list, client);

struct ctl {
	struct ctl_env env;
	int fd; /* owned: the listening socket */
	struct sockaddr_un address;
	bool bound, stopped;
	struct loop_io incoming;
	struct loop_timer room; /* set while there is no descriptor for another connection */
	struct client_list clients;
	size_t clients_len;
	uint64_t last_number;
	struct log_limit bad, near;
	uint8_t request[MESSAGE_HEAD_MAX]; /* the one being handled; events may be sent meanwhile */
	uint8_t bytes[MESSAGE_HEAD_MAX];   /* the message being sent */
};

/* ── clients ── */

static void client_close(struct client *cl)
{
	struct ctl *c = cl->ctl;
	struct packet *p;

	loop_io_stop(&cl->io);
	loop_timer_stop(&cl->farewell);
	(void)close_fd(cl->fd);
	while ((p = STAILQ_FIRST(&cl->queue))) {
		STAILQ_REMOVE_HEAD(&cl->queue, link);
		free(p);
	}
	for (size_t i = 0; i < cl->subjects_len; i++)
		free(cl->subjects[i]);
	free(cl->subjects);
	TAILQ_REMOVE(&c->clients, cl, link);
	c->clients_len--;
	if (cl->version > 0 && c->env.hooks->gone && !c->stopped)
		c->env.hooks->gone(c->env.self, &cl->who);
	free(cl);
}

static void on_farewell_over(void *self)
{
	client_close(self);
}

/* What to watch, by phase: requests while it may send some, and room in the socket while messages wait for it. */
static void client_watch(struct client *cl)
{
	unsigned events = cl->queue_len > 0 ? LOOP_WRITE : 0;

	if (cl->phase == CLIENT_ASKS && cl->queue_len < CTL_QUEUE_MAX && !cl->ctl->stopped)
		events |= LOOP_READ;
	if (events)
		loop_io_watch(&cl->io, cl->fd, events);
	else
		loop_io_stop(&cl->io);
}

/* 0; -EAGAIN: the socket is full; another -errno: the client is gone. */
static int packet_send(const struct client *cl, enum message_type type, const uint8_t *bytes, size_t len)
{
	(void)type; /* only for the failpoint */
	ssize_t n = FAILPOINT_MESSAGE(SEND, "send", type, send(cl->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL));

	if (n >= 0)
		return 0;
	return errno == EINTR || errno == ENOBUFS ? -EAGAIN : -errno;
}

/* Append to its queue. 0 or -ENOMEM. */
static int packet_queue(struct client *cl, const uint8_t *bytes, size_t len)
{
	struct packet *p = malloc(sizeof(*p) + len);

	if (!p)
		return -ENOMEM;
	p->len = len;
	memcpy(p->bytes, bytes, len);
	STAILQ_INSERT_TAIL(&cl->queue, p, link);
	cl->queue_len++;
	return 0;
}

/* Send or queue the message in ctl's `bytes`. False: the client is gone. */
static bool client_give(struct client *cl, enum message_type type, size_t len)
{
	const uint8_t *bytes = cl->ctl->bytes;
	int r = cl->queue_len > 0 ? -EAGAIN : packet_send(cl, type, bytes, len);

	if (r == -EAGAIN)
		r = packet_queue(cl, bytes, len);
	if (r == 0)
		return true;
	client_close(cl);
	return false;
}

static bool client_tell(struct client *cl, const struct message *m)
{
	const struct message out = message_in(m, cl->version);
	size_t len = message_encode_head(&out, cl->ctl->bytes);

	if (!client_give(cl, m->type, len))
		return false;
	client_watch(cl);
	return true;
}

/* Send its last message. */
static void client_dismiss(struct client *cl, enum fail_class fail_class, const char *text)
{
	const struct message m = {.type = MSG_ERROR, .fail_class = (uint8_t)fail_class, .text = span_str(text)};

	cl->phase = CLIENT_LEAVES;
	if (!client_tell(cl, &m))
		return;
	if (cl->queue_len == 0)
		client_close(cl);
	else
		loop_timer_set(&cl->farewell, CTL_FAREWELL_MS);
}

static void client_flush(struct client *cl)
{
	struct packet *p;
	int r = 0;

	while (r == 0 && (p = STAILQ_FIRST(&cl->queue))) {
		r = packet_send(cl, (enum message_type)p->bytes[3], p->bytes, p->len);
		if (r < 0)
			break;
		STAILQ_REMOVE_HEAD(&cl->queue, link);
		cl->queue_len--;
		free(p);
	}
	if ((r < 0 && r != -EAGAIN) || (r == 0 && cl->phase == CLIENT_LEAVES))
		client_close(cl);
	else
		client_watch(cl);
}

/* ── requests ── */

static void refuse(struct client *cl, const char *what)
{
	struct ctl *c = cl->ctl;
	struct reason text;

	count_add(c->env.refused, 1);
	reason_set(&text, "refused a request of user %u: %s", (unsigned)cl->who.uid, what);
	log_warning_limited(&c->bad, text.text);
	client_dismiss(cl, FAIL_USAGE, what);
}

/* Once for each connection, and not more often than a log can bear. */
static void note_neighbour(struct client *cl, const struct reason *words, unsigned version)
{
	uint64_t held_back;

	if (!cl->is_noted && log_limit_pass(&cl->ctl->near, &held_back))
		log_notice("%s: continuing with version %u", words->text, version);
	cl->is_noted = true;
}

static void on_ping(struct client *cl, const struct message *m)
{
	struct ctl *c = cl->ctl;
	struct reason words;
	struct message pong = {
	    .type = MSG_PONG,
	    .incarnation = c->env.identity->incarnation,
	    .started_s = c->env.identity->started_s,
	    .updated_s = clock_wall_s(),
	};

	enum stage_talk talk = stage_talk_of(m, "this client", stage_name(c->env.identity->stage), &words);
	if (talk == TALK_OTHER) {
		refuse(cl, words.text);
		return;
	}
	if (talk == TALK_NEIGHBOUR)
		note_neighbour(cl, &words, stage_version_for(m));
	c->env.hooks->describe(c->env.self, &pong);
	stage_introduce(&pong);
	(void)client_tell(cl, &pong);
}

static int subject_add(struct client *cl, struct span subject)
{
	if (cl->subjects_len == CTL_SUBJECTS_MAX)
		return -ENOSPC;
	char **all = array_room(cl->subjects, cl->subjects_len, &cl->subjects_room, sizeof(*all));
	if (!all)
		return -ENOMEM;
	cl->subjects = all;
	all[cl->subjects_len] = strndup((const char *)subject.data, subject.len);
	if (!all[cl->subjects_len])
		return -ENOMEM;
	cl->subjects_len++;
	return 0;
}

static bool names(const struct client *cl, struct span subject)
{
	bool found = false;

	for (size_t i = 0; !found && i < cl->subjects_len; i++)
		found = span_eq(span_str(cl->subjects[i]), subject);
	return found;
}

static bool wants(const struct client *cl, struct span subject)
{
	return cl->wants_all || names(cl, subject);
}

static void on_subscribe(struct client *cl, const struct message *m)
{
	int r = 0;

	if (m->ref.len == 0)
		cl->wants_all = true;
	else if (!wants(cl, m->ref))
		r = subject_add(cl, m->ref);
	if (r < 0)
		refuse(cl, r == -ENOSPC ? "too many subscriptions" : strerror(-r));
	else
		(void)client_tell(cl, &(struct message){.type = MSG_OK});
}

static void on_message(struct client *cl, const struct message *m)
{
	struct ctl *c = cl->ctl;

	cl->heard_ms = clock_mono_ms();
	if (m->type == MSG_PING) {
		on_ping(cl, m);
		return;
	}
	if (m->protocol < WIRE_TALK_MIN) {
		refuse(cl, decode_verdict_text(DECODE_VERSION));
		return;
	}
	cl->version = m->protocol < WIRE_VERSION ? m->protocol : WIRE_VERSION;
	if (m->type == MSG_SUBSCRIBE) {
		on_subscribe(cl, m);
	} else {
		struct ctl_asker who = cl->who;
		cl->phase = CLIENT_WAITS;
		client_watch(cl);
		c->env.hooks->request(c->env.self, &who, m);
	}
}

/* One request, so that every client gets its turn. */
static void client_read(struct client *cl)
{
	struct ctl *c = cl->ctl;
	struct message m;
	ssize_t n = recv(cl->fd, c->request, sizeof(c->request), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(cl);
		return;
	}
	enum decode_verdict v =
	    (size_t)n > sizeof(c->request) ? DECODE_LONG : message_decode(span_of(c->request, (size_t)n), &m);
	if (v != DECODE_OK)
		refuse(cl, decode_verdict_text(v));
	else if (FAILPOINT_MESSAGE(RECEIVE, "receive", m.type, 0) == 0)
		on_message(cl, &m);
	if (v == DECODE_OK && m.policy.len > 0)
		explicit_bzero(c->request, sizeof(c->request)); /* it may have a password */
}

static void on_client(void *self, unsigned events)
{
	struct client *cl = self;

	/* Either may free the client; the other follows in the next turn. */
	if (events & LOOP_READ)
		client_read(cl);
	else
		client_flush(cl);
}

static struct client *client_find(struct ctl *c, uint64_t number)
{
	struct client *cl;

	TAILQ_FOREACH(cl, &c->clients, link) {
		if (cl->who.client == number)
			return cl;
	}
	return NULL;
}

void ctl_answer(struct ctl *c, uint64_t client, const struct message *m)
{
	struct client *cl = client_find(c, client);

	if (!cl || cl->phase != CLIENT_WAITS)
		return;
	cl->phase = CLIENT_ASKS;
	(void)client_tell(cl, m);
}

void ctl_publish(struct ctl *c, struct span subject, const struct message *m)
{
	struct client *cl = TAILQ_FIRST(&c->clients), *next;

	for (; cl; cl = next) {
		next = TAILQ_NEXT(cl, link);
		if (cl->phase == CLIENT_LEAVES || !wants(cl, subject))
			continue;
		if (cl->queue_len >= CTL_QUEUE_MAX)
			client_dismiss(cl, FAIL_AGAIN, "events were dropped: this client reads too slowly");
		else
			(void)client_tell(cl, m);
	}
}

bool ctl_is_heard(const struct ctl *c, struct span subject)
{
	const struct client *cl;

	TAILQ_FOREACH(cl, &c->clients, link)
		if (cl->phase != CLIENT_LEAVES && names(cl, subject))
			return true;
	return false;
}

/* ── connections ── */

static size_t count_of(const struct ctl *c, uid_t uid)
{
	const struct client *cl;
	size_t count = 0;

	TAILQ_FOREACH(cl, &c->clients, link)
		count += cl->who.uid == uid;
	return count;
}

/* Whether to drop `a` rather than `b`: a subscriber has good reason to be silent. */
static bool goes_first(const struct client *a, const struct client *b)
{
	bool a_listens = a->wants_all || a->subjects_len > 0, b_listens = b->wants_all || b->subjects_len > 0;

	return a_listens != b_listens ? b_listens : a->heard_ms < b->heard_ms;
}

/* Of the user with the most connections, the one that has been silent longest. */
static void make_room(struct ctl *c)
{
	struct client *cl, *victim = NULL;
	size_t most = 0;

	TAILQ_FOREACH(cl, &c->clients, link) {
		size_t count = count_of(c, cl->who.uid);
		if (!victim || count > most || (count == most && goes_first(cl, victim))) {
			most = count;
			victim = cl;
		}
	}
	if (victim && victim->phase != CLIENT_LEAVES)
		client_dismiss(victim, FAIL_AGAIN, "there are too many connections");
	else if (victim)
		client_close(victim);
}

static void client_new(struct ctl *c, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	struct client *cl = NULL;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		cl = calloc(1, sizeof(*cl));
	if (!cl) {
		(void)close_fd(fd);
		return;
	}
	cl->ctl = c;
	cl->fd = fd;
	cl->who = (struct ctl_asker){.client = ++c->last_number, .uid = peer.uid};
	cl->heard_ms = clock_mono_ms();
	STAILQ_INIT(&cl->queue);
	TAILQ_INSERT_TAIL(&c->clients, cl, link);
	c->clients_len++;
	loop_io_init(&cl->io, c->env.loop, on_client, cl);
	loop_timer_init(&cl->farewell, c->env.loop, on_farewell_over, cl);
	client_watch(cl);
}

static void on_incoming(void *self, unsigned events)
{
	struct ctl *c = self;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
		int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
			loop_io_stop(&c->incoming);
			loop_timer_set(&c->room, NO_ROOM_MS);
		}
		if (fd < 0)
			return;
		while (c->clients_len >= CTL_CLIENTS_MAX)
			make_room(c);
		client_new(c, fd);
	}
}

static void on_room(void *self)
{
	struct ctl *c = self;

	loop_io_watch(&c->incoming, c->fd, LOOP_READ);
}

/* ── beginning and end ── */

/* We hold the stage's lock, so a socket that exists is stale. */
static int listen_at(struct ctl *c)
{
	mode_t saved = umask(SOCKET_UMASK);

	(void)fs_unlink(c->address.sun_path);
	int r =
	    FAILPOINT(NAME, "socket.bind", bind(c->fd, (const struct sockaddr *)&c->address, sizeof(c->address))) < 0
		? -errno
		: 0;
	(void)umask(saved);
	c->bound = r == 0;
	return r == 0 && listen(c->fd, BACKLOG) < 0 ? -errno : r;
}

int ctl_new(const struct ctl_env *env, struct ctl **ret_ctl, struct reason *why)
{
	struct ctl *c = calloc(1, sizeof(*c));

	reason_set(why, "out of memory");
	if (!c)
		return -ENOMEM;
	c->env = *env;
	c->fd = -1;
	TAILQ_INIT(&c->clients);
	loop_io_init(&c->incoming, env->loop, on_incoming, c);
	loop_timer_init(&c->room, env->loop, on_room, c);
	int r = stage_dir_make(env->runtime_dir, stage_name(env->identity->stage), why);
	if (r == 0) {
		r = stage_ctl_address(env->runtime_dir, env->identity->stage, &c->address);
		c->fd = r == 0 ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
		if (r == 0)
			r = c->fd < 0 ? -errno : listen_at(c);
		if (r < 0)
			reason_set(why, "cannot listen on '%s/%s/" STAGE_CTL "': %s", env->runtime_dir,
				   stage_name(env->identity->stage), strerror(-r));
	}
	if (r < 0) {
		ctl_free(c);
		return r;
	}
	loop_io_watch(&c->incoming, c->fd, LOOP_READ);
	*ret_ctl = c;
	return 0;
}

void ctl_stop(struct ctl *c)
{
	struct client *cl;

	c->stopped = true;
	loop_io_stop(&c->incoming);
	loop_timer_stop(&c->room);
	TAILQ_FOREACH(cl, &c->clients, link)
		client_watch(cl);
}

void ctl_free(struct ctl *c)
{
	struct client *cl;

	if (!c)
		return;
	while ((cl = TAILQ_FIRST(&c->clients)))
		client_close(cl);
	loop_io_stop(&c->incoming);
	loop_timer_stop(&c->room);
	(void)close_fd(c->fd);
	if (c->bound)
		(void)FAILPOINT(NAME, "socket.unlink", fs_unlink(c->address.sun_path));
	free(c);
}
