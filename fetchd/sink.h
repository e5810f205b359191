/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where messages go: the `chunks` pipe, or frames or raw bytes on a descriptor. A sink serves any number of transfers,
 * each through its own outlet.
 *
 * An outlet never blocks on the pipe and never loses or reorders a transfer's messages: what the pipe does not accept
 * now (OPENED, the current chunk, END or FAIL, BEAT) stays in the outlet and is sent, in this order, when the pipe
 * accepts messages again. Bytes are copied once, from the network's buffer into the current chunk. A descriptor is
 * written to directly and may block.
 */
#ifndef SLUICE_FETCHD_SINK_H
#define SLUICE_FETCHD_SINK_H

#include <sys/queue.h>

#include "common/base/loop.h"
#include "common/wire/pipe.h"

#define CHUNK_AGE_MAX_MS 50 /* a chunk that is not full is sent after this long */

struct sink;

enum sink_form {
	SINK_FRAMES,
	SINK_RAW, /* only payloads */
};

/* Borrow `pipe` or `fd` and the loop. 0 or -errno. */
int sink_new_pipe(struct loop *loop, struct pipe *pipe, struct sink **ret_sink);
int sink_new_fd(struct loop *loop, int fd, enum sink_form form, struct sink **ret_sink);

/* All outlets must be released. NULL is fine. */
void sink_free(struct sink *s);

struct outlet {
	struct sink *sink;
	void (*drained)(void *self); /* called when there is room again after -EAGAIN or a message that was kept */
	void *self;
	struct span ref; /* borrowed for the life of the outlet */
	uint64_t attempt;
	uint64_t offset;       /* of the next byte in the content */
	uint64_t last_sent_ms; /* monotonic: when the last message was sent */

	/* The outlet's own. */
	struct chunk chunk;                /* current while `chunk.payload` is set */
	uint64_t chunk_since_ms;           /* when its first byte arrived */
	struct message opened, last, beat; /* kept ones; a type of 0: none */
	struct loop_timer age;
	bool flush;   /* send the current chunk although it is not full */
	bool closed;  /* the current chunk was offered to the pipe: no bytes can be added to it */
	bool waiting; /* in the sink's line */
	TAILQ_ENTRY(outlet) link;
};

/* `o` is all zero except `drained`, `self`, `ref`, `attempt` and `offset`. */
void outlet_init(struct outlet *o, struct sink *s);

/* Drop what is kept. May be called for an outlet that is all zero. */
void outlet_release(struct outlet *o);

/* 0: all bytes were accepted. Otherwise none: -EAGAIN, and `drained` will be called; other -errno: the descriptor is broken.
 */
int outlet_put(struct outlet *o, const void *data, size_t len);

/*
 * For bytes that may arrive before their turn: a chunk that starts at `offset`, filled by the caller and put without a
 * copy when the outlet has reached that offset. 0 or -ENOMEM. The caller owns the chunk until it is put or freed.
 */
int outlet_chunk_new(struct outlet *o, uint64_t offset, size_t room, struct chunk *ret_chunk);
/* 0: it was accepted. Otherwise as outlet_put(): the caller still owns it, but no bytes can be added to it. */
int outlet_chunk_put(struct outlet *o, struct chunk *c);
void outlet_chunk_free(struct outlet *o, struct chunk *c);

/* Do not wait for a full chunk. 0 or -errno as above, without -EAGAIN. */
int outlet_flush(struct outlet *o);

/*
 * Send or keep an OPENED, END, FAIL or BEAT; its spans are borrowed for the life of the outlet. The outlet fills in ref
 * and attempt. A BEAT replaces one that is kept. 0 or -errno as above, without -EAGAIN.
 */
int outlet_say(struct outlet *o, const struct message *m);

/* Whether nothing is kept. */
bool outlet_idle(const struct outlet *o);

#endif
