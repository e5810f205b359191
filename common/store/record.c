/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/record.h"

/* System */
#include <errno.h>
#include <string.h>

/* Base */
#include "common/base/date.h"
#include "common/base/file.h"
#include "common/base/text.h"

/* Store */
#include "common/store/layout.h"

#define END_LINE "end=1\n"

void record_init(struct record *record)
{
	*record = (struct record){.size = SIZE_UNKNOWN};
}

/* A value must be a line: control characters from a server make it invalid. */
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

static int set_digest(struct digest *to, bool *has, struct span value)
{
	int r = digest_parse(value, to, NULL);
	if (r == 0)
		*has = true;
	return r;
}

static int set_time(uint64_t *to, struct span value)
{
	char text[DATE_TEXT_SIZE];
	int r = set_text(text, sizeof(text), value);
	return r < 0 ? r : date_parse(text, to);
}

static int set_failed(struct record *record, struct span value)
{
	uint64_t n;
	int r = text_number(value, FAIL_CLASS_MAX, &n);
	if (r == 0)
		record->failed = (enum fail_class)n;
	return r;
}

static int set_restarts(struct record *record, struct span value)
{
	uint64_t n;
	int r = text_number(value, UINT32_MAX, &n);
	if (r == 0)
		record->restarts = (uint32_t)n;
	return r;
}

static const char *const policies[] = {
    [RECORD_POLICY_NONE] = "", [RECORD_POLICY_OPTIONS] = "options", [RECORD_POLICY_CREDENTIALS] = "credentials"};

static int set_policy(struct record *record, struct span value)
{
	for (enum record_policy p = RECORD_POLICY_OPTIONS; p <= RECORD_POLICY_CREDENTIALS; p++)
		if (span_eq(value, span_str(policies[p]))) {
			record->policy = p;
			return 0;
		}
	return -EINVAL;
}

static int set_key(struct record *record, struct span key, struct span value)
{
	if (span_eq(key, span_str("ref")))
		return set_text(record->ref, sizeof(record->ref), value);
	if (span_eq(key, span_str("source")))
		return set_text(record->source, sizeof(record->source), value);
	if (span_eq(key, span_str("policy")))
		return set_policy(record, value);
	if (span_eq(key, span_str("digest")))
		return set_digest(&record->expected, &record->has_expected, value);
	if (span_eq(key, span_str("size")))
		return text_number(value, INT64_MAX, &record->size);
	if (span_eq(key, span_str("media_type")))
		return set_text(record->media_type, sizeof(record->media_type), value);
	if (span_eq(key, span_str("validator")))
		return set_text(record->validator, sizeof(record->validator), value);
	if (span_eq(key, span_str("started")))
		return set_time(&record->started_s, value);
	if (span_eq(key, span_str("attempt")))
		return text_number(value, UINT64_MAX, &record->attempt);
	if (span_eq(key, span_str("orders")))
		return text_number(value, UINT64_MAX, &record->orders);
	if (span_eq(key, span_str("restarts")))
		return set_restarts(record, value);
	if (span_eq(key, span_str("sealed")))
		return set_digest(&record->sealed, &record->has_sealed, value);
	if (span_eq(key, span_str("failed")))
		return set_failed(record, value);
	if (span_eq(key, span_str("error")))
		return set_text(record->why.text, sizeof(record->why.text), value);
	return -EINVAL;
}

/* Where the record that ends at `end` begins: after the previous closing line. */
static size_t record_start(struct span text, size_t end)
{
	size_t len = strlen(END_LINE);

	for (size_t at = end - len; at >= len; at--)
		if (memcmp(text.data + at - len, END_LINE, len) == 0 && (at == len || text.data[at - len - 1] == '\n'))
			return at;
	return 0;
}

size_t record_whole_len(struct span text)
{
	size_t len = strlen(END_LINE);

	for (size_t end = text.len; end > len; end--)
		if (memcmp(text.data + end - len, END_LINE, len) == 0 && text.data[end - len - 1] == '\n')
			return end;
	return 0;
}

static int record_check(const struct record *record, struct reason *why)
{
	struct digest d;

	if (ref_check(span_str(record->ref), why) < 0)
		return -EINVAL;
	if (digest_parse(span_str(record->ref), &d, NULL) == 0 &&
	    (!record->has_expected || !digest_eq(&d, &record->expected))) {
		reason_set(why, "the ref '%s' and the digest differ", record->ref);
		return -EINVAL;
	}
	if (record->has_sealed && record->size == SIZE_UNKNOWN) {
		reason_set(why, "it is sealed but has no size");
		return -EINVAL;
	}
	return 0;
}

int record_parse(struct span text, struct record *ret_record, struct reason *why)
{
	struct record record;
	size_t end = record_whole_len(text);

	if (end == 0) {
		reason_set(why, "it has no complete record");
		return -EINVAL;
	}
	size_t at = record_start(text, end);
	end -= strlen(END_LINE);
	record_init(&record);
	while (at < end) {
		const uint8_t *line = text.data + at;
		size_t len = (size_t)((const uint8_t *)memchr(line, '\n', end - at) - line);
		const uint8_t *equals = memchr(line, '=', len);
		size_t key_len = equals ? (size_t)(equals - line) : len;
		if (!equals || set_key(&record, span_of(line, key_len), span_of(equals + 1, len - key_len - 1)) < 0) {
			reason_set(why, "it has an invalid line: '%.*s'", (int)(key_len < 64 ? key_len : 64), line);
			return -EINVAL;
		}
		at += len + 1;
	}
	if (record_check(&record, why) < 0)
		return -EINVAL;
	*ret_record = record;
	return 0;
}

int record_load(int dir_fd, const char *id, struct record *ret_record, size_t *ret_whole_len, struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	struct record record;
	char of_ref[INGEST_ID_SIZE];

	/* Lines may still be appended to a file that is about to be made compact. */
	int r = file_load_at(dir_fd, INGEST_TRANSFER, 2 * RECORD_FILE_MAX, &text);
	if (r < 0) {
		reason_set(why, "%s", strerror(-r));
		return r;
	}
	if (record_parse(buf_span(&text), &record, why) < 0)
		return -EBADMSG;
	layout_ingest_id(span_str(record.ref), of_ref);
	if (strcmp(of_ref, id) != 0) {
		reason_set(why, "it is the record of another ref");
		return -EBADMSG;
	}
	*ret_record = record;
	if (ret_whole_len)
		*ret_whole_len = record_whole_len(buf_span(&text));
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

int record_format(const struct record *record, struct buf *out)
{
	char started[DATE_TEXT_SIZE];
	size_t before = out->len;

	date_format(record->started_s, started);
	if (line_text(out, "ref", record->ref) < 0 || line_text(out, "source", record->source) < 0 ||
	    line_text(out, "policy", policies[record->policy]) < 0 ||
	    line_digest(out, "digest", record->has_expected, &record->expected) < 0 ||
	    line_number(out, "size", record->size, SIZE_UNKNOWN) < 0 ||
	    line_text(out, "media_type", record->media_type) < 0 ||
	    line_text(out, "validator", record->validator) < 0 || line_text(out, "started", started) < 0 ||
	    line_number(out, "attempt", record->attempt, 0) < 0 || line_number(out, "orders", record->orders, 0) < 0 ||
	    line_number(out, "restarts", record->restarts, 0) < 0 ||
	    line_digest(out, "sealed", record->has_sealed, &record->sealed) < 0 ||
	    line_number(out, "failed", record->failed, FAIL_NONE) < 0 ||
	    line_text(out, "error", record->why.text) < 0 || buf_append_str(out, END_LINE) < 0) {
		out->len = before;
		return -ENOMEM;
	}
	return 0;
}
