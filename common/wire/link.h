/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of the conversation of two stages: a pipe in, a pipe out, and who is at the other side.
 *
 * A pipe loses what its peer had not received when it died, and tells nobody. So each process has an incarnation, and
 * says it with HELLO:
 *
 *   one end calls      HELLO every HELLO_AGAIN_MS until a HELLO comes back that names it: greeted. Connections that
 *                      stay silent are made anew meanwhile. When a connection breaks it calls again.
 *   the other answers  HELLO once when it starts, and one for each HELLO that it hears.
 *
 * After a HELLO everything may have to be sent again: the peer has only what it received on this connection. HELLO is
 * the link's own; every other message goes through the hooks, a bounded number in each turn of the loop.
 */
#ifndef SLUICE_WIRE_LINK_H
#define SLUICE_WIRE_LINK_H

#include "common/base/loop.h"
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

struct link;

enum link_role {
	LINK_CALLS,
	LINK_ANSWERS,
};

struct link_hooks {
	/*
	 * A message, borrowed for the call. False: this end takes no such message; it is refused by name. May pause the
	 * link.
	 */
	bool (*take)(void *self, const struct message *m);
	/*
	 * What the peer should have is due again: a HELLO came, from another incarnation than before if `is_new`. An end that
	 * calls is not told of a HELLO that repeats the one that greeted it.
	 */
	void (*hello)(void *self, bool is_new);
	/* Send what is due, until link_send() says no: after a HELLO, and when the pipe takes messages again. */
	void (*flush)(void *self);
	/* May be NULL. Of an end that calls and was greeted: a connection broke, what went out on it may be lost. */
	void (*lost)(void *self);
	/* May be NULL. After each turn in which something was received. */
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
	unsigned turn_max;     /* received in one turn; then other events have theirs */
	const struct link_hooks *hooks;
	void *self;
};

/* Open both pipes and begin. `env` is copied, what it points to borrowed. 0 or -errno. NULL is fine to free. */
int link_new(const struct link_env *env, struct link **ret_link);
void link_free(struct link *l);

/*
 * Send a message without a payload. 0. -EAGAIN: not now, and `flush` will be called when it is worth another try; an end
 * that calls sends nothing until it is greeted, because whoever greets it may have to be told everything then.
 * Another -errno, which has been logged: as good as never.
 */
int link_send(struct link *l, const struct message *m);

/* Receive nothing more until it is resumed; also from `take`, after that message. */
void link_pause(struct link *l);
void link_resume(struct link *l);

/* Log and count a whole but useless message, as when `take` returns false. */
void link_refuse(struct link *l, const char *what);

/* The peer's incarnation, 0 before the first HELLO; how often it was found to be another one. */
uint64_t link_peer(const struct link *l);
uint64_t link_restarts(const struct link *l);

/* Whether the present peer has named our incarnation. */
bool link_is_greeted(const struct link *l);

/* How many processes are connected to either pipe. */
unsigned link_peers_in(const struct link *l);
unsigned link_peers_out(const struct link *l);

/* For chunks, which are sent without a copy. Borrowed. */
struct pipe *link_out(struct link *l);

#endif
