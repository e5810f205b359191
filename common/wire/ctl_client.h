/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of a stage's ctl socket (ctl.h): blocking, for commands. A connection serves either requests or events;
 * after a failure it is useless, and a new one is needed.
 *
 * A stage counts as running if it accepts a connection.
 */
#ifndef SLUICE_WIRE_CTL_CLIENT_H
#define SLUICE_WIRE_CTL_CLIENT_H

#include "common/wire/codec.h"
#include "common/wire/stage.h"

struct ctl_client;

/*
 * Connect. 0. -ENOENT, -ECONNREFUSED: the stage does not run. -EAGAIN: it runs but its backlog is full; try again.
 * -EACCES: we may not connect. -ENAMETOOLONG or another -errno. Does not block.
 */
int ctl_connect(const char *runtime_dir, enum stage_id stage, struct ctl_client **ret_client);
void ctl_disconnect(struct ctl_client *c); /* NULL is fine */

/*
 * How to begin a conversation: ctl_connect(), then ctl_ping(), which waits up to `timeout_ms`. 0: the connection and
 * the PONG, whose views are valid until the next call. Otherwise nothing stays open and there is a reason: -EPROTO,
 * -ETIMEDOUT, -EPIPE, -EBADMSG as ctl_ping(), from a stage that runs; -EAGAIN: it runs but has no room for us now; or as
 * ctl_connect().
 */
int ctl_open(const char *runtime_dir, enum stage_id stage, unsigned timeout_ms, struct ctl_client **ret_client,
	     struct message *ret_pong, struct reason *why);

/* Readable when there is something to receive, or the stage is gone. Borrowed. */
int ctl_client_fd(const struct ctl_client *c);

/*
 * Send a request and wait for its answer, up to `timeout_ms`. 0: the answer, which may be ERROR; its views are valid
 * until the next call. -ETIMEDOUT; -EPIPE: the stage is gone; -EBADMSG: what arrived is not a message; or another
 * -errno.
 */
int ctl_ask(struct ctl_client *c, const struct message *request, unsigned timeout_ms, struct message *ret_answer);

/* Go on waiting for the answer to the last request, after -ETIMEDOUT of ctl_ask(). As that. */
int ctl_await(struct ctl_client *c, unsigned timeout_ms, struct message *ret_answer);

/*
 * Send a request without waiting for its answer, which then comes among the events: SUBSCRIBE. Waits up to `timeout_ms`
 * for room. 0, -ETIMEDOUT or another -errno.
 */
int ctl_send(struct ctl_client *c, const struct message *request, unsigned timeout_ms);

/*
 * The next event or such an answer; waits up to `timeout_ms` or until a signal. -EAGAIN: none arrived; else as above.
 */
int ctl_receive(struct ctl_client *c, unsigned timeout_ms, struct message *ret_event);

/*
 * Ask the stage which process it is and whether we have a protocol version in common. 0: `ret_pong`, whose views are
 * valid until the next call; what is sent from now on is of the highest version in common, before it is of our highest.
 * -EPROTO: we have none, or it refuses ours; `why` says what it understands. -EAGAIN: it has no room for us now. Else
 * as ctl_ask(), with a reason.
 */
int ctl_ping(struct ctl_client *c, enum stage_id stage, unsigned timeout_ms, struct message *ret_pong,
	     struct reason *why);

#endif
