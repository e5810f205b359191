#include "common/oci/transfer.h"

/* System */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

/* Base */
#include "common/base/clock.h"

#define END_LINE "end=1\n"

const char *transfer_state_name(enum transfer_state s)
{
	static const char *const names[] = {
	    [TRANSFER_QUEUED] = "queued",       [TRANSFER_FETCHING] = "fetching", [TRANSFER_SEALED] = "sealed",
	    [TRANSFER_COMMITTED] = "committed", [TRANSFER_WAITING] = "waiting",   [TRANSFER_FAILED] = "failed",
	};
	return names[s];
}

const char *fail_class_name(enum fail_class c)
{
	static const char *const names[FAIL_CLASS_MAX + 1] = {
	    [FAIL_NONE] = "none",           [FAIL_AGAIN] = "again",
	    [FAIL_NOT_FOUND] = "not_found", [FAIL_DENIED] = "denied",
	    [FAIL_BAD_DATA] = "bad_data",   [FAIL_UNAVAILABLE] = "unavailable",
	    [FAIL_CHANGED] = "changed",     [FAIL_IO] = "io",
	    [FAIL_SPACE] = "space",         [FAIL_USAGE] = "usage",
	    [FAIL_MISSING] = "missing",
	};
	return names[c];
}

int fail_exit_code(enum fail_class c)
{
	static const int codes[] = {
	    [FAIL_NONE] = EX_OK,          [FAIL_AGAIN] = EX_TEMPFAIL,   [FAIL_NOT_FOUND] = EX_NOINPUT,
	    [FAIL_DENIED] = EX_NOPERM,    [FAIL_BAD_DATA] = EX_DATAERR, [FAIL_UNAVAILABLE] = EX_UNAVAILABLE,
	    [FAIL_CHANGED] = EX_TEMPFAIL, [FAIL_IO] = EX_IOERR,         [FAIL_SPACE] = EX_TEMPFAIL,
	    [FAIL_USAGE] = EX_USAGE,      [FAIL_MISSING] = EX_TEMPFAIL,
	};
	return codes[c];
}

static bool starts_with(struct span s, const char *prefix)
{
	size_t len = strlen(prefix);
	return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

int ref_check(struct span ref, struct reason *why)
{
	struct digest d;

	if (ref.len < 1 || ref.len > REF_MAX) {
		reason_set(why, "a ref has 1 to %d bytes, not %zu", REF_MAX, ref.len);
		return -EINVAL;
	}
	for (size_t i = 0; i < ref.len; i++)
		if (ref.data[i] <= ' ' || ref.data[i] > '~') {
			reason_set(why, "the ref has a byte that is not printable ASCII at position %zu", i);
			return -EINVAL;
		}
	if (starts_with(ref, "sha256:") || starts_with(ref, "sha512:"))
		return digest_parse(ref, &d, why);
	return 0;
}

void transfer_init(struct transfer *t)
{
	*t = (struct transfer){.size = SIZE_UNKNOWN};
}

/* Values are lines: whatever reached us from a server has no control bytes in it, or it is no value. */
static int set_text(char *to, size_t room, struct span value)
{
	if (value.len >= room)
		return -EINVAL;
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] < ' ' || value.data[i] == 0x7f)
			return -EINVAL;
	memcpy(to, value.data, value.len);
	to[value.len] = '\0';
	return 0;
}

static int set_number(uint64_t *to, uint64_t max, struct span value)
{
	uint64_t n = 0;

	if (value.len < 1)
		return -EINVAL;
	for (size_t i = 0; i < value.len; i++) {
		unsigned digit = (unsigned)value.data[i] - '0';
		if (digit > 9 || n > (max - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*to = n;
	return 0;
}

static int set_digest(struct digest *to, bool *has, struct span value)
{
	int r = digest_parse(value, to, NULL);
	if (r == 0)
		*has = true;
	return r;
}

static int set_time(uint64_t *to, struct span value)
{
	char text[CLOCK_TEXT_SIZE];
	int r = set_text(text, sizeof(text), value);
	return r < 0 ? r : clock_parse(text, to);
}

static int set_failed(struct transfer *t, struct span value)
{
	uint64_t n;
	int r = set_number(&n, FAIL_CLASS_MAX, value);
	if (r == 0)
		t->failed = (enum fail_class)n;
	return r;
}

static int set_restarts(struct transfer *t, struct span value)
{
	uint64_t n;
	int r = set_number(&n, UINT32_MAX, value);
	if (r == 0)
		t->restarts = (uint32_t)n;
	return r;
}

static int set_key(struct transfer *t, struct span key, struct span value)
{
	if (span_eq(key, span_str("ref")))
		return set_text(t->ref, sizeof(t->ref), value);
	if (span_eq(key, span_str("source")))
		return set_text(t->source, sizeof(t->source), value);
	if (span_eq(key, span_str("digest")))
		return set_digest(&t->expected, &t->has_expected, value);
	if (span_eq(key, span_str("size")))
		return set_number(&t->size, INT64_MAX, value);
	if (span_eq(key, span_str("media_type")))
		return set_text(t->media_type, sizeof(t->media_type), value);
	if (span_eq(key, span_str("validator")))
		return set_text(t->validator, sizeof(t->validator), value);
	if (span_eq(key, span_str("started")))
		return set_time(&t->started_s, value);
	if (span_eq(key, span_str("attempt")))
		return set_number(&t->attempt, UINT64_MAX, value);
	if (span_eq(key, span_str("orders")))
		return set_number(&t->orders, UINT64_MAX, value);
	if (span_eq(key, span_str("restarts")))
		return set_restarts(t, value);
	if (span_eq(key, span_str("sealed")))
		return set_digest(&t->sealed, &t->has_sealed, value);
	if (span_eq(key, span_str("failed")))
		return set_failed(t, value);
	if (span_eq(key, span_str("error")))
		return set_text(t->why.text, sizeof(t->why.text), value);
	return -EINVAL;
}

/* Where the record that ends at `end` begins: behind the closing line before it. */
static size_t record_start(struct span text, size_t end)
{
	size_t len = strlen(END_LINE);

	for (size_t at = end - len; at >= len; at--)
		if (memcmp(text.data + at - len, END_LINE, len) == 0 && (at == len || text.data[at - len - 1] == '\n'))
			return at;
	return 0;
}

size_t transfer_whole_len(struct span text)
{
	size_t len = strlen(END_LINE);

	for (size_t end = text.len; end > len; end--)
		if (memcmp(text.data + end - len, END_LINE, len) == 0 && text.data[end - len - 1] == '\n')
			return end;
	return 0;
}

static int record_check(const struct transfer *t, struct reason *why)
{
	struct digest d;

	if (ref_check(span_str(t->ref), why) < 0)
		return -EINVAL;
	if (digest_parse(span_str(t->ref), &d, NULL) == 0 && (!t->has_expected || !digest_eq(&d, &t->expected))) {
		reason_set(why, "the ref '%s' and the digest disagree", t->ref);
		return -EINVAL;
	}
	if (t->has_sealed && t->size == SIZE_UNKNOWN) {
		reason_set(why, "it is sealed and has no size");
		return -EINVAL;
	}
	return 0;
}

int transfer_parse(struct span text, struct transfer *ret_transfer, struct reason *why)
{
	struct transfer t;
	size_t end = transfer_whole_len(text);

	if (end == 0) {
		reason_set(why, "there is no whole record in it");
		return -EINVAL;
	}
	size_t at = record_start(text, end);
	end -= strlen(END_LINE);
	transfer_init(&t);
	while (at < end) {
		const uint8_t *line = text.data + at;
		size_t len = (size_t)((const uint8_t *)memchr(line, '\n', end - at) - line);
		const uint8_t *equals = memchr(line, '=', len);
		size_t key_len = equals ? (size_t)(equals - line) : len;
		if (!equals || set_key(&t, span_of(line, key_len), span_of(equals + 1, len - key_len - 1)) < 0) {
			reason_set(why, "a line in it is not valid: '%.*s'", (int)(key_len < 64 ? key_len : 64), line);
			return -EINVAL;
		}
		at += len + 1;
	}
	if (record_check(&t, why) < 0)
		return -EINVAL;
	*ret_transfer = t;
	return 0;
}

static int line_text(struct buf *out, const char *key, const char *value)
{
	return value[0] == '\0' ? 0 : buf_appendf(out, "%s=%s\n", key, value);
}

static int line_digest(struct buf *out, const char *key, bool has, const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE] = "";

	if (has)
		digest_format(d, text);
	return line_text(out, key, text);
}

static int line_number(struct buf *out, const char *key, uint64_t value, uint64_t absent)
{
	return value == absent ? 0 : buf_appendf(out, "%s=%llu\n", key, (unsigned long long)value);
}

int transfer_format(const struct transfer *t, struct buf *out)
{
	char started[CLOCK_TEXT_SIZE];
	size_t before = out->len;

	clock_format(t->started_s, started);
	if (line_text(out, "ref", t->ref) < 0 || line_text(out, "source", t->source) < 0 ||
	    line_digest(out, "digest", t->has_expected, &t->expected) < 0 ||
	    line_number(out, "size", t->size, SIZE_UNKNOWN) < 0 || line_text(out, "media_type", t->media_type) < 0 ||
	    line_text(out, "validator", t->validator) < 0 || line_text(out, "started", started) < 0 ||
	    line_number(out, "attempt", t->attempt, 0) < 0 || line_number(out, "orders", t->orders, 0) < 0 ||
	    line_number(out, "restarts", t->restarts, 0) < 0 ||
	    line_digest(out, "sealed", t->has_sealed, &t->sealed) < 0 ||
	    line_number(out, "failed", t->failed, FAIL_NONE) < 0 || line_text(out, "error", t->why.text) < 0 ||
	    buf_append_str(out, END_LINE) < 0) {
		out->len = before;
		return -ENOMEM;
	}
	return 0;
}
