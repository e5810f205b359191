/* SPDX-License-Identifier: Apache-2.0 */
/* Slots, and the choice of the offset to resume at. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "ingestd/disk/checkpoint.h"

/* Wire */
#include "common/wire/message.h"

#define MIB      (UINT64_C(1) << 20)
#define TAIL_MAX (256u << 10)

static const uint8_t boot[BOOT_ID_SIZE] = "this boot------";
static const uint8_t other_boot[BOOT_ID_SIZE] = "another boot---";
static const uint8_t id[INGEST_ID_BYTES] = "the id of this ingest, 32 bytes";
static const uint8_t other_id[INGEST_ID_BYTES] = "the id of another, 32 bytes too";

static struct checkpoint sample(bool durable, uint64_t sequence, uint64_t offset)
{
	struct checkpoint c = {
	    .durable = durable,
	    .sequence = sequence,
	    .offset = offset,
	    .hash = {.alg = HASH_SHA512, .total_bytes = offset},
	    .rehashed = 77,
	    .inode = 5,
	    .size = offset,
	    .mtime_ns = 123456789,
	};
	for (unsigned i = 0; i < HASH_STATE_WORDS; i++)
		c.hash.words[i] = UINT64_C(0x0102030405060708) * (i + 1);
	for (unsigned i = 0; i < HASH_BLOCK_MAX; i++)
		c.hash.partial[i] = (uint8_t)i;
	memcpy(c.boot_id, boot, sizeof(boot));
	memcpy(c.ingest_id, id, sizeof(id));
	return c;
}

static void test_round_trip(void **state)
{
	uint8_t slot[SLOT_BYTES];
	struct checkpoint c = sample(true, 9, 4096), back;

	(void)state;
	c.provenance = PROVENANCE_MASK;
	checkpoint_encode(&c, slot);
	assert_true(checkpoint_decode(slot, &back));
	assert_memory_equal(&c, &back, sizeof(c));
}

/* A slot with one wrong bit is ignored. */
static void test_every_bit(void **state)
{
	uint8_t slot[SLOT_BYTES];
	struct checkpoint c = sample(false, 9, 4096), back;

	(void)state;
	checkpoint_encode(&c, slot);
	for (unsigned bit = 0; bit < 8 * SLOT_BYTES; bit++) {
		slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(checkpoint_decode(slot, &back));
		slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(checkpoint_decode(slot, &back));
}

static void put(uint8_t *file, unsigned index, const struct checkpoint *c)
{
	checkpoint_encode(c, file + index * (size_t)SLOT_STRIDE);
}

/* A file with a live slot at 10 MiB and durable ones at 8 and 4 MiB, and its changes. */
static const struct choice {
	const char *name;
	uint64_t size;
	uint64_t mtime_ns;
	bool rebooted, live_torn, newer_torn, older_torn, other_inode, other_ingest;
	enum resume_kind want;
	uint64_t want_offset;
	uint8_t want_provenance;
} choices[] = {
    {"unchanged", 10 * MIB, 123456789, 0, 0, 0, 0, 0, 0, RESUME_LIVE, 10 * MIB, 0},
    {"killed between append and slot", 10 * MIB + TAIL_MAX, 5, 0, 0, 0, 0, 0, 0, RESUME_LIVE, 10 * MIB,
     PROVENANCE_MENDED},
    {"more behind the slot than one append", 10 * MIB + TAIL_MAX + 1, 5, 0, 0, 0, 0, 0, 0, RESUME_CUT, 10 * MIB,
     PROVENANCE_MENDED},
    {"touched", 10 * MIB, 5, 0, 0, 0, 0, 0, 0, RESUME_LIVE, 10 * MIB, PROVENANCE_MENDED},
    {"shorter than the live slot", 9 * MIB, 5, 0, 0, 0, 0, 0, 0, RESUME_DURABLE, 8 * MIB, PROVENANCE_MENDED},
    {"live slot torn", 10 * MIB, 123456789, 0, 1, 0, 0, 0, 0, RESUME_DURABLE, 8 * MIB, PROVENANCE_MENDED},
    {"another inode", 10 * MIB, 123456789, 0, 0, 0, 0, 1, 0, RESUME_DURABLE, 8 * MIB, PROVENANCE_MENDED},
    {"rebooted", 10 * MIB, 123456789, 1, 0, 0, 0, 0, 0, RESUME_DURABLE, 8 * MIB, PROVENANCE_REBOOTED},
    {"rebooted, newer durable torn", 10 * MIB, 5, 1, 0, 1, 0, 0, 0, RESUME_DURABLE, 4 * MIB, PROVENANCE_REBOOTED},
    {"rebooted, older durable torn", 10 * MIB, 5, 1, 0, 0, 1, 0, 0, RESUME_DURABLE, 8 * MIB, PROVENANCE_REBOOTED},
    {"rebooted, both torn", 10 * MIB, 5, 1, 0, 1, 1, 0, 0, RESUME_ZERO, 0, 0},
    {"rebooted, exactly at the slot", 8 * MIB, 5, 1, 0, 0, 0, 0, 0, RESUME_DURABLE, 8 * MIB, PROVENANCE_REBOOTED},
    {"rebooted, shorter than durable", 8 * MIB - 1, 5, 1, 0, 0, 0, 0, 0, RESUME_BROKEN, 0, 0},
    {"slots of another ingest", 10 * MIB, 123456789, 0, 0, 0, 0, 0, 1, RESUME_ZERO, 0, 0},
};

static void test_choose(void **state)
{
	const struct choice *row;

	(void)state;
	for_each_row(row, choices)
	{
		uint8_t file[SLOT_FILE_BYTES] = {0};
		struct checkpoint live = sample(false, 3, 10 * MIB), newer = sample(true, 2, 8 * MIB),
				  older = sample(true, 1, 4 * MIB);
		put(file, SLOT_LIVE, &live);
		put(file, SLOT_DURABLE, &newer);
		put(file, SLOT_DURABLE + 1, &older);
		file[100] ^= (uint8_t)row->live_torn;
		file[SLOT_STRIDE + 100] ^= (uint8_t)row->newer_torn;
		file[2 * SLOT_STRIDE + 100] ^= (uint8_t)row->older_torn;
		struct data_facts now = {
		    .size = row->size,
		    .inode = row->other_inode ? 6 : 5,
		    .mtime_ns = row->mtime_ns,
		    .boot_id = row->rebooted ? other_boot : boot,
		    .ingest_id = row->other_ingest ? other_id : id,
		    .tail_max = TAIL_MAX,
		};
		struct resume how;
		checkpoint_choose(file, sizeof(file), &now, &how);
		if (how.kind != row->want)
			fail_msg("%s: kind %d", row->name, how.kind);
		if (how.kind != RESUME_ZERO && how.kind != RESUME_BROKEN)
			assert_int_equal(how.from.offset, row->want_offset);
		assert_int_equal(how.provenance, row->want_provenance);
	}
}

/* A file that ends anywhere gets a choice, without a read past its end. */
static void test_short_file(void **state)
{
	uint8_t whole[SLOT_FILE_BYTES] = {0};
	struct checkpoint live = sample(false, 3, MIB);
	struct data_facts now = {.size = MIB, .inode = 5, .mtime_ns = 123456789, .boot_id = boot, .ingest_id = id};
	struct resume how;

	(void)state;
	put(whole, SLOT_LIVE, &live);
	for (size_t len = 0; len <= sizeof(whole); len += 64) {
		uint8_t *cut = malloc(len + 1);
		assert_non_null(cut);
		memcpy(cut, whole, len);
		checkpoint_choose(cut, len, &now, &how);
		assert_int_equal(how.kind, len >= SLOT_BYTES ? RESUME_LIVE : RESUME_ZERO);
		free(cut);
	}
}

/* The provenance of an ingest survives any number of restarts. */
static void test_provenance_is_kept(void **state)
{
	uint8_t file[SLOT_FILE_BYTES] = {0};
	struct checkpoint live = sample(false, 3, MIB);
	struct data_facts now = {.size = MIB, .inode = 5, .mtime_ns = 123456789, .boot_id = boot, .ingest_id = id};
	struct resume how;

	(void)state;
	live.provenance = PROVENANCE_REBOOTED;
	put(file, SLOT_LIVE, &live);
	checkpoint_choose(file, sizeof(file), &now, &how);
	assert_int_equal(how.kind, RESUME_LIVE);
	assert_int_equal(how.provenance, PROVENANCE_REBOOTED);
}

static void test_durable_slots_take_turns(void **state)
{
	(void)state;
	assert_int_not_equal(checkpoint_durable_at(1), checkpoint_durable_at(2));
	assert_int_equal(checkpoint_durable_at(1), checkpoint_durable_at(3));
	for (uint64_t turn = 0; turn < 4; turn++) {
		assert_true(checkpoint_durable_at(turn) >= SLOT_STRIDE);
		assert_true(checkpoint_durable_at(turn) + SLOT_BYTES <= SLOT_FILE_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_every_bit),
	    cmocka_unit_test(test_choose),
	    cmocka_unit_test(test_short_file),
	    cmocka_unit_test(test_provenance_is_kept),
	    cmocka_unit_test(test_durable_slots_take_turns),
	};
	return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
