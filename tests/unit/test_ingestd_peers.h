/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetchd and commitd at the other ends of ingestd's pipes (stand_in_pipe.h): fetchd serves `content` for REF, commitd
 * names sealed data.
 * Longer than 150 lines because it is code, linked to each test that includes it.
 */
#ifndef SLUICE_TESTS_INGESTD_PEERS_H
#define SLUICE_TESTS_INGESTD_PEERS_H

/* Own */
#include "tests/unit/stand_in_pipe.h"
#include "tests/unit/test_ingestd_disk.h"

/* Wire */
#include "common/wire/stage.h"

#define REF "https://example.test/blob"

/* ── fetchd ── */

static struct fetchd {
	size_t piece;   /* bytes of a chunk */
	uint64_t named; /* incarnation in the last HELLO of ingestd */
	uint64_t attempt, offset;
	bool runs, opened;
	uint64_t sent; /* bytes, in all */
	unsigned orders, cancels;
} fetchd;

static inline void say_hello(enum pipe_name name, uint64_t self, uint64_t named)
{
	struct message m = {.type = MSG_HELLO, .incarnation = self, .peer = named};
	stage_introduce(&m);

	stand_in_pipe_put(name, &m);
}

static inline void fetchd_hears(const struct message *m)
{
	if (m->type == MSG_HELLO) {
		fetchd.runs = fetchd.runs && fetchd.named == m->incarnation;
		fetchd.named = m->incarnation;
	} else if (m->type == MSG_FETCH && m->attempt > fetchd.attempt) {
		fetchd = (struct fetchd){.piece = fetchd.piece,
					 .named = fetchd.named,
					 .attempt = m->attempt,
					 .offset = m->offset,
					 .runs = true,
					 .sent = fetchd.sent,
					 .orders = fetchd.orders + 1,
					 .cancels = fetchd.cancels};
	} else if (m->type == MSG_CANCEL && m->attempt == fetchd.attempt) {
		fetchd.runs = false;
		fetchd.cancels++;
	}
}

static inline void send_piece(void)
{
	size_t left = sizeof(content) - (size_t)fetchd.offset, len = left < fetchd.piece ? left : fetchd.piece;
	struct message m = {
	    .type = MSG_CHUNK, .ref = span_str(REF), .attempt = fetchd.attempt, .offset = fetchd.offset};
	struct chunk chunk;

	assert_int_equal(pipe_chunk_new(&stand_in_pipes[PIPE_CHUNKS], &m, len, &chunk), 0);
	memcpy(chunk.payload, content + fetchd.offset, len);
	chunk.payload_len = len;
	if (pipe_chunk_send(&stand_in_pipes[PIPE_CHUNKS], &chunk) < 0) {
		pipe_chunk_free(&chunk);
		return;
	}
	fetchd.offset += len;
	fetchd.sent += len;
}

static inline void fetchd_turns(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m;

	while (stand_in_pipe_take(PIPE_ORDERS, &m))
		fetchd_hears(&m);
	if (!fetchd.runs || stand_in_pipes[PIPE_CHUNKS].len >= ROOM_DEFAULT)
		return;
	m = (struct message){.ref = span_str(REF), .attempt = fetchd.attempt, .size = sizeof(content)};
	if (!fetchd.opened) {
		digest_format(&content_digest, digest);
		m.type = MSG_OPENED;
		m.offset = fetchd.offset;
		m.digest = span_str(digest);
		m.validator = span_str("\"v\"");
		stand_in_pipe_put(PIPE_CHUNKS, &m);
		fetchd.opened = true;
	} else if (fetchd.offset < sizeof(content)) {
		send_piece();
	} else {
		m.type = MSG_END;
		stand_in_pipe_put(PIPE_CHUNKS, &m);
		fetchd.runs = false;
	}
}

/* ── commitd ── */

static struct commitd {
	uint64_t self;
	unsigned seals;
	bool is_mute; /* it receives seals and sends nothing */
} commitd;

/* Name the data once, like commitd. */
static inline void name_blob(void)
{
	char from[FILE_PATH_SIZE], to[FILE_PATH_SIZE], id[INGEST_ID_SIZE], hex[DIGEST_TEXT_SIZE];

	layout_ingest_id(span_str(REF), id);
	digest_format_hex(&content_digest, hex);
	(void)snprintf(from, sizeof(from), "store/ingest/%s/data", id);
	(void)snprintf(to, sizeof(to), "store/blobs/sha256/%s", hex);
	if (!unit_exists(&dir, to))
		assert_int_equal(renameat(dir.fd, from, dir.fd, to), 0);
}

static inline void commitd_turns(void)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m;

	while (stand_in_pipe_take(PIPE_SEALS, &m)) {
		if (m.type == MSG_HELLO)
			say_hello(PIPE_RECEIPTS, commitd.self, m.incarnation);
		if (m.type != MSG_SEALED)
			continue;
		commitd.seals++;
		digest_format(&content_digest, digest);
		assert_true(span_eq(m.digest, span_str(digest)));
		assert_int_equal(m.size, sizeof(content));
		if (commitd.is_mute)
			continue;
		name_blob();
		m = (struct message){.type = MSG_COMMITTED, .ref = span_str(REF), .digest = span_str(digest)};
		stand_in_pipe_put(PIPE_RECEIPTS, &m);
	}
}

static inline void commitd_starts(uint64_t self)
{
	commitd.self = self;
	say_hello(PIPE_RECEIPTS, self, 0);
}

/* Reset both peers, and make the store's directory of blobs. */
static inline void peers_begin(size_t piece)
{
	assert_int_equal(mkdirat(dir.fd, "store/blobs", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "store/blobs/sha256", 0755), 0);
	fetchd = (struct fetchd){.piece = piece};
	commitd = (struct commitd){0};
}

#endif
