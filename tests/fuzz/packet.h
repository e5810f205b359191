/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets for a ctl socket, written as text, so that a seed can be read and a mutation changes one field. A packet is a
 * line; its fields are separated by tabs:
 *
 *   12  =ref  =source  =  8:-     a message of type 12: three texts behind their lengths, and a number of eight bytes
 *                                 with all bits set
 *   19/1                          a message of type 19 as version 1 writes it
 *   "SL...                        these very bytes
 *
 * Nothing is checked: what comes out may be anything, as from a client.
 */
#ifndef SLUICE_TESTS_FUZZ_PACKET_H
#define SLUICE_TESTS_FUZZ_PACKET_H

/* Tests */
#include "tests/fuzz/fuzz.h"

/* What is sent */
#include "common/wire/codec.h"

#define PACKET_ROOM (MESSAGE_HEAD_MAX + 8)

struct packet {
	size_t len;
	uint8_t bytes[PACKET_ROOM];
};

/* Take up to the next `end`, without it. */
static inline struct span fuzz_until(struct span *rest, uint8_t end)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->data, end, rest->len) : NULL;
	struct span part = fuzz_take(rest, at ? (size_t)(at - rest->data) : rest->len);
	if (at)
		(void)fuzz_take(rest, 1);
	return part;
}

/* Decimal, modulo 2^64; of "-" all bits. */
static inline uint64_t packet_number(struct span text)
{
	uint64_t value = 0;
	if (text.len > 0 && text.data[0] == '-')
		return UINT64_MAX;
	for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++)
		value = 10 * value + (uint64_t)(text.data[i] - '0');
	return value;
}

static inline void packet_add(struct packet *p, const void *data, size_t len)
{
	size_t room = sizeof(p->bytes) - p->len;
	len = len < room ? len : room;
	if (len > 0)
		memcpy(p->bytes + p->len, data, len);
	p->len += len;
}

static inline void packet_add_number(struct packet *p, uint64_t value, unsigned width)
{
	uint8_t bytes[8];
	be_put(bytes, value, width);
	packet_add(p, bytes, width);
}

static inline void packet_add_field(struct packet *p, struct span field)
{
	if (field.len > 0 && field.data[0] == '=') {
		packet_add_number(p, (field.len - 1) & UINT16_MAX, 2);
		packet_add(p, field.data + 1, field.len - 1);
	} else if (field.len > 1 && field.data[0] >= '1' && field.data[0] <= '8' && field.data[1] == ':') {
		unsigned width = field.data[0] - '0';
		packet_add_number(p, packet_number(span_of(field.data + 2, field.len - 2)), width);
	} else {
		packet_add(p, field.data, field.len);
	}
}

static inline void packet_of_line(struct span line, struct packet *ret_packet)
{
	struct packet *p = ret_packet;
	p->len = 0;
	if (line.len > 0 && line.data[0] == '"') {
		packet_add(p, line.data + 1, line.len - 1);
		return;
	}
	struct span type = fuzz_until(&line, '\t'), number = fuzz_until(&type, '/');
	const uint8_t head[] = {'S', 'L', type.len > 0 ? (uint8_t)packet_number(type) : WIRE_VERSION,
				(uint8_t)packet_number(number)};
	packet_add(p, head, sizeof(head));
	while (line.len > 0)
		packet_add_field(p, fuzz_until(&line, '\t'));
}

/*
 * Whether the line is a request that ctl.c hands on: it refuses what is not a message, and answers PING and SUBSCRIBE
 * itself. The message views the packet.
 */
static inline bool packet_request(struct span line, struct packet *ret_packet, struct message *ret_message)
{
	packet_of_line(line, ret_packet);
	return ret_packet->len <= MESSAGE_HEAD_MAX &&
	       message_decode(span_of(ret_packet->bytes, ret_packet->len), ret_message) == DECODE_OK &&
	       ret_message->type != MSG_PING && ret_message->type != MSG_SUBSCRIBE && ret_message->payload.len == 0;
}

#endif
