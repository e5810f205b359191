/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to bytes and back. Pure: no I/O, no allocation, no state.
 */
#ifndef SLUICE_WIRE_CODEC_H
#define SLUICE_WIRE_CODEC_H

#include "common/wire/message.h"

/* The longest encoded message, and the longest without its payload. */
#define MESSAGE_HEAD_MAX (64u << 10)
#define MESSAGE_MAX      (MESSAGE_HEAD_MAX + CHUNK_PAYLOAD_MAX)

enum decode_verdict {
	DECODE_OK,
	DECODE_SHORT,   /* ends inside a field, or before its header does */
	DECODE_LONG,    /* bytes after the last field */
	DECODE_MAGIC,   /* not a message of ours */
	DECODE_VERSION, /* of another protocol version */
	DECODE_TYPE,    /* an unknown type */
	DECODE_BOUNDS,  /* a field outside its bounds: too long, empty but required, a text with control characters,
			   ... */
};

/* The encoded size of the message without its payload. The fields must be within their bounds (asserted). */
size_t message_head_size(const struct message *m);

/*
 * Write the message without its payload to `out`, which has room for message_head_size(). A CHUNK's payload must follow
 * it directly; `m->payload` is not read. Returns the bytes written.
 */
size_t message_encode_head(const struct message *m, uint8_t *out);

/* Total and exact: every input has one verdict, and only DECODE_OK fills in `ret_message`, with views into `bytes`. */
enum decode_verdict message_decode(struct span bytes, struct message *ret_message);

/*
 * The same message, to be written in that version, 0: our highest. HELLO, PING, PONG and ERROR are not changed: every
 * version reads them. Views what `m` views.
 */
struct message message_in(const struct message *m, uint8_t version);

/* "FETCH", "a field is out of bounds": for logs. */
const char *message_name(enum message_type type);
const char *decode_verdict_text(enum decode_verdict v);

#endif
