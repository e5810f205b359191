/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: every type is encoded and decoded, and every kind of invalid bytes is refused. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/wire/codec.h"
#include "common/wire/source_policy.h"

#define DIGEST_TEXT "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A COUNTS of fetchd up to its numbers. */
#define EIGHT           "\0\0\0\0\0\0\0\x01"
#define COUNTS_HEAD     "SL\x01\x1b\x01" EIGHT EIGHT EIGHT "\0\x01v"
#define END_HEAD        "SL\x02\x06\0\x01r\0\0\0\0\0\0\0\0"
#define COUNTS_HEAD_LEN (5 + 24 + 3)

/* One message of each type, with every field set. Fields that a type does not have must be empty after decoding. */
static struct message full_message(enum message_type type)
{
	return (struct message){
	    .type = type,
	    .incarnation = 0x1122334455667788,
	    .peer = 7,
	    .ref = span_str(DIGEST_TEXT),
	    .attempt = 42,
	    .source = span_str("blob://localhost:5000/a@" DIGEST_TEXT),
	    .policy = span_of("\x02\0\x01\x01", 4),
	    .offset = 1u << 30,
	    .size = SIZE_UNKNOWN,
	    .expected = span_str(DIGEST_TEXT),
	    .digest = span_str(DIGEST_TEXT),
	    .media_type = span_str(MEDIA_TYPE_OCI_INDEX),
	    .validator = span_str("\"etag\""),
	    .platform = span_str("linux/arm64"),
	    .name = span_str("localhost:5000/a:1"),
	    .state = TRANSFER_WAITING,
	    .fail_class = FAIL_CLASS_MAX,
	    .provenance = PROVENANCE_MASK,
	    .restarts = UINT8_MAX,
	    .http_status = 503,
	    .started_s = 1,
	    .updated_s = 2,
	    .until_s = 3,
	    .rate = 4,
	    .rehashed = 5,
	    .dev = 6,
	    .ino = 7,
	    .mtime_ns = 8,
	    .text = span_str("for a person: ünïcode"),
	    .stage = STAGE_COMMITD,
	    .version = span_str("1.2.3"),
	    .boot = span_str("0123456789abcdef0123456789abcdef"),
	    .counts = span_of("\0\0\0\0\0\0\0\x01\n\0\0\0\0\0\0\x02", 16),
	    .payload = span_str("bytes"),
	    .lowest = 1,
	    .highest = UINT8_MAX,
	    .ttl_s = UINT32_MAX,
	    .members = span_str("content=" DIGEST_TEXT " root=" DIGEST_TEXT),
	    .flags = GC_FLAG_MASK,
	    .fate = GC_FATES,
	    .age_s = 9,
	    .number = 10,
	    .removed = 11,
	    .removed_bytes = 12,
	    .waiting = 13,
	    .waiting_bytes = 14,
	    .leased_bytes = 15,
	};
}

static size_t encode(const struct message *m, uint8_t *out)
{
	size_t len = message_encode_head(m, out);

	assert_int_equal(len, message_head_size(m));
	if (m->type == MSG_CHUNK) {
		memcpy(out + len, m->payload.data, m->payload.len);
		len += m->payload.len;
	}
	return len;
}

static void test_round_trip(void **state)
{
	uint8_t bytes[MESSAGE_HEAD_MAX], again[MESSAGE_HEAD_MAX];
	struct message back;

	(void)state;
	for (int type = 1; type <= MESSAGE_TYPE_MAX; type++) {
		struct message m = full_message((enum message_type)type);
		size_t len = encode(&m, bytes);
		assert_int_equal(message_decode(span_of(bytes, len), &back), DECODE_OK);
		assert_int_equal(back.type, type);
		assert_int_equal(encode(&back, again), len);
		assert_memory_equal(bytes, again, len);
	}
}

/* A prefix of a message is not a message, nor is a message with trailing bytes. */
static void test_exact(void **state)
{
	uint8_t bytes[MESSAGE_HEAD_MAX + 1] = {0};
	struct message back;

	(void)state;
	for (int type = 1; type <= MESSAGE_TYPE_MAX; type++) {
		struct message m = full_message((enum message_type)type);
		bool chunk = type == MSG_CHUNK; /* any payload is valid except an empty one */
		size_t len = chunk ? message_encode_head(&m, bytes) + 1 : encode(&m, bytes);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(message_decode(span_of(bytes, cut), &back), DECODE_SHORT);
		assert_int_equal(message_decode(span_of(bytes, len + 1), &back), chunk ? DECODE_OK : DECODE_LONG);
	}
}

static const struct refused {
	const char *name;
	const char *bytes;
	size_t len;
	enum decode_verdict want;
} refused[] = {
    {"nothing", "", 0, DECODE_SHORT},
    {"http", "GET / HTTP/1.1\r\n", 16, DECODE_MAGIC},
    {"a version past ours", "SL\x03\x0d\0\x01r", 7, DECODE_VERSION},
    {"version 0", "SL\0\x13", 4, DECODE_VERSION},
    {"an unknown type of another version", "SL\x03\x25", 4, DECODE_VERSION},
    {"a PING of another version that is short", "SL\x03\x13", 4, DECODE_SHORT},
    {"a PING that understands version 0", "SL\x02\x13\0\x02\0\x01v", 9, DECODE_BOUNDS},
    {"a PING that understands no version", "SL\x02\x13\x03\x02\0\x01v", 9, DECODE_BOUNDS},
    {"type 0", "SL\x01\x00", 4, DECODE_TYPE},
    {"type past the last", "SL\x02\x26", 4, DECODE_TYPE},
    {"type 255", "SL\x01\xff", 4, DECODE_TYPE},
    {"incarnation 0", "SL\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, DECODE_BOUNDS},
    {"a size of 2^63", END_HEAD "\x80\0\0\0\0\0\0\0", 23, DECODE_BOUNDS},
    {"a size of 2^64 - 2", END_HEAD "\xff\xff\xff\xff\xff\xff\xff\xfe", 23, DECODE_BOUNDS},
    {"an empty ref", "SL\x01\x0d\0\0", 6, DECODE_BOUNDS},
    {"a ref of 1025 bytes", "SL\x01\x0d\x04\x01", 6, DECODE_BOUNDS},
    {"a ref of 65535 bytes", "SL\x01\x0d\xff\xff", 6, DECODE_BOUNDS},
    {"a newline in a ref",
     "SL\x01\x0d\0\x03"
     "a\nb",
     9, DECODE_BOUNDS},
    {"a NUL in a ref",
     "SL\x01\x0d\0\x03"
     "a\0b",
     9, DECODE_BOUNDS},
    {"an escape in a ref",
     "SL\x01\x0d\0\x03"
     "a\033b",
     9, DECODE_BOUNDS},
    {"stage 0", "SL\x01\x1a\0", 5, DECODE_BOUNDS},
    {"a stage too high", "SL\x01\x1a\x04", 5, DECODE_BOUNDS},
    {"no counts", COUNTS_HEAD "\0\0", COUNTS_HEAD_LEN + 2, DECODE_BOUNDS},
    {"half a count",
     COUNTS_HEAD "\0\x0c"
		 "123456789012",
     COUNTS_HEAD_LEN + 14, DECODE_BOUNDS},
    {"too many counts", COUNTS_HEAD "\x08\x08", COUNTS_HEAD_LEN + 2, DECODE_BOUNDS},
    {"a class too high", "SL\x01\x16\x0b\0\0", 7, DECODE_BOUNDS},
    {"an ERROR without a class", "SL\x01\x16\0\0\0", 7, DECODE_BOUNDS},
    {"a REJECTED without a class",
     "SL\x01\x0b\0\x01r\0\x01"
     "d\0\0\0",
     13, DECODE_BOUNDS},
};

static void test_refused(void **state)
{
	const struct refused *row;
	struct message back;

	(void)state;
	for_each_row(row, refused)
	{
		memset(&back, 0xaa, sizeof(back));
		struct message before = back;
		enum decode_verdict got = message_decode(span_of(row->bytes, row->len), &back);
		if (got != row->want)
			fail_msg("%s: got %s", row->name, decode_verdict_text(got));
		assert_memory_equal(&before, &back, sizeof(back)); /* untouched on refusal */
	}
}

/* Messages that all versions share are written in one, and decoded in any. Messages of version 1 are decoded, too. */
static void test_versions(void **state)
{
	static const enum message_type kept[] = {MSG_HELLO, MSG_PING, MSG_PONG, MSG_ERROR};
	uint8_t bytes[MESSAGE_HEAD_MAX], again[MESSAGE_HEAD_MAX];
	struct message back;

	(void)state;
	for (size_t i = 0; i < LEN(kept); i++) {
		struct message m = full_message(kept[i]);
		m.protocol = 200;
		size_t len = encode(&m, bytes);
		assert_int_equal(message_decode(span_of(bytes, len), &back), DECODE_OK);
		assert_int_equal(back.protocol, 200);
		assert_int_equal(encode(&back, again), len);
		assert_memory_equal(bytes, again, len);
	}
	for (int type = 1; type <= MESSAGE_TYPE_MAX; type++) {
		struct message m = full_message((enum message_type)type);
		bool is_kept = type == MSG_HELLO || type == MSG_PING || type == MSG_PONG || type == MSG_ERROR;
		(void)encode(&m, bytes);
		assert_int_equal(bytes[2], is_kept ? WIRE_VERSION_KEPT : WIRE_VERSION);
		assert_int_equal(message_in(&m, 1).protocol, is_kept ? 0 : 1);
	}
	assert_int_equal(message_decode(span_of("SL\x01\x13", 4), &back), DECODE_OK);
	assert_int_equal(back.highest, 0);
	assert_int_equal(message_decode(span_of("SL\x01\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0", 20), &back), DECODE_OK);
	assert_int_equal(back.incarnation, 5);
	for (int type = 1; type < MSG_SUBSCRIBE; type++) {
		struct message m = full_message((enum message_type)type);
		m.protocol = 1;
		size_t len = encode(&m, bytes);
		assert_int_equal(message_decode(span_of(bytes, len), &back), DECODE_OK);
		assert_int_equal(encode(&back, again), len);
		assert_memory_equal(bytes, again, len);
	}
}

/* A payload at its limit, and one past it. */
static void test_payload_bounds(void **state)
{
	uint8_t *bytes = malloc(MESSAGE_MAX + 1);
	struct message m = full_message(MSG_CHUNK), back;

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'p', MESSAGE_MAX + 1);
	size_t head = message_encode_head(&m, bytes);
	assert_int_equal(message_decode(span_of(bytes, head + CHUNK_PAYLOAD_MAX), &back), DECODE_OK);
	assert_int_equal(back.payload.len, CHUNK_PAYLOAD_MAX);
	assert_ptr_equal(back.payload.data, bytes + head);
	assert_int_equal(message_decode(span_of(bytes, head + CHUNK_PAYLOAD_MAX + 1), &back), DECODE_BOUNDS);
	free(bytes);
}

/* The largest headers fit the limits of pipes and frames. */
static void test_head_max(void **state)
{
	static char longest[POLICY_MAX];
	struct message m = full_message(MSG_FETCH);

	(void)state;
	memset(longest, 'l', sizeof(longest));
	m.ref = span_of(longest, REF_MAX);
	m.source = span_of(longest, SOURCE_MAX);
	m.expected = span_of(longest, DIGEST_TEXT_MAX);
	m.validator = span_of(longest, VALIDATOR_MAX);
	m.policy = span_of(longest, POLICY_MAX);
	assert_true(message_head_size(&m) <= MESSAGE_HEAD_MAX);
	m = full_message(MSG_RECORD);
	m.ref = span_of(longest, REF_MAX);
	m.media_type = span_of(longest, MEDIA_TYPE_MAX);
	m.text = span_of(longest, TEXT_MAX);
	assert_true(message_head_size(&m) <= MESSAGE_HEAD_MAX);
}

/* Every single-byte change of every message gets a verdict, and an accepted message encodes to the same bytes. */
static void test_mutations(void **state)
{
	uint8_t bytes[MESSAGE_HEAD_MAX], again[MESSAGE_HEAD_MAX];
	struct message back;

	(void)state;
	for (int type = 1; type <= MESSAGE_TYPE_MAX; type++) {
		struct message m = full_message((enum message_type)type);
		size_t len = encode(&m, bytes);
		for (size_t at = 0; at < len; at++)
			for (unsigned flip = 1; flip < 256; flip++) {
				bytes[at] ^= (uint8_t)flip;
				if (message_decode(span_of(bytes, len), &back) == DECODE_OK) {
					assert_int_equal(encode(&back, again), len);
					assert_memory_equal(bytes, again, len);
				}
				bytes[at] ^= (uint8_t)flip;
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_exact),          cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_versions),   cmocka_unit_test(test_payload_bounds), cmocka_unit_test(test_head_max),
	    cmocka_unit_test(test_mutations),
	};
	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
