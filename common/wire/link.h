/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of the conversation of two stages: an incoming pipe, an outgoing pipe, and who the peer is.
 *
 * When a peer dies, a pipe silently loses what the peer had not received. So each process has an incarnation and
 * announces it in HELLO:
 *
 *   one end calls      HELLO every HELLO_AGAIN_MS until a HELLO comes back that names it: then it is greeted. Meanwhile,
 *                      connections that stay silent are made anew. After a connection breaks it calls again.
 *   the other answers  HELLO once when it starts, and one for each HELLO that it receives.
 *
 * After a HELLO everything may have to be sent again: the peer has only what it received on this connection. The link
 * handles HELLO itself; every other message goes to the hooks, a bounded number per turn of the loop.
 *
 * The answering end, which binds, drops all connections when a turn of the loop finds more than LINK_PEERS_MAX: each
 * takes a descriptor.
 *
 * HELLO also says which versions of the protocol its sender understands. Messages are written in the highest that both
 * do, so nothing but HELLO is sent to a peer that has not been heard. Without a common version the sender is refused by
 * name, is told our versions, and is not a peer.
 */
#ifndef SLUICE_WIRE_LINK_H
#define SLUICE_WIRE_LINK_H

#include "common/base/loop.h"
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

#define LINK_PEERS_MAX 64 /* connections to a pipe that we bind: there is only one peer */

struct link;

enum link_role {
	LINK_CALLS,
	LINK_ANSWERS,
};

struct link_hooks {
	/*
	 * A message, borrowed for the call. False: this end does not accept such a message; it is logged by name and
	 * counted. May pause the link.
	 */
	bool (*take)(void *self, const struct message *m);
	/*
	 * A HELLO arrived, so everything that the peer should have is due again; `is_new`: from a new incarnation. Not
	 * called, at the calling end, for a repetition of the HELLO that greeted it.
	 */
	void (*hello)(void *self, bool is_new);
	/* Send what is due until link_send() refuses: after a HELLO, and when the pipe accepts messages again. */
	void (*flush)(void *self);
	/* May be NULL. At the calling end, once greeted: a connection broke, and what was sent on it may be lost. */
	void (*lost)(void *self);
	/* May be NULL. Called after each turn in which something was received. */
	void (*turn)(void *self);
};

struct link_env {
	struct loop *loop;
	const char *runtime_dir;
	enum pipe_name in, out;
	enum link_role role;
	uint64_t incarnation;  /* our own */
	const char *peer_name; /* "ingestd" */
	enum counter refused;  /* counts the messages that were refused */
	unsigned turn_max;     /* messages received in one turn, before other events get their turn */
	const struct link_hooks *hooks;
	void *self;
};

/* Open both pipes and start. `env` is copied, what it points to is borrowed. 0 or -errno. NULL is fine to free. */
int link_new(const struct link_env *env, struct link **ret_link);
void link_free(struct link *l);

/*
 * Send a message without a payload. 0. -EAGAIN: not now; `flush` will be called when another try may succeed. Nothing
 * is sent until the peer's first HELLO, nor by the calling end until it is greeted, because then the peer may have to
 * be told everything anyway. Another -errno is permanent in practice, and has been logged.
 */
int link_send(struct link *l, const struct message *m);

/* Receive nothing more until link_resume(). May be called from `take`: then that message is the last. */
void link_pause(struct link *l);
void link_resume(struct link *l);

/* Log and count a valid but useless message, as when `take` returns false. */
void link_refuse(struct link *l, const char *what);

/* The peer's incarnation, 0 before the first HELLO; how often it has changed. */
uint64_t link_peer(const struct link *l);
uint64_t link_restarts(const struct link *l);

/*
 * If whoever said HELLO last has no version in common with us and may still be there: a line about both. Else NULL.
 * Borrowed until the next HELLO.
 */
const char *link_stranger(const struct link *l);

/* How many processes are connected to either pipe. */
unsigned link_peers_in(const struct link *l);
unsigned link_peers_out(const struct link *l);

/* For chunks, which are sent without a copy. Borrowed. */
struct pipe *link_out(struct link *l);

#endif
