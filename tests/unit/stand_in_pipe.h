/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes without nanomsg, linked in place of common/wire/pipe.c. Messages wait in a queue, as bytes, until the other end
 * receives them. A pipe that breaks loses its queue. The program under test has the ends that it opens, the test has
 * the others. Include it in one file of a program. Longer than 150 lines because it is an implementation, not an
 * interface.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_PIPE_H
#define SLUICE_TESTS_UNIT_STAND_IN_PIPE_H

/* Own */
#include "tests/unit/unit.h"

/* What it stands in for */
#include "common/wire/pipe.h"

#define PIPES        (PIPE_RECEIPTS + 1)
#define QUEUE_MAX    1024
#define FD_SEND      1 /* added to twice the name */
#define ROOM_DEFAULT 8 /* messages that a pipe queues, unless a test changes it */

struct pipe {
	enum pipe_name name;
	struct {
		uint8_t *data; /* owned */
		size_t len;
	} queue[QUEUE_MAX];
	size_t first, len;
	size_t room;
	uint8_t *taken; /* memory of the views of the last message */
	uint64_t losses;
	uint8_t version; /* that the program writes in; the test's end of the pipe never sends on it */
};

static struct pipe stand_in_pipes[PIPES];

/* ── what the program sees ── */

int pipe_open(const char *runtime_dir, enum pipe_name name, enum pipe_end end, struct pipe **ret_pipe)
{
	(void)runtime_dir;
	(void)end;
	stand_in_pipes[name] = (struct pipe){.name = name, .room = ROOM_DEFAULT};
	*ret_pipe = &stand_in_pipes[name];
	return 0;
}

static inline void pipe_empty(struct pipe *p)
{
	for (; p->len > 0; p->len--)
		free(p->queue[p->first++ % QUEUE_MAX].data);
}

void pipe_close(struct pipe *p)
{
	if (!p)
		return;
	pipe_empty(p);
	free(p->taken);
	*p = (struct pipe){0};
}

const char *pipe_name_text(enum pipe_name name)
{
	return name == PIPE_ORDERS ? "orders" : name == PIPE_CHUNKS ? "chunks" : "other";
}

int pipe_renew(struct pipe *p)
{
	(void)p;
	return 0;
}

bool pipe_connects(const struct pipe *p)
{
	(void)p;
	return true;
}

int pipe_receive_fd(const struct pipe *p)
{
	return 2 * (int)p->name;
}

int pipe_send_fd(const struct pipe *p)
{
	return 2 * (int)p->name + FD_SEND;
}

static inline bool stand_in_pipe_is_ready(int fd)
{
	const struct pipe *p = &stand_in_pipes[fd / 2];
	return fd % 2 == FD_SEND ? p->len < p->room : p->len > 0;
}

static inline int pipe_push(struct pipe *p, uint8_t *data, size_t len)
{
	if (p->len >= p->room)
		return -EAGAIN;
	size_t at = (p->first + p->len++) % QUEUE_MAX;
	p->queue[at].data = data;
	p->queue[at].len = len;
	return 0;
}

void pipe_speak(struct pipe *p, uint8_t version)
{
	p->version = version;
}

int pipe_send(struct pipe *p, const struct message *m)
{
	const struct message out = message_in(m, p->version);
	uint8_t *data = malloc(message_head_size(&out));
	assert_non_null(data);
	int r = pipe_push(p, data, message_encode_head(&out, data));
	if (r < 0)
		free(data);
	return r;
}

int pipe_receive(struct pipe *p, struct message *ret_message, enum decode_verdict *ret_verdict)
{
	if (p->len == 0)
		return -EAGAIN;
	free(p->taken);
	p->taken = p->queue[p->first % QUEUE_MAX].data;
	*ret_verdict = message_decode(span_of(p->taken, p->queue[p->first % QUEUE_MAX].len), ret_message);
	p->first++;
	p->len--;
	return *ret_verdict == DECODE_OK ? 0 : -EBADMSG;
}

uint64_t pipe_losses(const struct pipe *p)
{
	return p->losses;
}

unsigned pipe_peers(const struct pipe *p)
{
	(void)p;
	return 1;
}

int pipe_chunk_new(struct pipe *p, const struct message *head, size_t room, struct chunk *ret_chunk)
{
	const struct message out = message_in(head, p->version);
	size_t head_len = message_head_size(&out);
	uint8_t *msg = malloc(head_len + room);
	assert_non_null(msg);
	(void)message_encode_head(&out, msg);
	*ret_chunk = (struct chunk){.payload = msg + head_len, .room = room, .msg = msg, .head_len = head_len};
	return 0;
}

int pipe_chunk_send(struct pipe *p, struct chunk *c)
{
	int r = pipe_push(p, c->msg, c->head_len + c->payload_len);
	if (r == 0)
		*c = (struct chunk){0};
	else
		c->room = c->payload_len;
	return r;
}

void pipe_chunk_free(struct chunk *c)
{
	free(c->msg);
	*c = (struct chunk){0};
}

/* ── what the test does at the other end ── */

static inline void stand_in_pipe_put(enum pipe_name name, const struct message *m)
{
	assert_int_equal(pipe_send(&stand_in_pipes[name], m), 0);
}

/* Whether there is a message; its views hold until the next one. */
static inline bool stand_in_pipe_take(enum pipe_name name, struct message *ret_message)
{
	enum decode_verdict verdict;
	int r = pipe_receive(&stand_in_pipes[name], ret_message, &verdict);
	assert_int_not_equal(r, -EBADMSG);
	return r == 0;
}

/* Break the connection. Messages in flight are lost. */
static inline void stand_in_pipe_break(enum pipe_name name)
{
	pipe_empty(&stand_in_pipes[name]);
	stand_in_pipes[name].losses++;
}

#endif
