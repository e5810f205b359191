/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/base64.h"

/* System */
#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>

static bool is_digit(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static size_t padding_of(struct span text)
{
	size_t padding = 0;
	while (padding < text.len && padding < 2 && text.data[text.len - 1 - padding] == '=')
		padding++;
	return padding;
}

bool base64_is(struct span text)
{
	size_t digits = text.len - padding_of(text);
	for (size_t i = 0; i < digits; i++)
		if (!is_digit(text.data[i]))
			return false;
	return digits > 0 && text.len % 4 == 0;
}

int base64_encode(struct span bytes, struct buf *out)
{
	assert(bytes.len < INT_MAX / 2);
	int r = buf_reserve(out, (bytes.len + 2) / 3 * 4);
	if (r == 0)
		out->len += (size_t)EVP_EncodeBlock((uint8_t *)out->data + out->len, bytes.data, (int)bytes.len);
	return r;
}

/* The library counts what stands for padding as bytes. */
int base64_decode(struct span text, struct buf *out)
{
	assert(base64_is(text) && text.len < INT_MAX);
	int r = buf_reserve(out, text.len / 4 * 3);
	if (r < 0)
		return r;
	out->len +=
	    (size_t)EVP_DecodeBlock((uint8_t *)out->data + out->len, text.data, (int)text.len) - padding_of(text);
	out->data[out->len] = '\0';
	return 0;
}
