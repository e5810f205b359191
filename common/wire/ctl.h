/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and events: a Unix socket of our own (SOCK_SEQPACKET, a message of the codec in each packet) on which a
 * stage answers `sluice`. This is the stage's side; ctl_client.h is the other.
 *
 *   client                              stage
 *     │ connect ─────────────────────────► │  the client's user (SO_PEERCRED) is known from now on
 *     │ PING ────────────────────────────► │  which protocol versions the client understands; answered with PONG
 *     │ GET ─────────────────────────────► │  one request at a time: the next is not read before
 *     │ ◄──────────────────────── RECORD   │  this one is answered
 *     │ SUBSCRIBE ref ───────────────────► │  from the OK on, events about that ref; an empty ref: all
 *     │ ◄──────────────────── OK, RECORD…  │
 *
 * The socket RUNTIME/STAGE/ctl is in a directory that only the stage can write to. Whoever can connect may send
 * requests.
 *
 * A client writes in a version that both understand: PONG says which we do. It is answered, and hears events, in the
 * version of its last request.
 *
 * A stage never waits for a client. Unread messages wait in the socket and then in a queue of CTL_QUEUE_MAX; a client
 * that falls further behind gets ERROR with FAIL_AGAIN as its last message and is dropped. Bytes that are not a
 * message, or a message of an unsupported protocol version, are answered with ERROR and FAIL_USAGE and end only that
 * connection. Beyond CTL_CLIENTS_MAX, the user with the most connections loses the one that has been silent longest.
 *
 * A seam: another implementation can take the place of ctl.c when a program is linked.
 */
#ifndef SLUICE_WIRE_CTL_H
#define SLUICE_WIRE_CTL_H

#include <sys/types.h>

#include "common/base/loop.h"
#include "common/wire/codec.h"
#include "common/wire/counters.h"
#include "common/wire/stage.h"

#define CTL_CLIENTS_MAX  256
#define CTL_QUEUE_MAX    64     /* messages that wait in memory for one client */
#define CTL_SUBJECTS_MAX 4096   /* refs that one client may subscribe to */
#define CTL_FAREWELL_MS  60000u /* how long the last message waits for the client to read it */

struct ctl;

/* The client of a request. */
struct ctl_asker {
	uint64_t client; /* a number that is never reused */
	uid_t uid;
};

struct ctl_hooks {
	/*
	 * A request, borrowed for the call; ctl handles PING and SUBSCRIBE itself. To be answered with ctl_answer(),
	 * now or later.
	 */
	void (*request)(void *self, const struct ctl_asker *who, const struct message *m);
	/* A client that has made requests is gone. May be NULL. */
	void (*gone)(void *self, const struct ctl_asker *who);
	/* Fill in what PONG says about the store: dev, ino, boot and text, which are valid until the next call. */
	void (*describe)(void *self, struct message *pong);
};

struct ctl_env {
	struct loop *loop;
	const char *runtime_dir;
	const struct stage_self *identity;
	enum counter refused; /* counts the messages that were refused */
	const struct ctl_hooks *hooks;
	void *self;
};

/* Bind and start. `env` is copied, what it points to is borrowed. 0, or -errno with a reason. NULL is fine to free. */
int ctl_new(const struct ctl_env *env, struct ctl **ret_ctl, struct reason *why);
void ctl_free(struct ctl *c);

/* Answer the pending request of that client. It is fine if the client is gone. */
void ctl_answer(struct ctl *c, uint64_t client, const struct message *m);

/* The same with ERROR. */
static inline void ctl_answer_error(struct ctl *c, uint64_t client, enum fail_class fail_class, const char *text)
{
	ctl_answer(c, client,
		   &(struct message){.type = MSG_ERROR, .fail_class = (uint8_t)fail_class, .text = span_str(text)});
}

/* An event about `subject`, to all who subscribed to it or to all. */
void ctl_publish(struct ctl *c, struct span subject, const struct message *m);

/* Whether a client has subscribed to just that subject, so that it is about to hear of it. */
bool ctl_is_heard(const struct ctl *c, struct span subject);

/* The stage stops: no more requests are read; pending ones may still be answered. */
void ctl_stop(struct ctl *c);

#endif
