/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same messages over stdin and stdout, each preceded by its length in four big-endian bytes, for shell pipelines.
 * Blocking.
 */
#ifndef SLUICE_WIRE_FRAME_H
#define SLUICE_WIRE_FRAME_H

#include "common/wire/codec.h"

struct frame_reader;

/* Borrows `fd`. */
int frame_reader_new(int fd, struct frame_reader **ret_reader);
void frame_reader_free(struct frame_reader *r);

/*
 * Read the next message. 1: there is one; its views are valid until the next call. 0: a clean end between two frames.
 * -ENODATA: the stream ends inside a frame. -EBADMSG: not a frame (`ret_verdict`, may be NULL, says why), and the rest of
 * the stream cannot be read. Another -errno: the read failed.
 */
int frame_read(struct frame_reader *r, struct message *ret_message, enum decode_verdict *ret_verdict);

/* Write a message with its payload in one call. 0 or -errno (-EPIPE: nobody reads). */
int frame_write(int fd, const struct message *m);

#endif
