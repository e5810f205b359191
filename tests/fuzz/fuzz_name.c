/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images in index.json and SET_NAME: a valid one is printable and cannot leave its directory. */

/* OCI */
#include "common/store/names.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!name_is_valid(span_of(data, len)))
		return 0;
	FUZZ_CHECK(len > 0 && data[0] != '/' && data[len - 1] != '/');
	for (size_t i = 0; i < len; i++) {
		FUZZ_CHECK(data[i] > ' ' && data[i] <= '~');
		FUZZ_CHECK(data[i] != '/' || data[i + 1] != '.');
	}
	return 0;
}
