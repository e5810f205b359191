/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of an ingest: what was requested, from where, and how far it got. On disk it is the text file `transfer`
 * in the ingest's directory, one key=value per line; keys without a value are left out:
 *
 *   ref=sha256:…                  the key of the request
 *   source=blob://…               where the content comes from
 *   policy=options|credentials    the source came with a policy (source_policy.h), which is in memory only
 *   digest=sha256:…               the expected digest
 *   size=N                        total bytes
 *   media_type=… validator=…      as reported by the server
 *   started=2026-01-31T12:34:56Z
 *   attempt=N                     the number of the last order to fetchd; only grows
 *   orders=N                      the number of orders
 *   restarts=N                    how often it started over because of wrong or changed content
 *   sealed=sha256:…               all bytes have arrived and are synced, and this is their digest
 *   failed=N error=…              why it stopped: the number of a fail_class, and a message for people
 *   end=1                         the record is complete
 *
 * A change appends a complete record, and the last complete one counts: a torn append does no harm.
 */
#ifndef SLUICE_STORE_RECORD_H
#define SLUICE_STORE_RECORD_H

#include "common/oci/transfer.h"

#define RECORD_FILE_MAX (64u << 10) /* bytes; a file that would grow over it is rewritten */

enum record_policy { /* what the source needs besides the configuration */
		     RECORD_POLICY_NONE,
		     RECORD_POLICY_OPTIONS,
		     RECORD_POLICY_CREDENTIALS, /* and options, perhaps */
};

struct record {
	char ref[REF_MAX + 1];
	char source[SOURCE_MAX + 1]; /* empty: fed by 'ingestd put' */
	enum record_policy policy;
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
	enum fail_class failed; /* FAIL_NONE unless it failed */
	struct reason why;
};

/* All keys empty, unknown or zero. */
void record_init(struct record *record);

/* How many bytes of a file's text are complete records; the rest is a torn append. 0: there is none. */
size_t record_whole_len(struct span text);

/*
 * Read the last complete record of a file's text. -EINVAL with a reason: there is none, no ref, an unknown key, a value
 * out of bounds, a NUL, or a ref that is a digest other than the expected one. `ret_record` is filled in only on 0.
 */
int record_parse(struct span text, struct record *ret_record, struct reason *why);

/*
 * The record of the ingest directory `dir_fd`, whose name is `id`. `ret_whole_len` (may be NULL): how many bytes of the
 * file are complete records. -ENOENT: no file. -EBADMSG: no valid record in it, or one of another ref. -EFBIG: longer
 * than we ever write. Else -errno. Always with a reason; outputs are filled in only on 0. Takes no lock: beside a
 * writer, the record may be out of date at once.
 */
int record_load(int dir_fd, const char *id, struct record *ret_record, size_t *ret_whole_len, struct reason *why);

/* Append a complete record as text to `out`. 0 or -ENOMEM. */
int record_format(const struct record *record, struct buf *out);

#endif
