/* SPDX-License-Identifier: Apache-2.0 */
/* Digests against published vectors, and states that are saved and restored anywhere. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/hasher.h"

#define MILLION   1000000
#define SPLIT_MAX 300

static const enum hash_alg algorithms[] = {HASH_SHA256, HASH_SHA512};

static uint8_t bytes[SPLIT_MAX];

static int group_setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + 7);
	return 0;
}

static struct hasher *hasher_make(enum hash_alg alg)
{
	struct hasher *h = NULL;
	assert_int_equal(hasher_new(alg, &h), 0);
	return h;
}

static void digest_hex(const struct hasher *h, enum hash_alg alg, char out[static 2 * HASH_MAX_BYTES + 1])
{
	uint8_t digest[HASH_MAX_BYTES];
	hasher_digest(h, digest);
	hex_encode(digest, hash_size(alg), out);
}

/* FIPS 180-4 examples. */
static const struct {
	enum hash_alg alg;
	const char *unit;
	size_t times;
	const char *want;
} vectors[] = {
    {HASH_SHA256, "", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {HASH_SHA256, "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {HASH_SHA256, "a", MILLION, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    {HASH_SHA512, "", 0,
     "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
     "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
    {HASH_SHA512, "abc", 1,
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    {HASH_SHA512, "a", MILLION,
     "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
     "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(vectors); i++) {
		char hex[2 * HASH_MAX_BYTES + 1];
		struct hasher *h = hasher_make(vectors[i].alg);
		for (size_t n = 0; n < vectors[i].times; n++)
			hasher_update(h, vectors[i].unit, strlen(vectors[i].unit));
		digest_hex(h, vectors[i].alg, hex);
		assert_string_equal(hex, vectors[i].want);
		/* Reading the digest changes nothing, and a reset forgets everything. */
		digest_hex(h, vectors[i].alg, hex);
		assert_string_equal(hex, vectors[i].want);
		hasher_reset(h);
		digest_hex(h, vectors[i].alg, hex);
		assert_string_equal(hex, vectors[i].alg == HASH_SHA256 ? vectors[0].want : vectors[3].want);
		hasher_free(h);
	}
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(hash_size(HASH_SHA256), 32);
	assert_int_equal(hash_size(HASH_SHA512), 64);
	hasher_free(NULL);
}

/* An incomplete block is kept in the state. */
static size_t block_size(enum hash_alg alg)
{
	return alg == HASH_SHA256 ? 64 : 128;
}

static void split_check(enum hash_alg alg, size_t split, const uint8_t want[static HASH_MAX_BYTES])
{
	static const uint8_t nothing[HASH_BLOCK_MAX];
	uint8_t have[HASH_MAX_BYTES] = {0};
	struct hash_state saved, again;
	struct hasher *first = hasher_make(alg), *second = hasher_make(alg);
	size_t partial = split % block_size(alg);

	hasher_update(first, bytes, split);
	memset(&saved, 0xff, sizeof(saved));
	hasher_save(first, &saved);
	assert_int_equal(saved.alg, alg);
	assert_int_equal(saved.total_bytes, split);
	assert_memory_equal(saved.partial, bytes + split - partial, partial);
	assert_memory_equal(saved.partial + partial, nothing, HASH_BLOCK_MAX - partial);

	/* Restore into a used hasher: it saves the same state and continues the same. */
	hasher_update(second, "something else", 14);
	assert_int_equal(hasher_restore(second, &saved), 0);
	hasher_save(second, &again);
	assert_int_equal(again.total_bytes, saved.total_bytes);
	assert_memory_equal(again.words, saved.words, sizeof(saved.words));
	assert_memory_equal(again.partial, saved.partial, sizeof(saved.partial));
	hasher_update(second, bytes + split, sizeof(bytes) - split);
	hasher_digest(second, have);
	assert_memory_equal(have, want, hash_size(alg));

	/* Saving has not disturbed the first. */
	hasher_update(first, bytes + split, sizeof(bytes) - split);
	hasher_digest(first, have);
	assert_memory_equal(have, want, hash_size(alg));
	hasher_free(first);
	hasher_free(second);
}

static void test_every_split(void **state)
{
	(void)state;
	for (size_t a = 0; a < LEN(algorithms); a++) {
		uint8_t want[HASH_MAX_BYTES];
		hash_bytes(algorithms[a], bytes, sizeof(bytes), want);
		for (size_t split = 0; split <= sizeof(bytes); split++)
			split_check(algorithms[a], split, want);
	}
}

/* The digest of every prefix, taken while the running digest continues. */
static void test_running_digest(void **state)
{
	(void)state;
	for (size_t a = 0; a < LEN(algorithms); a++) {
		struct hasher *h = hasher_make(algorithms[a]);
		for (size_t n = 0; n <= sizeof(bytes); n++) {
			uint8_t have[HASH_MAX_BYTES], want[HASH_MAX_BYTES];
			hasher_digest(h, have);
			hash_bytes(algorithms[a], bytes, n, want);
			assert_memory_equal(have, want, hash_size(algorithms[a]));
			if (n < sizeof(bytes))
				hasher_update(h, bytes + n, 1);
		}
		hasher_free(h);
	}
}

/* The count of bits crosses its first word at 512 MiB for SHA-256; both words are restored at any size. */
static void test_large_totals(void **state)
{
	static const uint64_t totals[] = {
	    (UINT64_C(1) << 29) - 64, UINT64_C(1) << 29,         (UINT64_C(1) << 32) + 64,
	    UINT64_C(100) << 30,      (UINT64_C(1) << 60) - 128,
	};
	(void)state;
	for (size_t a = 0; a < LEN(algorithms); a++) {
		struct hasher *h = hasher_make(algorithms[a]);
		for (size_t i = 0; i < LEN(totals); i++) {
			struct hash_state s = {.alg = algorithms[a], .total_bytes = totals[i] + 5}, again;
			memcpy(s.partial, "12345", 5);
			s.total_bytes -= totals[i] % block_size(algorithms[a]);
			assert_int_equal(hasher_restore(h, &s), 0);
			hasher_save(h, &again);
			assert_int_equal(again.total_bytes, s.total_bytes);
			hasher_update(h, bytes, sizeof(bytes));
			hasher_save(h, &again);
			assert_int_equal(again.total_bytes, s.total_bytes + sizeof(bytes));
		}
		hasher_free(h);
	}
}

/* Past 512 MiB: a hasher restored from a state continues like one that was never stopped. */
static void test_past_512_mib(void **state)
{
	static uint8_t block[1 << 20];
	(void)state;
	char have[2 * HASH_MAX_BYTES + 1], want[2 * HASH_MAX_BYTES + 1];
	struct hash_state s;
	struct hasher *h = hasher_make(HASH_SHA256), *other = hasher_make(HASH_SHA256);
	for (int i = 0; i < 513; i++)
		hasher_update(h, block, sizeof(block));
	hasher_save(h, &s);
	assert_int_equal(s.total_bytes, UINT64_C(513) << 20);
	assert_int_equal(hasher_restore(other, &s), 0);
	digest_hex(h, HASH_SHA256, want);
	digest_hex(other, HASH_SHA256, have);
	assert_string_equal(have, want);
	hasher_free(h);
	hasher_free(other);
}

static void test_restore_of_the_other_algorithm(void **state)
{
	(void)state;
	struct hash_state s;
	uint8_t before[HASH_MAX_BYTES], after[HASH_MAX_BYTES];
	struct hasher *a = hasher_make(HASH_SHA256), *b = hasher_make(HASH_SHA512);
	hasher_update(b, "abc", 3);
	hasher_digest(b, before);
	hasher_save(a, &s);
	assert_int_equal(hasher_restore(b, &s), -EINVAL);
	hasher_digest(b, after);
	assert_memory_equal(before, after, sizeof(before));
	hasher_free(a);
	hasher_free(b);
}

static void test_hex(void **state)
{
	(void)state;
	char hex[9];
	hex_encode((const uint8_t[]){0x00, 0x9a, 0xff, 0x10}, 4, hex);
	assert_string_equal(hex, "009aff10");
	hex_encode(NULL, 0, hex);
	assert_string_equal(hex, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_every_split),
	    cmocka_unit_test(test_running_digest),
	    cmocka_unit_test(test_large_totals),
	    cmocka_unit_test(test_past_512_mib),
	    cmocka_unit_test(test_restore_of_the_other_algorithm),
	    cmocka_unit_test(test_hex),
	};
	return cmocka_run_group_tests_name("hasher", tests, group_setup, NULL);
}
