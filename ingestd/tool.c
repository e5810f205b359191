/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/tool.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/boot.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/frame.h"

/* ingestd */
#include "ingestd/disk/open.h"
#include "ingestd/disk/sync.h"
#include "ingestd/seals.h"
#include "ingestd/verdict.h"

#define PIPE_BYTES (1 << 20) /* the pipe's buffer between us and the previous stage */

struct put {
	const struct settings *settings;
	const char *ref;
	char stream[REF_MAX + 1]; /* the ref in the frames; empty before the first */
	struct layout *layout;
	struct ingest_home home;
	struct ingest *in;
	uint64_t started_at; /* the offset at start */
	uint64_t checkpoint_ms;
};

static int io_failed(struct put *p, int r, const char *verb)
{
	struct reason why;

	verdict_io(p->in, verb, r, &why);
	log_error("%s; what arrived is kept%s", why.text, file_is_full(r) ? ", make room and run this again" : "");
	return exit_code_of(r);
}

/* After a failed sync the live slot must not vouch for the bytes: the next run could not know. */
static int sync_failed(struct put *p, const struct sync_job *job)
{
	if (job->poisoned)
		(void)ingest_roll_back(p->in);
	return io_failed(p, job->result, "sync");
}

static int checkpoint(struct put *p)
{
	struct sync_job job;

	sync_prepare(&job, SYNC_CHECKPOINT, p->in);
	sync_run(&job);
	p->checkpoint_ms = clock_mono_ms();
	return sync_finish(&job) < 0 ? sync_failed(p, &job) : EX_OK;
}

/* If the size is known, check that there is space before accepting the first byte. */
static int claim_space(struct put *p)
{
	struct reason why;
	struct sync_job job;
	struct ingest *in = p->in;

	if (!verdict_space(in, &why)) {
		log_error("%s; make room and run this again", why.text);
		return EX_TEMPFAIL;
	}
	if (in->record.size == SIZE_UNKNOWN)
		return EX_OK;
	sync_prepare(&job, SYNC_RESERVE, in);
	sync_run(&job);
	int r = sync_finish(&job);
	if (r == 0)
		return EX_OK;
	(void)ingest_unreserve(in);
	return io_failed(p, r, "reserve space for");
}

/* The content is wrong: drop it, because otherwise the next run would fail the same way. */
static int drop(struct put *p, const char *why)
{
	int r = ingest_truncate(p->in);

	if (r < 0)
		return io_failed(p, r, "truncate");
	log_error("cannot put '%s': %s; the bytes were dropped", p->ref, why);
	return EX_DATAERR;
}

static int append(struct put *p, struct span bytes)
{
	struct reason why;
	struct ingest *in = p->in;
	size_t accepted = 0;

	if (in->record.size != SIZE_UNKNOWN && bytes.len > in->record.size - in->offset) {
		log_error("cannot put '%s': the input is longer than the expected %" PRIu64 " bytes", p->ref,
			  in->record.size);
		return EX_DATAERR;
	}
	if (!verdict_length(in, in->offset + bytes.len, &why))
		return drop(p, why.text);
	int r = ingest_append(in, bytes.data, bytes.len, &accepted);
	if (r < 0)
		return io_failed(p, r, "write to");
	if (in->offset - in->durable_offset < p->settings->checkpoint_bytes &&
	    clock_mono_ms() - p->checkpoint_ms < p->settings->checkpoint_interval_ms)
		return EX_OK;
	return checkpoint(p);
}

static int print_seal(struct put *p)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message seal;

	seal_of(p->in, digest, &seal);
	if (isatty(STDOUT_FILENO)) {
		(void)printf("sealed %s %s %" PRIu64 "\n", p->ref, digest, p->in->record.size);
		return EX_OK;
	}
	int r = frame_write(STDOUT_FILENO, &seal);
	if (r == 0)
		return EX_OK;
	log_errno(r, "cannot write the seal of '%s'; it is kept, run this again", p->ref);
	return EX_TEMPFAIL;
}

static int seal(struct put *p)
{
	struct reason why;
	struct sync_job job;
	struct ingest *in = p->in;

	if (in->is_moved)
		return print_seal(p);
	if (!verdict_content(in, &why))
		return drop(p, why.text);
	sync_prepare(&job, SYNC_SEAL, in);
	sync_run(&job);
	if (sync_finish(&job) < 0)
		return sync_failed(p, &job);
	int r = ingest_note_sealed(in);
	return r < 0 ? io_failed(p, r, "record the seal of") : print_seal(p);
}

static int cut_short(struct put *p)
{
	log_error("the input for '%s' ended early, at %" PRIu64 "; what arrived is kept, run this again", p->ref,
		  p->in->offset);
	return EX_TEMPFAIL;
}

/*
 * Whether a frame belongs to content other than the previous frame's, or other than expected. `fetchd get` names a
 * stream by its source, so the first ref may be anything except another digest.
 */
static bool is_foreign(struct put *p, const struct message *m)
{
	struct digest of;
	bool is_other = p->stream[0] != '\0' ? !span_eq(m->ref, span_str(p->stream))
					     : digest_parse(m->ref, &of, NULL) == 0 && p->in->record.has_expected &&
						   !digest_eq(&of, &p->in->record.expected);
	if (p->stream[0] == '\0')
		(void)snprintf(p->stream, sizeof(p->stream), "%.*s", SPAN_ARG(m->ref));
	if (is_other)
		log_error("cannot put '%s': the input has frames of '%.*s'", p->ref, SPAN_ARG(m->ref));
	return is_other;
}

/* Use what the sender knows, unless the command line overrides it. */
static int on_opened(struct put *p, const struct message *m)
{
	struct record *record = &p->in->record;
	struct reason why;

	if (m->size != SIZE_UNKNOWN && record->size != SIZE_UNKNOWN && m->size != record->size) {
		log_error("cannot put '%s': the sender has %" PRIu64 " bytes; expected %" PRIu64
			  " (if that is wrong, run 'sluice abort %s')",
			  p->ref, m->size, record->size, p->ref);
		return EX_DATAERR;
	}
	if (m->size != SIZE_UNKNOWN && !verdict_length(p->in, m->size, &why))
		return drop(p, why.text);
	if (m->size != SIZE_UNKNOWN)
		record->size = m->size;
	if (!record->has_expected && digest_parse(m->digest, &record->expected, NULL) == 0 &&
	    ingest_set_alg(p->in, record->expected.alg) == 0)
		record->has_expected = true;
	int r = ingest_note(p->in);
	return r < 0 ? io_failed(p, r, "write the record of") : claim_space(p);
}

/* Bytes that are stored already are skipped; a stream that starts after them has a gap. */
static int on_bytes(struct put *p, uint64_t offset, struct span bytes)
{
	uint64_t have = p->in->offset;

	if (offset > have) {
		log_error("the input for '%s' begins at %" PRIu64 " and not at %" PRIu64
			  "; start it where 'ingestd offset %s' says",
			  p->ref, offset, have, p->ref);
		return EX_DATAERR;
	}
	if (have - offset >= bytes.len)
		return EX_OK;
	size_t skip = (size_t)(have - offset);
	return append(p, span_of(bytes.data + skip, bytes.len - skip));
}

static int on_end(struct put *p, const struct message *m)
{
	if (m->size > p->in->offset)
		return cut_short(p);
	if (p->in->record.size == SIZE_UNKNOWN)
		p->in->record.size = m->size;
	return seal(p);
}

/* What does not fit the content would not fit it next time either: say how to be rid of it. */
static int fetch_failed(struct put *p, const struct message *m)
{
	if (m->fail_class == FAIL_CHANGED)
		log_error(
		    "cannot put '%s': %.*s; what arrived is kept: if it does not belong to that, run 'sluice abort %s'",
		    p->ref, SPAN_ARG(m->text), p->ref);
	else
		log_error("cannot put '%s': %.*s; what arrived is kept", p->ref, SPAN_ARG(m->text));
	return m->fail_class ? fail_exit_code((enum fail_class)m->fail_class) : EX_TEMPFAIL;
}

static int put_frames(struct put *p)
{
	struct frame_reader *reader;
	struct message m;
	enum decode_verdict verdict;
	int code = EX_OK, r = frame_reader_new(STDIN_FILENO, &reader);
	bool ended = false;

	while (r == 0 && code == EX_OK && !ended) {
		int got = frame_read(reader, &m, &verdict);
		if (got == 0 || got == -ENODATA) {
			code = cut_short(p);
		} else if (got == -EBADMSG) {
			log_error("standard input for '%s' is not a stream of frames: %s (for plain bytes, use --raw)",
				  p->ref, decode_verdict_text(verdict));
			code = EX_DATAERR;
		} else if (got < 0) {
			log_errno(got, "cannot read standard input for '%s'", p->ref);
			code = EX_IOERR;
		} else if (is_foreign(p, &m)) {
			code = EX_DATAERR;
		} else if (m.type == MSG_OPENED) {
			code = on_opened(p, &m);
		} else if (m.type == MSG_CHUNK) {
			code = on_bytes(p, m.offset, m.payload);
		} else if (m.type == MSG_END) {
			code = on_end(p, &m);
			ended = true;
		} else if (m.type == MSG_FAIL) {
			code = fetch_failed(p, &m);
		}
	}
	if (r == 0)
		frame_reader_free(reader);
	return r < 0 ? exit_code_of(r) : code;
}

/*
 * Plain bytes do not say whether their end is the end of the content. A known size does; otherwise a known digest does,
 * and a stream that had nothing new and still does not match is wrong, not short.
 */
static int raw_ended(struct put *p, uint64_t position)
{
	struct digest got;
	struct ingest *in = p->in;

	if (in->record.size != SIZE_UNKNOWN)
		return in->offset < in->record.size ? cut_short(p) : seal(p);
	if (ingest_check(in, &got) == SEAL_MATCH || (in->offset == p->started_at && position == in->offset))
		return seal(p);
	return cut_short(p);
}

static int put_raw(struct put *p)
{
	uint64_t position = p->settings->offset;
	AUTO_FREE uint8_t *bytes = malloc(CHUNK_PAYLOAD_MAX);
	int code = EX_OK;

	if (!bytes)
		return EX_OSERR;
	while (code == EX_OK) {
		ssize_t n = read(STDIN_FILENO, bytes, CHUNK_PAYLOAD_MAX);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			log_errno(-errno, "cannot read standard input for '%s'", p->ref);
			return EX_IOERR;
		}
		if (n == 0)
			return raw_ended(p, position);
		code = on_bytes(p, position, span_of(bytes, (size_t)n));
		position += (uint64_t)n;
	}
	return code;
}

static int take_home(struct put *p)
{
	p->home = (struct ingest_home){.layout = p->layout, .program = "ingestd put"};
	int r = boot_id_read(p->settings->boot_id, p->home.boot_id);
	if (r < 0) {
		log_errno(r, "cannot read the boot id; pass it with --boot-id");
		return EX_CONFIG;
	}
	return EX_OK;
}

static int open_home(struct put *p)
{
	struct reason why;

	int r = layout_open(p->settings->store, LAYOUT_INGESTER, &p->layout, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	return take_home(p);
}

static int open_ingest(struct put *p, enum ingest_make make)
{
	struct reason why = {""};

	int r = ingest_open(&p->home, span_str(p->ref), make, &p->in, &why);
	if (r == 0)
		return EX_OK;
	log_error("cannot open the ingest of '%s': %s", p->ref, why.text);
	return exit_code_of(r);
}

/*
 * Copy what the command line says about the content into the record. A size that an earlier stream announced does not last
 * if nothing has arrived and a digest decides: it may be wrong, and have no room on any disk.
 */
static int take_expectations(struct put *p, const struct digest *expected)
{
	struct record *record = &p->in->record;

	if (expected && !p->in->is_moved) {
		if (ingest_set_alg(p->in, expected->alg) < 0) {
			log_error("the bytes of '%s' so far were hashed with a different algorithm; abort it first",
				  p->ref);
			return EX_DATAERR;
		}
		record->expected = *expected;
		record->has_expected = true;
	}
	if ((p->settings->size != SIZE_UNKNOWN || (record->has_expected && p->in->offset == 0)) && !record->has_sealed)
		record->size = p->settings->size;
	int r = ingest_note(p->in);
	return r < 0 ? io_failed(p, r, "write the record of") : EX_OK;
}

/*
 * Nothing is missing. A sender that was told so still sends its opening and its end: read them, or it would fail because
 * nobody reads, and the same pipeline would fail each time. Bytes are not read: whoever sends those has not asked.
 */
static int finish_stored(struct put *p, int code)
{
	struct frame_reader *reader;
	struct message m;

	if (code != EX_OK || p->settings->raw || frame_reader_new(STDIN_FILENO, &reader) < 0)
		return code;
	while (frame_read(reader, &m, NULL) == 1 && m.type != MSG_CHUNK && m.type != MSG_END && m.type != MSG_FAIL)
		;
	frame_reader_free(reader);
	return EX_OK;
}

/* "Already exists" is success: print only the seal, for which commitd will find the blob. */
static int seal_of_stored(const char *ref, const struct digest *d, uint64_t size)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(d, text);
	log_notice("'%s' is stored already", text);
	struct message m = {.type = MSG_SEALED, .ref = span_str(ref), .digest = span_str(text), .size = size};
	int r = isatty(STDOUT_FILENO) ? 0 : frame_write(STDOUT_FILENO, &m);
	return r < 0 ? EX_TEMPFAIL : EX_OK;
}

static int put_with(struct put *p, const struct digest *expected)
{
	uint64_t size;

	int code = open_home(p);
	if (code != EX_OK)
		return code;
	if (expected && layout_blob_size(p->layout, expected, &size) == 0)
		return finish_stored(p, seal_of_stored(p->ref, expected, size));
	code = open_ingest(p, INGEST_MAKE);
	if (code == EX_OK)
		code = take_expectations(p, expected);
	if (code != EX_OK)
		return code;
	if (p->in->offset > 0)
		log_notice("'%s' resumes %s at %" PRIu64 ", %" PRIu64 " bytes hashed again", p->ref, p->in->resumed,
			   p->in->offset, p->in->rehashed_now);
	if (p->in->is_moved)
		return finish_stored(p, seal(p));
	code = claim_space(p);
	if (code != EX_OK)
		return code;
	p->started_at = p->in->offset;
	p->checkpoint_ms = clock_mono_ms();
	(void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_BYTES); /* fails unless it is a pipe, which does not matter */
	return p->settings->raw ? put_raw(p) : put_frames(p);
}

int put_run(const struct settings *s, const char *ref)
{
	struct put p = {.settings = s, .ref = ref};
	struct digest digest;
	struct reason why;
	bool known = false;

	if (ref_check(span_str(ref), &why) < 0 || (s->digest && digest_parse(span_str(s->digest), &digest, &why) < 0)) {
		log_error("%s", why.text);
		return EX_USAGE;
	}
	if (!s->raw && isatty(STDIN_FILENO)) {
		log_error(
		    "standard input is a terminal; give it the frames that 'fetchd get' writes, or bytes with --raw");
		return EX_USAGE;
	}
	known = s->digest || digest_parse(span_str(ref), &digest, NULL) == 0;
	int code = put_with(&p, known ? &digest : NULL);
	ingest_close(p.in);
	layout_free(p.layout);
	return code;
}

/* If the content is stored, or its data has moved to blobs/, the offset is the size: nothing is missing. */
static int find_offset(struct put *p, uint64_t *ret_offset)
{
	struct digest digest;
	struct reason why = {""};

	*ret_offset = 0;
	int r = layout_open(p->settings->store, LAYOUT_READER, &p->layout, &why);
	if (r == -ENOENT)
		return EX_OK; /* no store yet: from the start */
	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	int code = take_home(p);
	if (code != EX_OK)
		return code;
	if (digest_parse(span_str(p->ref), &digest, NULL) == 0 && layout_blob_size(p->layout, &digest, ret_offset) == 0)
		return EX_OK;
	if (layout_ingest_fd(p->layout) < 0)
		return EX_OK;
	r = ingest_peek(&p->home, span_str(p->ref), ret_offset, &why);
	if (r == 0 || r == -ENOENT)
		return EX_OK;
	log_error("cannot determine the offset of '%s': %s", p->ref, why.text);
	return exit_code_of(r);
}

int offset_run(const struct settings *s, const char *ref)
{
	struct put p = {.settings = s, .ref = ref};
	struct reason why;
	uint64_t offset = 0;

	if (ref_check(span_str(ref), &why) < 0) {
		log_error("%s", why.text);
		return EX_USAGE;
	}
	int code = find_offset(&p, &offset);
	if (code == EX_OK)
		(void)printf("%" PRIu64 "\n", offset);
	ingest_close(p.in);
	layout_free(p.layout);
	return code;
}
