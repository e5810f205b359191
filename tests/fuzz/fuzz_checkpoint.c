/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint file: any bytes have a result, and no result exceeds the data. An input is flags, the facts of the
 * data, a length, and up to three slots. The flags select slots that get a valid checksum, because otherwise no
 * mutation would pass it.
 */

/* Base */
#include "common/base/crc32.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

/* The code under test */
#include "ingestd/disk/checkpoint.h"

#define CRC_AT (SLOT_BYTES - 4)

enum {
	MEND_SLOT = 1, /* shifted by the slot's number */
	CUT_FILE = 8,
};

#define SLOTS (SLOT_DURABLE + 2)

static const uint8_t boot_id[BOOT_ID_SIZE] = "this boot's id.";
static const uint8_t ingest_id[INGEST_ID_BYTES] = "the id of this ingest, 31 bytes";

static size_t build_file(struct span *rest, unsigned flags, size_t cut, uint8_t file[static SLOT_FILE_BYTES])
{
	memset(file, 0, SLOT_FILE_BYTES);
	for (unsigned i = 0; i < SLOTS; i++) {
		uint8_t *slot = file + i * (size_t)SLOT_STRIDE;
		struct span bytes = fuzz_take(rest, SLOT_BYTES);
		if (bytes.len > 0)
			memcpy(slot, bytes.data, bytes.len);
		if (flags & (unsigned)MEND_SLOT << i)
			be_put(slot + CRC_AT, crc32_of(slot, CRC_AT), 4);
	}
	return flags & CUT_FILE ? cut % (SLOT_FILE_BYTES + 1) : SLOT_FILE_BYTES;
}

/* A valid slot is unchanged after encoding. */
static void check_round_trip(const uint8_t *slot)
{
	struct checkpoint c, back;
	uint8_t once[SLOT_BYTES], twice[SLOT_BYTES];

	if (!checkpoint_decode(slot, &c))
		return;
	checkpoint_encode(&c, once);
	FUZZ_CHECK(checkpoint_decode(once, &back));
	checkpoint_encode(&back, twice);
	FUZZ_CHECK(memcmp(once, twice, SLOT_BYTES) == 0);
	FUZZ_CHECK(back.offset == c.offset && back.hash.total_bytes == c.offset && back.durable == c.durable);
}

/* Hashing can resume from any digest state of a valid slot. */
static void check_hash(const struct hash_state *state)
{
	static const uint8_t bytes[300];
	struct hasher *h;
	uint8_t digest[HASH_MAX_BYTES];

	FUZZ_CHECK(hasher_new(state->alg, &h) == 0 && hasher_restore(h, state) == 0);
	hasher_update(h, bytes, sizeof(bytes));
	hasher_digest(h, digest);
	hasher_free(h);
}

static void check_resume(const struct resume *r, const struct data_facts *now)
{
	if (r->kind == RESUME_ZERO || r->kind == RESUME_BROKEN)
		return;
	FUZZ_CHECK(r->from.offset <= now->size);
	FUZZ_CHECK(memcmp(r->from.ingest_id, now->ingest_id, INGEST_ID_BYTES) == 0);
	FUZZ_CHECK((r->provenance & r->from.provenance) == r->from.provenance);
	FUZZ_CHECK(r->from.durable == (r->kind == RESUME_DURABLE));
	if (r->kind == RESUME_DURABLE) {
		FUZZ_CHECK(r->provenance != 0);
	} else {
		FUZZ_CHECK(r->from.inode == now->inode && memcmp(r->from.boot_id, now->boot_id, BOOT_ID_SIZE) == 0);
		FUZZ_CHECK((now->size - r->from.offset <= now->tail_max) == (r->kind == RESUME_LIVE));
		bool untouched = r->from.size == now->size && r->from.mtime_ns == now->mtime_ns;
		FUZZ_CHECK(untouched || r->provenance != 0);
	}
	check_hash(&r->from.hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t file[SLOT_FILE_BYTES];
	struct span rest = {data, len};
	unsigned flags = (unsigned)fuzz_number(&rest, 1);
	struct data_facts now = {.boot_id = boot_id, .ingest_id = ingest_id};

	now.size = fuzz_number(&rest, 8);
	now.inode = fuzz_number(&rest, 8);
	now.mtime_ns = fuzz_number(&rest, 8);
	now.tail_max = fuzz_number(&rest, 4);
	size_t cut = (size_t)fuzz_number(&rest, 2);
	size_t file_len = build_file(&rest, flags, cut, file);
	for (unsigned i = 0; i < SLOTS; i++)
		check_round_trip(file + i * (size_t)SLOT_STRIDE);
	uint8_t *exact = malloc(file_len > 0 ? file_len : 1);
	FUZZ_CHECK(exact != NULL);
	memcpy(exact, file, file_len);
	struct resume r;
	checkpoint_choose(exact, file_len, &now, &r);
	free(exact);
	check_resume(&r, &now);
	return 0;
}
