/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/hash.h"

/* System */
#include <assert.h>

size_t hash_size(enum hash_alg alg)
{
	assert(alg == HASH_SHA256 || alg == HASH_SHA512);
	return alg == HASH_SHA256 ? 32 : 64;
}

void hex_encode(const uint8_t *data, size_t len, char *ret_hex)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < len; i++) {
		ret_hex[2 * i] = digits[data[i] >> 4];
		ret_hex[2 * i + 1] = digits[data[i] & 15];
	}
	ret_hex[2 * len] = '\0';
}
