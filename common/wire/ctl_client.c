/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/ctl_client.h"

/* System */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"

#define SEND_AGAIN_MS 10

struct ctl_client {
	int fd;
	uint8_t version;                 /* to write in; 0, before it is known: our highest */
	uint8_t bytes[MESSAGE_HEAD_MAX]; /* the last message, to which the caller's views refer */
};

int ctl_connect(const char *runtime_dir, enum stage_id stage, struct ctl_client **ret_client)
{
	struct sockaddr_un address;
	int r = stage_ctl_address(runtime_dir, stage, &address);

	if (r < 0)
		return r;
	AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	struct ctl_client *c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = take_fd(&fd);
	c->version = 0;
	*ret_client = c;
	return 0;
}

void ctl_disconnect(struct ctl_client *c)
{
	if (!c)
		return;
	(void)close_fd(c->fd);
	free(c);
}

int ctl_client_fd(const struct ctl_client *c)
{
	return c->fd;
}

/* A packet that does not fit is not a message. */
static int receive_now(struct ctl_client *c, struct message *ret_message)
{
	ssize_t n = recv(c->fd, c->bytes, sizeof(c->bytes), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	if ((size_t)n > sizeof(c->bytes) || message_decode(span_of(c->bytes, (size_t)n), ret_message) != DECODE_OK)
		return -EBADMSG;
	return FAILPOINT_MESSAGE(RECEIVE, "receive", ret_message->type, 0);
}

/* -EAGAIN: nothing arrived in time, or, with `until_signal`, a signal did. */
static int receive(struct ctl_client *c, unsigned timeout_ms, bool until_signal, struct message *ret_message)
{
	uint64_t end_ms = clock_mono_ms() + timeout_ms;

	for (;;) {
		int r = receive_now(c, ret_message);
		uint64_t now_ms = clock_mono_ms();
		if (r != -EAGAIN || now_ms >= end_ms)
			return r;
		struct pollfd waits = {.fd = c->fd, .events = POLLIN};
		int ready = poll(&waits, 1, (int)(end_ms - now_ms));
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready < 0 && until_signal)
			return -EAGAIN;
	}
}

int ctl_receive(struct ctl_client *c, unsigned timeout_ms, struct message *ret_event)
{
	return receive(c, timeout_ms, true, ret_event);
}

int ctl_send(struct ctl_client *c, const struct message *request, unsigned timeout_ms)
{
	uint8_t bytes[MESSAGE_HEAD_MAX];
	const struct message out = message_in(request, c->version);
	size_t len = message_encode_head(&out, bytes);
	uint64_t end_ms = clock_mono_ms() + timeout_ms;

	/* A socket accepts more long before poll(2) reports it as writable. */
	for (;;) {
		ssize_t n = FAILPOINT_MESSAGE(SEND, "send", request->type,
					      send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT));
		if (n >= 0 && request->policy.len > 0)
			explicit_bzero(bytes, len); /* it may have a password */
		if (n >= 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (clock_mono_ms() >= end_ms)
			return -ETIMEDOUT;
		struct pollfd waits = {.fd = c->fd, .events = POLLOUT};
		(void)poll(&waits, 1, SEND_AGAIN_MS);
	}
}

int ctl_await(struct ctl_client *c, unsigned timeout_ms, struct message *ret_answer)
{
	int r = receive(c, timeout_ms, false, ret_answer);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

int ctl_ask(struct ctl_client *c, const struct message *request, unsigned timeout_ms, struct message *ret_answer)
{
	uint64_t end_ms = clock_mono_ms() + timeout_ms;
	int r = ctl_send(c, request, timeout_ms);

	if (r < 0)
		return r;
	uint64_t now_ms = clock_mono_ms();
	return ctl_await(c, now_ms < end_ms ? (unsigned)(end_ms - now_ms) : 0, ret_answer);
}

int ctl_ping(struct ctl_client *c, enum stage_id stage, unsigned timeout_ms, struct message *ret_pong,
	     struct reason *why)
{
	struct message ping = {.type = MSG_PING};

	stage_introduce(&ping);
	int r = ctl_ask(c, &ping, timeout_ms, ret_pong);
	if (r < 0) {
		reason_set(why, "%s does not answer: %s", stage_name(stage), strerror(-r));
		return r;
	}
	if (ret_pong->type == MSG_PONG &&
	    stage_talk_of(ret_pong, stage_name(stage), "this command", why) != TALK_OTHER) {
		c->version = stage_version_for(ret_pong);
		return 0;
	}
	if (ret_pong->type == MSG_ERROR)
		reason_set(why, "%.*s", SPAN_ARG(ret_pong->text));
	if (ret_pong->type == MSG_ERROR && ret_pong->fail_class == FAIL_AGAIN)
		return -EAGAIN;
	if (ret_pong->type == MSG_ERROR)
		return -EPROTO;
	if (ret_pong->type != MSG_PONG)
		reason_set(why, "%s answers %s to PING", stage_name(stage), message_name(ret_pong->type));
	return -EPROTO;
}

int ctl_open(const char *runtime_dir, enum stage_id stage, unsigned timeout_ms, struct ctl_client **ret_client,
	     struct message *ret_pong, struct reason *why)
{
	struct ctl_client *c = NULL;
	int r = ctl_connect(runtime_dir, stage, &c);

	if (!c) {
		reason_set(why, "cannot reach %s in '%s': %s", stage_name(stage), runtime_dir, strerror(-r));
		return r;
	}
	r = ctl_ping(c, stage, timeout_ms, ret_pong, why);
	if (r < 0) {
		ctl_disconnect(c);
		return r;
	}
	*ret_client = c;
	return 0;
}
