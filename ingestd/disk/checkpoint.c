/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/disk/checkpoint.h"

/* System */
#include <string.h>

/* Base */
#include "common/base/be.h"
#include "common/base/crc32.h"

/* Wire */
#include "common/wire/message.h"

#define SLOT_VERSION 1
#define CRC_BYTES    4

static const uint8_t slot_magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'C', 'P'};

/* The layout of a slot, as offsets of its fields. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_ALG = 9,
	AT_PROVENANCE = 10,
	AT_DURABLE = 11,
	AT_SEQUENCE = 16,
	AT_OFFSET = 24,
	AT_INODE = 32,
	AT_SIZE = 40,
	AT_MTIME = 48,
	AT_REHASHED = 56,
	AT_BOOT = 64,
	AT_ID = AT_BOOT + BOOT_ID_SIZE,
	AT_WORDS = AT_ID + INGEST_ID_BYTES,
	AT_PARTIAL = AT_WORDS + 8 * HASH_STATE_WORDS,
	AT_END = AT_PARTIAL + HASH_BLOCK_MAX,
	AT_CRC = SLOT_BYTES - CRC_BYTES,
};
_Static_assert((int)AT_END <= (int)AT_CRC, "the fields fit the slot");

void checkpoint_encode(const struct checkpoint *c, uint8_t ret_slot[static SLOT_BYTES])
{
	memset(ret_slot, 0, SLOT_BYTES);
	memcpy(ret_slot + AT_MAGIC, slot_magic, sizeof(slot_magic));
	ret_slot[AT_VERSION] = SLOT_VERSION;
	ret_slot[AT_ALG] = (uint8_t)c->hash.alg;
	ret_slot[AT_PROVENANCE] = c->provenance;
	ret_slot[AT_DURABLE] = c->durable;
	be_put(ret_slot + AT_SEQUENCE, c->sequence, 8);
	be_put(ret_slot + AT_OFFSET, c->offset, 8);
	be_put(ret_slot + AT_INODE, c->inode, 8);
	be_put(ret_slot + AT_SIZE, c->size, 8);
	be_put(ret_slot + AT_MTIME, c->mtime_ns, 8);
	be_put(ret_slot + AT_REHASHED, c->rehashed, 8);
	memcpy(ret_slot + AT_BOOT, c->boot_id, BOOT_ID_SIZE);
	memcpy(ret_slot + AT_ID, c->ingest_id, INGEST_ID_BYTES);
	for (unsigned i = 0; i < HASH_STATE_WORDS; i++)
		be_put(ret_slot + AT_WORDS + 8 * i, c->hash.words[i], 8);
	memcpy(ret_slot + AT_PARTIAL, c->hash.partial, HASH_BLOCK_MAX);
	be_put(ret_slot + AT_CRC, crc32_of(ret_slot, AT_CRC), CRC_BYTES);
}

static bool slot_is_whole(const uint8_t *slot)
{
	return memcmp(slot + AT_MAGIC, slot_magic, sizeof(slot_magic)) == 0 && slot[AT_VERSION] == SLOT_VERSION &&
	       be_get(slot + AT_CRC, CRC_BYTES) == crc32_of(slot, AT_CRC) &&
	       (slot[AT_ALG] == HASH_SHA256 || slot[AT_ALG] == HASH_SHA512) && slot[AT_DURABLE] <= 1 &&
	       (slot[AT_PROVENANCE] & ~PROVENANCE_MASK) == 0;
}

bool checkpoint_decode(const uint8_t slot[static SLOT_BYTES], struct checkpoint *ret_checkpoint)
{
	if (!slot_is_whole(slot))
		return false;
	struct checkpoint c = {
	    .durable = slot[AT_DURABLE],
	    .sequence = be_get(slot + AT_SEQUENCE, 8),
	    .offset = be_get(slot + AT_OFFSET, 8),
	    .hash = {.alg = (enum hash_alg)slot[AT_ALG], .total_bytes = be_get(slot + AT_OFFSET, 8)},
	    .provenance = slot[AT_PROVENANCE],
	    .rehashed = be_get(slot + AT_REHASHED, 8),
	    .inode = be_get(slot + AT_INODE, 8),
	    .size = be_get(slot + AT_SIZE, 8),
	    .mtime_ns = be_get(slot + AT_MTIME, 8),
	};
	memcpy(c.boot_id, slot + AT_BOOT, BOOT_ID_SIZE);
	memcpy(c.ingest_id, slot + AT_ID, INGEST_ID_BYTES);
	for (unsigned i = 0; i < HASH_STATE_WORDS; i++)
		c.hash.words[i] = be_get(slot + AT_WORDS + 8 * i, 8);
	memcpy(c.hash.partial, slot + AT_PARTIAL, HASH_BLOCK_MAX);
	*ret_checkpoint = c;
	return true;
}

uint64_t checkpoint_durable_at(uint64_t turn)
{
	return (SLOT_DURABLE + turn % 2) * (uint64_t)SLOT_STRIDE;
}

static bool slot_load(const uint8_t *file, size_t len, unsigned index, const struct data_facts *now,
		      struct checkpoint *ret_checkpoint)
{
	size_t at = index * (size_t)SLOT_STRIDE;

	return len >= at + SLOT_BYTES && checkpoint_decode(file + at, ret_checkpoint) &&
	       memcmp(ret_checkpoint->ingest_id, now->ingest_id, INGEST_ID_BYTES) == 0 &&
	       ret_checkpoint->durable == (index != SLOT_LIVE);
}

/* The live slot counts only on the boot that wrote it, for the same file, and not past the file's end. */
static bool live_counts(const struct checkpoint *live, const struct data_facts *now)
{
	return memcmp(live->boot_id, now->boot_id, BOOT_ID_SIZE) == 0 && live->inode == now->inode &&
	       live->offset <= now->size;
}

static void choose_live(const struct checkpoint *live, const struct data_facts *now, struct resume *ret_resume)
{
	bool untouched = live->size == now->size && live->mtime_ns == now->mtime_ns;

	ret_resume->kind = now->size - live->offset <= now->tail_max ? RESUME_LIVE : RESUME_CUT;
	ret_resume->from = *live;
	ret_resume->provenance = live->provenance;
	if (!untouched)
		ret_resume->provenance |= PROVENANCE_MENDED;
}

static void choose_durable(const struct checkpoint *durable, const struct data_facts *now, struct resume *ret_resume)
{
	bool same_boot = memcmp(durable->boot_id, now->boot_id, BOOT_ID_SIZE) == 0;

	if (durable->offset > now->size) {
		ret_resume->kind = RESUME_BROKEN;
		return;
	}
	ret_resume->kind = RESUME_DURABLE;
	ret_resume->from = *durable;
	ret_resume->provenance = durable->provenance | (same_boot ? PROVENANCE_MENDED : PROVENANCE_REBOOTED);
}

void checkpoint_choose(const uint8_t *file, size_t len, const struct data_facts *now, struct resume *ret_resume)
{
	struct checkpoint live, durable, other;

	*ret_resume = (struct resume){.kind = RESUME_ZERO};
	if (slot_load(file, len, SLOT_LIVE, now, &live) && live_counts(&live, now)) {
		choose_live(&live, now, ret_resume);
		return;
	}
	bool has_durable = slot_load(file, len, SLOT_DURABLE, now, &durable);
	if (slot_load(file, len, SLOT_DURABLE + 1, now, &other) &&
	    (!has_durable || other.sequence > durable.sequence)) {
		durable = other;
		has_durable = true;
	}
	if (has_durable)
		choose_durable(&durable, now, ret_resume);
}
