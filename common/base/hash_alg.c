/*
 * The part of hasher.h that needs no OpenSSL, in a file of its own: a program that reads digests and hashes nothing
 * links no libcrypto.
 */
#include "common/base/hasher.h"

/* System */
#include <assert.h>

size_t hash_size(enum hash_alg alg)
{
	assert(alg == HASH_SHA256 || alg == HASH_SHA512);
	return alg == HASH_SHA256 ? 32 : 64;
}

size_t hash_block_size(enum hash_alg alg)
{
	assert(alg == HASH_SHA256 || alg == HASH_SHA512);
	return alg == HASH_SHA256 ? 64 : 128;
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
