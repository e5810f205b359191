/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/codec.h"

/* System */
#include <assert.h>
#include <stddef.h>

/* Base */
#include "common/base/be.h"

/* Wire */
#include "common/wire/source_policy.h"

#define HEADER_BYTES    4 /* 'S', 'L', version, type */
#define FIELDS_MAX      14
#define TEXT_LEN_BYTES  2
#define COUNT_BYTES     8
#define NAME_BYTES_MAX  1024
#define PLATFORM_MAX    (PLATFORM_TEXT_SIZE - 1)
#define HTTP_STATUS_MAX 999
#define NONE            UINT8_MAX
#define STATE_MAX       TRANSFER_FAILED

enum field_kind {
	KIND_NUMBER,  /* `width` bytes; min and max are its bounds */
	KIND_TEXT,    /* min and max are bounds of its length; no control characters */
	KIND_COUNTS,  /* likewise, but any bytes: numbers of eight bytes */
	KIND_BYTES,   /* likewise, and any number of them */
	KIND_PAYLOAD, /* the rest of the message; min and max are bounds of its length */
};

struct field {
	enum field_kind kind;
	unsigned width; /* bytes; of the length, for a text */
	size_t at;      /* where it is in struct message */
	size_t size;    /* of that member */
	uint64_t min, max;
};

#define NUMBER(member, width_, min_, max_)                                                                             \
	{                                                                                                              \
		KIND_NUMBER, width_, offsetof(struct message, member), sizeof(((struct message *)0)->member), min_,    \
		    max_                                                                                               \
	}
#define TEXT(member, min_, max_)                                                                                       \
	{                                                                                                              \
		KIND_TEXT, TEXT_LEN_BYTES, offsetof(struct message, member), sizeof(struct span), min_, max_           \
	}

enum field_id { /* 0 ends a list of fields */
		F_INCARNATION = 1,
		F_PEER,
		F_REF,
		F_REF_OR_NONE,
		F_ATTEMPT,
		F_SOURCE,
		F_POLICY,
		F_OFFSET,
		F_SIZE,
		F_EXPECTED,
		F_DIGEST,
		F_DIGEST_OR_NONE,
		F_MEDIA_TYPE,
		F_VALIDATOR,
		F_PLATFORM,
		F_NAME,
		F_NAME_OR_NONE,
		F_STAGE,
		F_STATE,
		F_FAIL_CLASS,
		F_FAIL_CLASS_OR_NONE,
		F_PROVENANCE,
		F_RESTARTS,
		F_HTTP_STATUS,
		F_STARTED,
		F_UPDATED,
		F_UNTIL,
		F_RATE,
		F_REHASHED,
		F_DEV,
		F_INO,
		F_MTIME,
		F_TTL,
		F_MEMBERS,
		F_FLAGS,
		F_FATE,
		F_AGE,
		F_NUMBER,
		F_REMOVED,
		F_REMOVED_BYTES,
		F_WAITING,
		F_WAITING_BYTES,
		F_LEASED_BYTES,
		F_TEXT,
		F_VERSION,
		F_BOOT,
		F_COUNTS,
		F_PAYLOAD,
		F_LOWEST,
		F_HIGHEST,
};

static const struct field fields[] = {
    [F_INCARNATION] = NUMBER(incarnation, 8, 1, UINT64_MAX),
    [F_PEER] = NUMBER(peer, 8, 0, UINT64_MAX),
    [F_REF] = TEXT(ref, 1, REF_MAX),
    [F_REF_OR_NONE] = TEXT(ref, 0, REF_MAX),
    [F_ATTEMPT] = NUMBER(attempt, 8, 0, UINT64_MAX),
    [F_SOURCE] = TEXT(source, 1, SOURCE_MAX),
    [F_POLICY] = {KIND_BYTES, TEXT_LEN_BYTES, offsetof(struct message, policy), sizeof(struct span), 0, POLICY_MAX},
    [F_OFFSET] = NUMBER(offset, 8, 0, INT64_MAX),
    [F_SIZE] = NUMBER(size, 8, 0, INT64_MAX), /* or SIZE_UNKNOWN */
    [F_EXPECTED] = TEXT(expected, 0, DIGEST_TEXT_MAX),
    [F_DIGEST] = TEXT(digest, 1, DIGEST_TEXT_MAX),
    [F_DIGEST_OR_NONE] = TEXT(digest, 0, DIGEST_TEXT_MAX),
    [F_MEDIA_TYPE] = TEXT(media_type, 0, MEDIA_TYPE_MAX),
    [F_VALIDATOR] = TEXT(validator, 0, VALIDATOR_MAX),
    [F_PLATFORM] = TEXT(platform, 0, PLATFORM_MAX),
    [F_NAME] = TEXT(name, 1, NAME_BYTES_MAX),
    [F_NAME_OR_NONE] = TEXT(name, 0, NAME_BYTES_MAX),
    [F_STAGE] = NUMBER(stage, 1, STAGE_FETCHD, STAGE_COMMITD),
    [F_STATE] = NUMBER(state, 1, TRANSFER_QUEUED, STATE_MAX),
    [F_FAIL_CLASS] = NUMBER(fail_class, 1, FAIL_NONE + 1, FAIL_CLASS_MAX),
    [F_FAIL_CLASS_OR_NONE] = NUMBER(fail_class, 1, FAIL_NONE, FAIL_CLASS_MAX),
    [F_PROVENANCE] = NUMBER(provenance, 1, 0, PROVENANCE_MASK),
    [F_RESTARTS] = NUMBER(restarts, 1, 0, UINT8_MAX),
    [F_HTTP_STATUS] = NUMBER(http_status, 2, 0, HTTP_STATUS_MAX),
    [F_STARTED] = NUMBER(started_s, 8, 0, UINT64_MAX),
    [F_UPDATED] = NUMBER(updated_s, 8, 0, UINT64_MAX),
    [F_UNTIL] = NUMBER(until_s, 8, 0, UINT64_MAX),
    [F_RATE] = NUMBER(rate, 8, 0, UINT64_MAX),
    [F_REHASHED] = NUMBER(rehashed, 8, 0, UINT64_MAX),
    [F_DEV] = NUMBER(dev, 8, 0, UINT64_MAX),
    [F_INO] = NUMBER(ino, 8, 0, UINT64_MAX),
    [F_MTIME] = NUMBER(mtime_ns, 8, 0, UINT64_MAX),
    [F_TTL] = NUMBER(ttl_s, 8, 0, UINT32_MAX),
    [F_MEMBERS] = TEXT(members, 0, MEMBERS_MAX),
    [F_FLAGS] = NUMBER(flags, 1, 0, GC_FLAG_MASK),
    [F_FATE] = NUMBER(fate, 1, GC_REMOVED, GC_FATES),
    [F_AGE] = NUMBER(age_s, 8, 0, INT64_MAX),
    [F_NUMBER] = NUMBER(number, 8, 0, UINT64_MAX),
    [F_REMOVED] = NUMBER(removed, 8, 0, UINT64_MAX),
    [F_REMOVED_BYTES] = NUMBER(removed_bytes, 8, 0, UINT64_MAX),
    [F_WAITING] = NUMBER(waiting, 8, 0, UINT64_MAX),
    [F_WAITING_BYTES] = NUMBER(waiting_bytes, 8, 0, UINT64_MAX),
    [F_LEASED_BYTES] = NUMBER(leased_bytes, 8, 0, UINT64_MAX),
    [F_TEXT] = TEXT(text, 0, TEXT_MAX),
    [F_VERSION] = TEXT(version, 1, VERSION_TEXT_MAX),
    [F_BOOT] = TEXT(boot, 0, BOOT_TEXT_MAX),
    [F_COUNTS] = {KIND_COUNTS, TEXT_LEN_BYTES, offsetof(struct message, counts), sizeof(struct span), COUNT_BYTES,
		  COUNTS_MAX},
    [F_LOWEST] = NUMBER(lowest, 1, 1, UINT8_MAX),
    [F_HIGHEST] = NUMBER(highest, 1, 1, UINT8_MAX),
    [F_PAYLOAD] = {KIND_PAYLOAD, 0, offsetof(struct message, payload), sizeof(struct span), 1, CHUNK_PAYLOAD_MAX},
};

static const struct shape {
	const char *name;
	uint8_t fields[FIELDS_MAX + 1];
	uint8_t kept;   /* its fields, as of WIRE_VERSION_KEPT, are the same in all future versions */
	uint8_t of_old; /* how many of them version 1 had; 0: all */
} shapes[MESSAGE_TYPE_MAX + 1] = {
    [MSG_HELLO] = {.name = "HELLO",
		   .fields = {F_INCARNATION, F_PEER, F_LOWEST, F_HIGHEST, F_VERSION},
		   .kept = 1,
		   .of_old = 2},
    [MSG_FETCH] = {.name = "FETCH",
		   .fields = {F_REF, F_ATTEMPT, F_SOURCE, F_OFFSET, F_SIZE, F_EXPECTED, F_VALIDATOR, F_RESTARTS,
			      F_POLICY},
		   .of_old = 8},
    [MSG_CANCEL] = {.name = "CANCEL", .fields = {F_REF, F_ATTEMPT}},
    [MSG_OPENED] = {.name = "OPENED",
		    .fields = {F_REF, F_ATTEMPT, F_OFFSET, F_SIZE, F_DIGEST_OR_NONE, F_MEDIA_TYPE, F_VALIDATOR}},
    [MSG_CHUNK] = {.name = "CHUNK", .fields = {F_REF, F_ATTEMPT, F_OFFSET, F_PAYLOAD}},
    [MSG_END] = {.name = "END", .fields = {F_REF, F_ATTEMPT, F_SIZE}},
    [MSG_FAIL] = {.name = "FAIL", .fields = {F_REF, F_ATTEMPT, F_FAIL_CLASS_OR_NONE, F_HTTP_STATUS, F_TEXT}},
    [MSG_BEAT] = {.name = "BEAT", .fields = {F_REF, F_ATTEMPT, F_UNTIL, F_TEXT}},
    [MSG_RESOLVED] = {.name = "RESOLVED", .fields = {F_REF, F_ATTEMPT, F_DIGEST, F_MEDIA_TYPE}},
    [MSG_SEALED] = {.name = "SEALED", .fields = {F_REF, F_DIGEST, F_SIZE, F_PROVENANCE, F_INO, F_MTIME}},
    [MSG_COMMITTED] = {.name = "COMMITTED", .fields = {F_REF, F_DIGEST}},
    [MSG_REJECTED] = {.name = "REJECTED", .fields = {F_REF, F_DIGEST, F_FAIL_CLASS, F_TEXT}},
    [MSG_GET] = {.name = "GET", .fields = {F_REF, F_SOURCE, F_EXPECTED, F_SIZE, F_POLICY}, .of_old = 4},
    [MSG_LOGIN] = {.name = "LOGIN", .fields = {F_NAME, F_POLICY}},
    [MSG_STATUS] = {.name = "STATUS", .fields = {F_REF}},
    [MSG_NEXT] = {.name = "NEXT", .fields = {F_REF_OR_NONE}},
    [MSG_ABORT] = {.name = "ABORT", .fields = {F_REF}},
    [MSG_RESET] = {.name = "RESET", .fields = {F_REF}},
    [MSG_SET_NAME] = {.name = "SET_NAME", .fields = {F_NAME, F_DIGEST, F_MEDIA_TYPE, F_SIZE, F_PLATFORM}},
    [MSG_REMOVE_NAME] = {.name = "REMOVE_NAME", .fields = {F_NAME}},
    [MSG_SET_FILE] = {.name = "SET_FILE", .fields = {F_NAME_OR_NONE, F_DIGEST, F_MEDIA_TYPE, F_SIZE, F_TEXT, F_SOURCE}},
    [MSG_LEASE] = {.name = "LEASE", .fields = {F_NAME, F_TEXT, F_REF_OR_NONE, F_TTL, F_MEMBERS}},
    [MSG_RELEASE] = {.name = "RELEASE", .fields = {F_NAME}},
    [MSG_CHECK] = {.name = "CHECK", .fields = {F_DIGEST_OR_NONE, F_FLAGS, F_AGE}},
    [MSG_GC] = {.name = "GC", .fields = {F_FLAGS, F_AGE, F_SIZE}},
    [MSG_COLLECTED] = {.name = "COLLECTED",
		       .fields = {F_FLAGS, F_REMOVED, F_REMOVED_BYTES, F_WAITING, F_WAITING_BYTES, F_LEASED_BYTES,
				  F_FAIL_CLASS_OR_NONE, F_TEXT}},
    [MSG_GC_ITEM] = {.name = "GC_ITEM", .fields = {F_NUMBER}},
    [MSG_ITEM] = {.name = "ITEM", .fields = {F_FATE, F_DIGEST_OR_NONE, F_SIZE, F_AGE, F_TEXT}},
    [MSG_PING] = {.name = "PING", .fields = {F_LOWEST, F_HIGHEST, F_VERSION}, .kept = 1, .of_old = NONE},
    [MSG_PONG] = {.name = "PONG",
		  .fields = {F_INCARNATION, F_DEV, F_INO, F_STARTED, F_UPDATED, F_VERSION, F_BOOT, F_TEXT, F_LOWEST,
			     F_HIGHEST},
		  .kept = 1,
		  .of_old = 8},
    [MSG_SUBSCRIBE] = {.name = "SUBSCRIBE", .fields = {F_REF_OR_NONE}},
    [MSG_OK] = {.name = "OK", .fields = {0}},
    [MSG_ERROR] = {.name = "ERROR", .fields = {F_FAIL_CLASS, F_TEXT}, .kept = 1},
    [MSG_RECORD] = {.name = "RECORD",
		    .fields = {F_REF, F_STATE, F_OFFSET, F_SIZE, F_DIGEST_OR_NONE, F_MEDIA_TYPE, F_STARTED, F_UPDATED,
			       F_ATTEMPT, F_RATE, F_REHASHED, F_UNTIL, F_FAIL_CLASS_OR_NONE, F_TEXT}},
    [MSG_NAMED] = {.name = "NAMED", .fields = {F_NAME, F_DIGEST_OR_NONE}},
    [MSG_STATS] = {.name = "STATS", .fields = {F_STAGE}},
    [MSG_COUNTS] = {.name = "COUNTS", .fields = {F_STAGE, F_INCARNATION, F_STARTED, F_UPDATED, F_VERSION, F_COUNTS}},
};

static uint64_t number_get(const struct message *m, const struct field *f)
{
	const uint8_t *at = (const uint8_t *)m + f->at;
	uint64_t wide = 0;
	uint16_t half = 0;

	switch (f->size) {
	case 1:
		return *at;
	case 2:
		memcpy(&half, at, sizeof(half));
		return half;
	default:
		assert(f->size == sizeof(wide));
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
}

static void number_set(struct message *m, const struct field *f, uint64_t value)
{
	uint8_t *at = (uint8_t *)m + f->at;
	uint16_t half = (uint16_t)value;

	switch (f->size) {
	case 1:
		*at = (uint8_t)value;
		break;
	case 2:
		memcpy(at, &half, sizeof(half));
		break;
	default:
		assert(f->size == sizeof(value));
		memcpy(at, &value, sizeof(value));
	}
}

static struct span span_get(const struct message *m, const struct field *f)
{
	struct span s;

	memcpy(&s, (const uint8_t *)m + f->at, sizeof(s));
	return s;
}

static void span_set(struct message *m, const struct field *f, struct span s)
{
	memcpy((uint8_t *)m + f->at, &s, sizeof(s));
}

/* Texts go unchanged to logs, terminals and line-based files: nothing below a space, no DEL, no NUL. */
static bool text_is_clean(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] == 0x7f)
			return false;
	return true;
}

/* The fields of a message of that type in a version, `ret_len` at most and ended by 0. */
static const uint8_t *fields_of(enum message_type type, unsigned version, size_t *ret_len)
{
	assert(type >= 1 && type <= MESSAGE_TYPE_MAX);
	const struct shape *shape = &shapes[type];

	*ret_len = FIELDS_MAX;
	if (version == 1 && shape->of_old > 0)
		*ret_len = shape->of_old == NONE ? 0 : shape->of_old;
	return shape->fields;
}

static unsigned version_of(const struct message *m)
{
	if (m->protocol)
		return m->protocol;
	return shapes[m->type].kept ? WIRE_VERSION_KEPT : WIRE_VERSION;
}

static bool has_length(const struct field *f)
{
	return f->kind == KIND_TEXT || f->kind == KIND_COUNTS || f->kind == KIND_BYTES;
}

size_t message_head_size(const struct message *m)
{
	size_t size = HEADER_BYTES, len;
	const uint8_t *ids = fields_of(m->type, version_of(m), &len);

	for (size_t i = 0; i < len && ids[i]; i++) {
		const struct field *f = &fields[ids[i]];
		size += f->width;
		if (has_length(f))
			size += span_get(m, f).len;
	}
	return size;
}

/* No file has 2^63 bytes, and sums of smaller sizes fit 64 bits. */
static bool is_in_bounds(const struct field *f, uint64_t value)
{
	return (value >= f->min && value <= f->max) || (f == &fields[F_SIZE] && value == SIZE_UNKNOWN);
}

static uint8_t *field_encode(const struct message *m, const struct field *f, uint8_t *out)
{
	if (f->kind == KIND_NUMBER) {
		uint64_t value = number_get(m, f);
		assert(is_in_bounds(f, value));
		be_put(out, value, f->width);
		return out + f->width;
	}
	if (has_length(f)) {
		struct span s = span_get(m, f);
		assert(s.len >= f->min && s.len <= f->max);
		be_put(out, s.len, f->width);
		if (s.len > 0)
			memcpy(out + f->width, s.data, s.len);
		return out + f->width + s.len;
	}
	return out;
}

size_t message_encode_head(const struct message *m, uint8_t *out)
{
	uint8_t *at = out;
	size_t len;
	const uint8_t *ids = fields_of(m->type, version_of(m), &len);

	*at++ = 'S';
	*at++ = 'L';
	*at++ = (uint8_t)version_of(m);
	*at++ = (uint8_t)m->type;
	for (size_t i = 0; i < len && ids[i]; i++)
		at = field_encode(m, &fields[ids[i]], at);
	return (size_t)(at - out);
}

static enum decode_verdict number_decode(struct span *rest, const struct field *f, struct message *m)
{
	if (rest->len < f->width)
		return DECODE_SHORT;
	uint64_t value = be_get(rest->data, f->width);
	if (!is_in_bounds(f, value))
		return DECODE_BOUNDS;
	number_set(m, f, value);
	*rest = span_of(rest->data + f->width, rest->len - f->width);
	return DECODE_OK;
}

static enum decode_verdict text_decode(struct span *rest, const struct field *f, struct message *m)
{
	if (rest->len < f->width)
		return DECODE_SHORT;
	size_t len = (size_t)be_get(rest->data, f->width);
	if (len < f->min || len > f->max)
		return DECODE_BOUNDS;
	if (rest->len - f->width < len)
		return DECODE_SHORT;
	struct span text = span_of(rest->data + f->width, len);
	if ((f->kind == KIND_COUNTS && len % COUNT_BYTES != 0) || (f->kind == KIND_TEXT && !text_is_clean(text)))
		return DECODE_BOUNDS;
	span_set(m, f, text);
	*rest = span_of(text.data + len, rest->len - f->width - len);
	return DECODE_OK;
}

static enum decode_verdict field_decode(struct span *rest, const struct field *f, struct message *m)
{
	switch (f->kind) {
	case KIND_NUMBER:
		return number_decode(rest, f, m);
	case KIND_TEXT:
	case KIND_COUNTS:
	case KIND_BYTES:
		return text_decode(rest, f, m);
	case KIND_PAYLOAD:
		break;
	}
	if (rest->len < f->min)
		return DECODE_SHORT;
	if (rest->len > f->max)
		return DECODE_BOUNDS;
	span_set(m, f, *rest);
	*rest = span_of(rest->data + rest->len, 0);
	return DECODE_OK;
}

static bool is_kept(uint8_t type)
{
	return type >= 1 && type <= MESSAGE_TYPE_MAX && shapes[type].kept;
}

/* There is no version 0. */
static bool is_readable(uint8_t version, uint8_t type)
{
	return is_kept(type) ? version >= 1 : version >= WIRE_VERSION_MIN && version <= WIRE_VERSION;
}

enum decode_verdict message_decode(struct span bytes, struct message *ret_message)
{
	if (bytes.len < HEADER_BYTES)
		return DECODE_SHORT;
	if (bytes.data[0] != 'S' || bytes.data[1] != 'L')
		return DECODE_MAGIC;
	uint8_t version = bytes.data[2], type = bytes.data[3];
	if (!is_readable(version, type))
		return DECODE_VERSION;
	if (type < 1 || type > MESSAGE_TYPE_MAX)
		return DECODE_TYPE;

	struct message m = {.type = (enum message_type)type, .protocol = version};
	struct span rest = span_of(bytes.data + HEADER_BYTES, bytes.len - HEADER_BYTES);
	size_t len;
	const uint8_t *ids = fields_of(m.type, version, &len);
	for (size_t i = 0; i < len && ids[i]; i++) {
		enum decode_verdict v = field_decode(&rest, &fields[ids[i]], &m);
		if (v != DECODE_OK)
			return v;
	}
	if (rest.len > 0)
		return DECODE_LONG;
	if (m.lowest > m.highest) /* both are 0 where a message does not have them */
		return DECODE_BOUNDS;
	*ret_message = m;
	return DECODE_OK;
}

struct message message_in(const struct message *m, uint8_t version)
{
	struct message copy = *m;

	if (!is_kept((uint8_t)m->type))
		copy.protocol = version;
	return copy;
}

const char *message_name(enum message_type type)
{
	if (type < 1 || type > MESSAGE_TYPE_MAX)
		return "unknown";
	return shapes[type].name;
}

const char *decode_verdict_text(enum decode_verdict v)
{
	static const char *const texts[] = {
	    [DECODE_OK] = "a good message",
	    [DECODE_SHORT] = "it is too short",
	    [DECODE_LONG] = "bytes follow its end",
	    [DECODE_MAGIC] = "it is not a message of sluice",
	    [DECODE_VERSION] = "it has another protocol version",
	    [DECODE_TYPE] = "its type is unknown",
	    [DECODE_BOUNDS] = "a field is out of bounds",
	};
	return texts[v];
}
