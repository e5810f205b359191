/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of an ingest: what was requested, from where, and how far it got. On disk it is the text file `transfer`
 * of an ingest directory, one key=value a line, keys without a value left out:
 *
 *   ref=sha256:…                  the key under which it was requested
 *   source=blob://…               where from
 *   digest=sha256:…               what it must hash to
 *   size=N                        bytes in all
 *   media_type=… validator=…      as the server said
 *   started=2026-01-31T12:34:56Z
 *   attempt=N                     the number of the last order to fetchd; only grows
 *   orders=N                      how many orders there were
 *   restarts=N                    how often it went back to zero because of wrong or changed content
 *   sealed=sha256:…               all bytes are there and synced, and this is their digest
 *   failed=N error=…              why it rests: the number of its fail_class, and a line for people
 *   end=1                         the record is whole
 *
 * A change appends a whole record, and the last whole one counts: an append that was torn puts nothing at risk.
 */
#ifndef SLUICE_STORE_RECORD_H
#define SLUICE_STORE_RECORD_H

#include "common/oci/transfer.h"

#define RECORD_FILE_MAX (64u << 10) /* bytes; a file that would grow over it is rewritten */

struct record {
	char ref[REF_MAX + 1];
	char source[SOURCE_MAX + 1]; /* empty: fed by 'ingestd put' */
	bool has_expected;
	struct digest expected;
	uint64_t size; /* or SIZE_UNKNOWN */
	char media_type[MEDIA_TYPE_MAX + 1];
	char validator[VALIDATOR_MAX + 1]; /* a strong ETag or a Last-Modified, for If-Range */
	uint64_t started_s;                /* wall clock */
	uint64_t attempt;
	uint64_t orders;
	uint32_t restarts;
	bool has_sealed;
	struct digest sealed;
	enum fail_class failed; /* FAIL_NONE unless it rests */
	struct reason why;
};

/* All keys empty, unknown or zero. */
void record_init(struct record *record);

/* How many bytes of a file's text are whole records; what is behind them was torn. 0: there is none. */
size_t record_whole_len(struct span text);

/*
 * Read the last whole record of a file's text. -EINVAL with a reason: there is none, no ref, an unknown key, a value
 * out of bounds, a NUL; a ref that is a digest beside another expected digest. Only on 0 `ret_record` is filled.
 */
int record_parse(struct span text, struct record *ret_record, struct reason *why);

/*
 * The record of the ingest directory `dir_fd`, whose name is `id`. `ret_whole_len` (may be NULL): how many bytes of the
 * file are whole records. -ENOENT: no file. -EBADMSG: no valid record in it, or one of another ref. -EFBIG: longer than
 * a file of ours. Else -errno. Always with a reason; outputs are filled on 0 only. Takes no lock: beside a writer it is
 * the record of a moment ago.
 */
int record_load(int dir_fd, const char *id, struct record *ret_record, size_t *ret_whole_len, struct reason *why);

/* Append a whole record as text to `out`. 0 or -ENOMEM. */
int record_format(const struct record *record, struct buf *out);

#endif
