/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipes that carry the data between the stages: nanomsg sockets in the runtime directory. Only pipe.c knows
 * nanomsg. Nothing here blocks. One thread of a process uses them.
 *
 * A message that was accepted for sending is lost if either end dies before it is received, so a sender must be able to
 * repeat it.
 *
 * A seam: tests/unit/stand_in_pipe.h can take the place of pipe.c when a program is linked.
 */
#ifndef SLUICE_WIRE_PIPE_H
#define SLUICE_WIRE_PIPE_H

#include "common/wire/codec.h"

/*
 * A socket is in a directory of the process that binds it (stage.h): ingestd's for fetchd, commitd's for ingestd. So
 * fetchd cannot replace a socket that ingestd or commitd binds.
 */
enum pipe_name {
	PIPE_ORDERS,   /* ingestd binds and pushes, fetchd pulls */
	PIPE_CHUNKS,   /* ingestd binds and pulls, fetchd pushes */
	PIPE_SEALS,    /* commitd binds and pulls, ingestd pushes */
	PIPE_RECEIPTS, /* commitd binds and pushes, ingestd pulls */
};

enum pipe_end {
	PIPE_PUSH,
	PIPE_PULL,
};

/* "orders": the file name of its socket. */
const char *pipe_name_text(enum pipe_name name);

struct pipe;

/*
 * Open one end; whether it binds or connects follows from the table above. A connecting end reconnects by itself for
 * ever; a binding end creates the directory of the socket if necessary. -ENAMETOOLONG: the path is too long for a
 * socket; -EPERM: the directory of the socket is not ours alone; -ENOMEM, -EMFILE, -EACCES, ...
 */
int pipe_open(const char *runtime_dir, enum pipe_name name, enum pipe_end end, struct pipe **ret_pipe);

/* NULL is fine. Also removes the file of a bound socket. */
void pipe_close(struct pipe *p);

/*
 * Drop all connections and begin anew; what was sent on them and not received is lost. 0, or -errno: call it again
 * later. A connecting end does so if it hears nothing from a peer that should be there: nanomsg never notices that the
 * other end of a connection died in the middle of the handshake (about one in 300 kills in a peer's first
 * milliseconds). A binding end does so if there are too many peers; its descriptors change.
 */
int pipe_renew(struct pipe *p);

/* Whether it is a connecting end. */
bool pipe_connects(const struct pipe *p);

/*
 * Descriptors for an event loop or poll(2), readable while something can be received, or sent. Level-triggered; never
 * read from them. -1 if the end does not receive, or send.
 */
int pipe_receive_fd(const struct pipe *p);
int pipe_send_fd(const struct pipe *p);

/*
 * Receive the next message. -EAGAIN: none. -EBADMSG: bytes arrived that are not a message (`ret_verdict`, may be NULL,
 * says why); they are discarded, so just continue. On 0 the views of `ret_message` are valid until the next receive on
 * this pipe or its close.
 */
int pipe_receive(struct pipe *p, struct message *ret_message, enum decode_verdict *ret_verdict);

/* Write in that version from now on, for a peer that does not understand our highest. */
void pipe_speak(struct pipe *p, uint8_t version);

/* Send a message without a payload. -EAGAIN: no peer, or it accepts none now. */
int pipe_send(struct pipe *p, const struct message *m);

/*
 * How many connections have broken so far. When the number grows, messages that were sent but not received may be lost.
 */
uint64_t pipe_losses(const struct pipe *p);

/* How many are connected to this end now. */
unsigned pipe_peers(const struct pipe *p);

/*
 * A CHUNK without copying: get a message with room for a payload after the encoded head, fill in `payload`, send
 * `payload_len` bytes of it on the same pipe.
 */
struct chunk {
	uint8_t *payload;
	size_t room;        /* bytes, up to CHUNK_PAYLOAD_MAX */
	size_t payload_len; /* how many are filled */
	void *msg;          /* the pipe's */
	size_t head_len;
};

/* `head` is a CHUNK with an empty payload. 0 or -ENOMEM; the caller owns the chunk until it is sent or freed. */
int pipe_chunk_new(struct pipe *p, const struct message *head, size_t room, struct chunk *ret_chunk);
/* 0: sent, and `c` is cleared. -EAGAIN: the caller still owns it; it is cut to its length, so no bytes can be added. */
int pipe_chunk_send(struct pipe *p, struct chunk *c);
void pipe_chunk_free(struct chunk *c);

#endif
