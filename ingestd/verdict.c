/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/verdict.h"

/* System */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Base */
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/text.h"

#define SPACE_UNKNOWN    (UINT64_C(1) << 20)  /* bytes; for the rest of content of unknown size */
#define SPACE_BESIDE     (UINT64_C(64) << 10) /* bytes; besides the content, for its record and what commitd writes */
#define STAT_BLOCK_BYTES 512

void verdict_io(const struct ingest *in, const char *verb, int r, struct reason *why)
{
	reason_set(why, "cannot %s '%s/" LAYOUT_INGEST "/%s/" INGEST_DATA "': %s", verb, layout_path(in->home->layout),
		   in->id, strerror(-r));
}

bool verdict_space(const struct ingest *in, struct reason *why)
{
	struct stat st;
	uint64_t left, have = in->offset;
	char need_text[TEXT_PROSE_ROOM], left_text[TEXT_PROSE_ROOM];

	if (in->data_fd < 0 || fstat(in->data_fd, &st) < 0 || file_space_left(in->data_fd, &left) < 0)
		return true; /* the write will tell */
	if ((uint64_t)st.st_blocks * STAT_BLOCK_BYTES > have)
		have = (uint64_t)st.st_blocks * STAT_BLOCK_BYTES; /* reserved already */
	/* Before the first byte the server may still tell the size. */
	uint64_t need = in->record.size == SIZE_UNKNOWN ? (in->offset > 0 ? SPACE_UNKNOWN : SPACE_BESIDE)
			: in->record.size > have        ? in->record.size - have + SPACE_BESIDE
							: 0;
	if (need == 0 || need <= left)
		return true;
	text_size_prose(need, need_text);
	text_size_prose(left, left_text);
	reason_set(why, "no space: '%s' needs %s more; %s free on '%s'; 'sluice gc' may make room", in->record.ref,
		   need_text, left_text, layout_path(in->home->layout));
	return false;
}

bool verdict_length(const struct ingest *in, uint64_t size, struct reason *why)
{
	const struct record *record = &in->record;
	uint64_t max = source_size_max(span_str(record->source[0] != '\0' ? record->source : record->ref));

	if (size <= max)
		return true;
	reason_set(why, "the content has more than %" PRIu64 " bytes, too many for a manifest", max);
	return false;
}

bool verdict_room(const struct layout *l)
{
	struct statvfs st;

	if (fstatvfs(layout_ingest_fd(l), &st) < 0)
		return true; /* the next try will tell */
	return (st.f_bavail > 0 || st.f_blocks == 0 /* it does not tell */) && (st.f_files == 0 || st.f_favail > 0);
}

bool verdict_content(const struct ingest *in, struct reason *why)
{
	struct digest got;
	char got_text[DIGEST_TEXT_SIZE], want_text[DIGEST_TEXT_SIZE];

	switch (ingest_check(in, &got)) {
	case SEAL_MATCH:
		return true;
	case SEAL_WRONG_SIZE:
		reason_set(why, "the content is %" PRIu64 " bytes long; expected %" PRIu64, in->offset,
			   in->record.size);
		return false;
	case SEAL_WRONG_DIGEST:
		break;
	}
	digest_format(&got, got_text);
	digest_format(&in->record.expected, want_text);
	reason_set(why, "the content hashes to %s; expected %s", got_text, want_text);
	return false;
}

static enum learn learn_size(struct transfer *t, uint64_t size, struct reason *why)
{
	struct record *record = &t->in->record;

	if (size == SIZE_UNKNOWN || size == record->size)
		return LEARN_OK;
	if (record->size == SIZE_UNKNOWN && size >= t->in->offset) {
		record->size = size;
		return LEARN_OK;
	}
	reason_set(why, "the server has %" PRIu64 " bytes; expected %" PRIu64, size,
		   record->size == SIZE_UNKNOWN ? t->in->offset : record->size);
	return t->asked_size == SIZE_UNKNOWN ? LEARN_CHANGED : LEARN_WRONG;
}

static enum learn learn_digest(struct transfer *t, struct span text, struct reason *why)
{
	struct record *record = &t->in->record;
	struct digest got, of_ref;
	char want_text[DIGEST_TEXT_SIZE];

	if (text.len == 0)
		return LEARN_OK;
	if (digest_parse(text, &got, why) < 0)
		return LEARN_WRONG;
	if (!record->has_expected) {
		if (ingest_set_alg(t->in, got.alg) < 0) {
			reason_set(why, "the server changed the digest algorithm");
			return LEARN_CHANGED;
		}
		record->expected = got;
		record->has_expected = true;
		return LEARN_OK;
	}
	if (digest_eq(&got, &record->expected) || got.alg != record->expected.alg)
		return LEARN_OK; /* a digest of another algorithm may be of the same bytes */
	digest_format(&record->expected, want_text);
	reason_set(why, "the server has %.*s; expected %s", SPAN_ARG(text), want_text);
	bool asked = t->has_asked_digest || digest_parse(span_str(t->ref), &of_ref, NULL) == 0;
	return asked ? LEARN_WRONG : LEARN_CHANGED;
}

static void copy_text(char *to, size_t room, struct span from)
{
	(void)snprintf(to, room, "%.*s", SPAN_ARG(from));
}

static bool has_learned(const struct record *before, const struct record *now)
{
	return before->size != now->size || before->has_expected != now->has_expected ||
	       strcmp(before->media_type, now->media_type) != 0 || strcmp(before->validator, now->validator) != 0;
}

enum learn verdict_learn(struct transfer *t, const struct message *opened, struct reason *why)
{
	struct record *record = &t->in->record;
	struct record before = *record;

	enum learn v = learn_size(t, opened->size, why);
	if (v == LEARN_OK)
		v = learn_digest(t, opened->digest, why);
	if (v != LEARN_OK)
		return v;
	copy_text(record->media_type, sizeof(record->media_type), opened->media_type);
	copy_text(record->validator, sizeof(record->validator), opened->validator);
	/* If it fails, the next order or the seal writes it; until then the server says it again. */
	if (has_learned(&before, record) && ingest_note(t->in) < 0)
		log_debug("cannot record what the server says about '%s'", t->ref);
	return LEARN_OK;
}

void verdict_log_state(const struct transfer *t)
{
	const char *note = t->note ? t->note : "";
	const char *colon = t->note ? ": " : "";
	const char *state = transfer_state_name(t->state);
	enum log_level level =
	    t->state == TRANSFER_FAILED || t->state == TRANSFER_WAITING ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;

	char digest[DIGEST_TEXT_SIZE] = "";
	if (t->has_digest)
		digest_format(&t->digest, digest);
	const struct log_fields about = {.ref = t->ref, .digest = t->has_digest ? digest : NULL, .bytes = t->offset};
	if (t->size == SIZE_UNKNOWN)
		log_with(level, &about, "transfer '%s' %s at %" PRIu64 "%s%s", t->ref, state, t->offset, colon, note);
	else
		log_with(level, &about, "transfer '%s' %s at %" PRIu64 " of %" PRIu64 "%s%s", t->ref, state, t->offset,
			 t->size, colon, note);
}
