/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals for the data in a test's store.
 */
#ifndef SLUICE_TEST_COMMITD_SEAL_H
#define SLUICE_TEST_COMMITD_SEAL_H

#include "tests/unit/test_commitd_store.h"

/* Wire */
#include "common/wire/message.h"

/* Fill in what a seal says about the current data; nothing if there is none. */
static inline void store_bind_seal(const struct store *s, const char *ref, struct message *seal)
{
	char path[PATH_SIZE];
	struct stat st;
	ingest_data(s, ref, path);
	if (lstat(path, &st) < 0)
		return;
	seal->ino = (uint64_t)st.st_ino;
	seal->mtime_ns = file_mtime_ns(&st);
}

/* A valid seal of `text` for the current data, with its record. Borrows `ref` and `digest`. */
static inline struct message store_seal(const struct store *s, const char *ref, const char *text, uint8_t provenance,
					char digest[static DIGEST_TEXT_SIZE])
{
	struct digest d = digest_of_text(text);
	digest_format(&d, digest);
	struct message seal = {.type = MSG_SEALED,
			       .ref = span_str(ref),
			       .digest = span_str(digest),
			       .size = strlen(text),
			       .provenance = provenance};
	store_bind_seal(s, ref, &seal);
	ingest_note_as_sealed(s, ref, &d, seal.size);
	return seal;
}

#endif
