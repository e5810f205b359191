/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: the valid form, and hostile ones (CVE-2024-3727). */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/digest.h"

#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX63  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define HEX128 HEX64 HEX64
#define ABC    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MIB    (1u << 20)

static void test_taken(void **state)
{
	static const struct {
		const char *text, *hex;
		enum hash_alg alg;
	} rows[] = {
	    {"sha256:" HEX64, HEX64, HASH_SHA256},
	    {"sha512:" HEX128, HEX128, HASH_SHA512},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct digest d;
		char text[DIGEST_TEXT_SIZE], hex[DIGEST_TEXT_SIZE];
		assert_int_equal(digest_parse(span_str(rows[i].text), &d, NULL), 0);
		assert_int_equal(d.alg, rows[i].alg);
		digest_format(&d, text);
		digest_format_hex(&d, hex);
		assert_string_equal(text, rows[i].text);
		assert_string_equal(hex, rows[i].hex);
	}
}

#define ROW(text)                                                                                                      \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} rows[] = {
	    ROW(""),
	    ROW(":"),
	    ROW("sha256"),
	    ROW("sha256:"),
	    ROW("sha512:"),
	    ROW(":" HEX64),
	    ROW(HEX64),
	    ROW("sha256:" HEX63),
	    ROW("sha256:" HEX64 "0"),
	    ROW("sha256:" HEX128),
	    ROW("sha512:" HEX64),
	    ROW("sha512:" HEX64 HEX63),
	    ROW("sha512:" HEX128 "0"),
	    ROW("sha256:" HEX63 "g"),
	    ROW("sha256:" HEX63 "F"),
	    ROW("sha256:" HEX63 "\0"),
	    ROW("sha256:" HEX64 "\0"),
	    ROW("sha256:" HEX64 "\n"),
	    ROW("sha256:" HEX63 " "),
	    ROW(" sha256:" HEX64),
	    ROW("sha256: " HEX63),
	    ROW("sha256::" HEX63),
	    ROW("sha256:sha256:" HEX64),
	    ROW("SHA256:" HEX64),
	    ROW("sha-256:" HEX64),
	    ROW("sha256\0:" HEX64),
	    ROW("sha2:" HEX64),
	    ROW("sha384:" HEX64 "0123456789abcdef0123456789abcdef"),
	    ROW("md5:0123456789abcdef0123456789abcdef"),
	    ROW("sha1:0123456789abcdef0123456789abcdef01234567"),
	    ROW("blake3:" HEX64),
	    ROW("sha256:../../../../../../../../../../../../../../../../../../../etc/passwd"),
	    ROW("sha256:..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fabcd"),
	    ROW("../sha256:" HEX64),
	    ROW("sha256/" HEX64),
	    ROW("sha256:" HEX63 "/"),
	    ROW("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8"),
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct digest d = {.alg = HASH_SHA512};
		struct reason why = {""};
		if (digest_parse(span_of(rows[i].text, rows[i].len), &d, &why) != -EINVAL)
			fail_msg("'%s' was taken", rows[i].text);
		assert_int_equal(d.alg, HASH_SHA512);
		assert_non_null(strstr(why.text, "is not a digest"));
	}
	struct digest d;
	assert_int_equal(digest_parse(span_of(NULL, 0), &d, NULL), -EINVAL);
}

static void test_reason_quotes(void **state)
{
	(void)state;
	struct digest d;
	struct reason why;
	assert_int_equal(digest_parse(span_str("md5:\x1b[2J"), &d, &why), -EINVAL);
	assert_string_equal(why.text, "'md5:\\x1b[2J' is not a digest: only sha256 and sha512 are supported");
}

static void test_mebibytes(void **state)
{
	(void)state;
	struct digest d;
	struct reason why;
	char *text = malloc(MIB);
	assert_non_null(text);
	memset(text, 'a', MIB);
	assert_int_equal(digest_parse(span_of(text, MIB), &d, &why), -EINVAL);
	memcpy(text, "sha256:", 7);
	assert_int_equal(digest_parse(span_of(text, MIB), &d, &why), -EINVAL);
	free(text);
}

static void test_eq(void **state)
{
	(void)state;
	struct digest a, b, c;
	assert_int_equal(digest_parse(span_str("sha256:" HEX64), &a, NULL), 0);
	assert_int_equal(digest_parse(span_str("sha256:" HEX63 "e"), &b, NULL), 0);
	assert_int_equal(digest_parse(span_str("sha512:" HEX128), &c, NULL), 0);
	assert_true(digest_eq(&a, &a));
	assert_false(digest_eq(&a, &b));
	assert_false(digest_eq(&a, &c));
	assert_false(digest_eq(&c, &a));
}

static void test_of(void **state)
{
	(void)state;
	struct digest d, of_hasher;
	struct hasher *h = NULL;
	char text[DIGEST_TEXT_SIZE];
	digest_of(HASH_SHA256, "abc", 3, &d);
	digest_format(&d, text);
	assert_string_equal(text, ABC);
	/* Reading the digest does not change the hasher, at every prefix. */
	assert_int_equal(hasher_new(HASH_SHA256, &h), 0);
	for (size_t n = 0; n < 3; n++) {
		digest_of_hasher(h, HASH_SHA256, &of_hasher);
		hasher_update(h, &"abc"[n], 1);
	}
	digest_of_hasher(h, HASH_SHA256, &of_hasher);
	assert_true(digest_eq(&d, &of_hasher));
	hasher_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken),     cmocka_unit_test(test_refused), cmocka_unit_test(test_reason_quotes),
	    cmocka_unit_test(test_mebibytes), cmocka_unit_test(test_eq),      cmocka_unit_test(test_of),
	};
	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
