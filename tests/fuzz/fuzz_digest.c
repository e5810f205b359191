/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: a valid one formats to the same text, and is a file name that cannot leave its directory. */

/* OCI */
#include "common/oci/digest.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct digest d, other = {.alg = HASH_SHA512};
	struct reason why = {{0}};
	char text[DIGEST_TEXT_SIZE], hex[DIGEST_TEXT_SIZE];

	if (digest_parse(span_of(data, len), &d, &why) < 0) {
		FUZZ_CHECK(why.text[0] != '\0');
		return 0;
	}
	digest_format(&d, text);
	FUZZ_CHECK(span_eq(span_str(text), span_of(data, len)));
	FUZZ_CHECK(digest_compare(&d, &d) == 0 && (digest_compare(&d, &other) < 0) == (digest_compare(&other, &d) > 0));
	FUZZ_CHECK((digest_compare(&d, &other) == 0) == digest_eq(&d, &other));
	digest_format_hex(&d, hex);
	FUZZ_CHECK(strlen(hex) == 2 * hash_size(d.alg) && strspn(hex, "0123456789abcdef") == strlen(hex));
	return 0;
}
