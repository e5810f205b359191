/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/pipe.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Base */
#include "common/base/failpoint.h"
#include "common/base/fs.h"

/* Wire */
#include "common/wire/stage.h"

#define RECONNECT_MS 20 /* nanomsg waits this long before it tries a lost or absent peer again */
#define SOCKET_UMASK 0117
#define SCHEME       "ipc://"

struct pipe {
	int socket;
	int receive_fd;
	int send_fd;
	void *held;        /* the last received message, to which the caller's views refer */
	size_t secret_len; /* of that, if it has a policy, in which there may be a password */
	char *address;     /* "ipc://" and the path of the socket */
	enum pipe_end end;
	const struct pipe_row *row;
	int endpoint;    /* nanomsg's number of what is bound or connected; -1: none */
	uint8_t version; /* to write in; 0: our highest */
};

static const struct pipe_row {
	const char *dir, *name;
	enum pipe_end binder;
	size_t receive_max; /* bytes; nanomsg drops the connection of whoever sends more */
} rows[] = {
    [PIPE_ORDERS] = {STAGE_FETCH_DIR, "orders", PIPE_PUSH, MESSAGE_HEAD_MAX},
    [PIPE_CHUNKS] = {STAGE_FETCH_DIR, "chunks", PIPE_PULL, MESSAGE_MAX},
    [PIPE_SEALS] = {STAGE_SEAL_DIR, "seals", PIPE_PULL, MESSAGE_HEAD_MAX},
    [PIPE_RECEIPTS] = {STAGE_SEAL_DIR, "receipts", PIPE_PUSH, MESSAGE_HEAD_MAX},
};

static int option_set(int socket, int option, int value)
{
	return nn_setsockopt(socket, NN_SOL_SOCKET, option, &value, sizeof(value)) < 0 ? -nn_errno() : 0;
}

static int fd_get(int socket, int option, int *ret_fd)
{
	size_t size = sizeof(*ret_fd);
	return nn_getsockopt(socket, NN_SOL_SOCKET, option, ret_fd, &size) < 0 ? -nn_errno() : 0;
}

static bool binds(const struct pipe *p)
{
	return p->end == p->row->binder;
}

static int socket_set_up(struct pipe *p)
{
	int r = option_set(p->socket, NN_RCVMAXSIZE, (int)p->row->receive_max);
	if (r == 0)
		r = option_set(p->socket, NN_RECONNECT_IVL, RECONNECT_MS);
	if (r < 0)
		return r;
	return p->end == PIPE_PULL ? fd_get(p->socket, NN_RCVFD, &p->receive_fd)
				   : fd_get(p->socket, NN_SNDFD, &p->send_fd);
}

/*
 * The umask decides the mode of a socket; who may reach it is up to its directory. We hold the stage's lock, so what exists
 * is stale: nanomsg itself replaces nothing but sockets.
 */
static int socket_bind(struct pipe *p)
{
	mode_t saved = umask(SOCKET_UMASK);

	(void)fs_unlink(p->address + strlen(SCHEME));
	p->endpoint = FAILPOINT(NAME, "socket.bind", nn_bind(p->socket, p->address));
	int r = p->endpoint < 0 ? -nn_errno() : 0;
	(void)umask(saved);
	return r;
}

static int socket_connect(struct pipe *p)
{
	p->endpoint = nn_connect(p->socket, p->address);
	return p->endpoint < 0 ? -nn_errno() : 0;
}

static int socket_open(struct pipe *p)
{
	p->socket = nn_socket(AF_SP, p->end == PIPE_PULL ? NN_PULL : NN_PUSH);
	int r = p->socket < 0 ? -nn_errno() : socket_set_up(p);
	if (r < 0)
		return r;
	return binds(p) ? socket_bind(p) : socket_connect(p);
}

static int pipe_attach(struct pipe *p, const char *runtime_dir)
{
	const struct pipe_row *row = p->row;

	if (strlen(runtime_dir) + strlen(row->dir) + strlen(row->name) + 2 >=
	    sizeof(((struct sockaddr_un *)0)->sun_path))
		return -ENAMETOOLONG;
	if (asprintf(&p->address, SCHEME "%s/%s/%s", runtime_dir, row->dir, row->name) < 0) {
		p->address = NULL;
		return -ENOMEM;
	}
	int r = binds(p) ? stage_dir_make(runtime_dir, row->dir, NULL) : 0;
	return r < 0 ? r : socket_open(p);
}

int pipe_open(const char *runtime_dir, enum pipe_name name, enum pipe_end end, struct pipe **ret_pipe)
{
	struct pipe *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->socket = p->receive_fd = p->send_fd = p->endpoint = -1;
	p->end = end;
	p->row = &rows[name];
	int r = pipe_attach(p, runtime_dir);
	if (r < 0) {
		pipe_close(p);
		return r;
	}
	*ret_pipe = p;
	return 0;
}

static void drop_held(struct pipe *p)
{
	if (!p->held)
		return;
	explicit_bzero(p->held, p->secret_len);
	(void)nn_freemsg(p->held);
	p->held = NULL;
	p->secret_len = 0;
}

/* Returns when nanomsg has closed all connections, and removed the file of what was bound. */
static void socket_close(struct pipe *p)
{
	drop_held(p);
	if (p->socket >= 0)
		(void)nn_close(p->socket);
	if (binds(p) && p->endpoint >= 0)
		(void)FAILPOINT(NAME, "socket.unlink", fs_unlink(p->address + strlen(SCHEME)));
	p->socket = p->receive_fd = p->send_fd = p->endpoint = -1;
}

void pipe_close(struct pipe *p)
{
	if (!p)
		return;
	socket_close(p);
	free(p->address);
	free(p);
}

int pipe_renew(struct pipe *p)
{
	if (binds(p)) { /* nn_shutdown() removes the file later, and then it is that of the new one */
		socket_close(p);
		return socket_open(p);
	}
	if (p->endpoint >= 0)
		(void)nn_shutdown(p->socket, p->endpoint);
	return socket_connect(p);
}

bool pipe_connects(const struct pipe *p)
{
	return !binds(p);
}

const char *pipe_name_text(enum pipe_name name)
{
	return rows[name].name;
}

int pipe_receive_fd(const struct pipe *p)
{
	return p->receive_fd;
}

int pipe_send_fd(const struct pipe *p)
{
	return p->send_fd;
}

int pipe_receive(struct pipe *p, struct message *ret_message, enum decode_verdict *ret_verdict)
{
	drop_held(p);

	int len = nn_recv(p->socket, &p->held, NN_MSG, NN_DONTWAIT);
	if (len < 0) {
		p->held = NULL;
		return nn_errno() == EINTR ? -EAGAIN : -nn_errno();
	}
	enum decode_verdict v = message_decode(span_of(p->held, (size_t)len), ret_message);
	p->secret_len = v == DECODE_OK && ret_message->policy.len > 0 ? (size_t)len : 0;
	if (ret_verdict)
		*ret_verdict = v;
	return v == DECODE_OK ? FAILPOINT_MESSAGE(RECEIVE, "receive", ret_message->type, 0) : -EBADMSG;
}

uint64_t pipe_losses(const struct pipe *p)
{
	return nn_get_statistic(p->socket, NN_STAT_BROKEN_CONNECTIONS);
}

unsigned pipe_peers(const struct pipe *p)
{
	return (unsigned)nn_get_statistic(p->socket, NN_STAT_CURRENT_CONNECTIONS);
}

/* Hand `msg` to nanomsg; on failure it stays the caller's. */
static int msg_send(int socket, void *msg)
{
	if (nn_send(socket, &msg, NN_MSG, NN_DONTWAIT) >= 0)
		return 0;
	return nn_errno() == EINTR ? -EAGAIN : -nn_errno();
}

void pipe_speak(struct pipe *p, uint8_t version)
{
	p->version = version;
}

int pipe_send(struct pipe *p, const struct message *m)
{
	const struct message out = message_in(m, p->version);
	void *msg = nn_allocmsg(message_head_size(&out), 0);

	if (!msg)
		return -ENOMEM;
	(void)message_encode_head(&out, msg);
	int r = FAILPOINT_MESSAGE(SEND, "send", m->type, msg_send(p->socket, msg));
	if (r < 0)
		(void)nn_freemsg(msg);
	return r;
}

int pipe_chunk_new(struct pipe *p, const struct message *head, size_t room, struct chunk *ret_chunk)
{
	assert(head->type == MSG_CHUNK && room <= CHUNK_PAYLOAD_MAX);
	const struct message out = message_in(head, p->version);
	size_t head_len = message_head_size(&out);
	uint8_t *msg = nn_allocmsg(head_len + room, 0);

	if (!msg)
		return -ENOMEM;
	(void)message_encode_head(&out, msg);
	*ret_chunk = (struct chunk){.payload = msg + head_len, .room = room, .msg = msg, .head_len = head_len};
	return 0;
}

int pipe_chunk_send(struct pipe *p, struct chunk *c)
{
	assert(c->msg && c->payload_len > 0 && c->payload_len <= c->room);
	if (c->payload_len < c->room) {
		void *cut = nn_reallocmsg(c->msg, c->head_len + c->payload_len);
		if (!cut)
			return -ENOMEM;
		c->msg = cut;
		c->room = c->payload_len;
		c->payload = (uint8_t *)cut + c->head_len;
	}
	int r = FAILPOINT_MESSAGE(SEND, "send", MSG_CHUNK, msg_send(p->socket, c->msg));
	if (r == 0)
		*c = (struct chunk){0};
	return r;
}

void pipe_chunk_free(struct chunk *c)
{
	if (c->msg)
		(void)nn_freemsg(c->msg);
	*c = (struct chunk){0};
}
