/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/digest.h"

/* System */
#include <errno.h>
#include <string.h>

/* Base */
#include "common/base/shown.h"

static const enum hash_alg algorithms[] = {HASH_SHA256, HASH_SHA512};

const char *hash_name(enum hash_alg alg)
{
	return alg == HASH_SHA256 ? "sha256" : "sha512";
}

static int refuse(struct span text, const char *what, struct reason *why)
{
	char shown[SHOWN_SIZE];

	shown_of(text, shown);
	reason_set(why, "'%s' is not a digest: %s", shown, what);
	return -EINVAL;
}

/* Upper case is not a digest: one content would have two names. */
static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_decode(const uint8_t *hex, size_t bytes_len, uint8_t *ret_bytes)
{
	for (size_t i = 0; i < bytes_len; i++) {
		int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret_bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int digest_parse(struct span text, struct digest *ret_digest, struct reason *why)
{
	const uint8_t *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
	if (!colon)
		return refuse(text, "it has no algorithm before a colon", why);
	struct span name = span_of(text.data, (size_t)(colon - text.data));
	struct digest d = {.alg = 0};
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
		if (span_eq(name, span_str(hash_name(algorithms[i]))))
			d.alg = algorithms[i];
	if (d.alg == 0)
		return refuse(text, "only sha256 and sha512 are supported", why);
	size_t digits = text.len - name.len - 1;
	if (digits != 2 * hash_size(d.alg))
		return refuse(text, d.alg == HASH_SHA256 ? "sha256 has 64 digits" : "sha512 has 128 digits", why);
	if (!hex_decode(colon + 1, hash_size(d.alg), d.bytes))
		return refuse(text, "only the digits 0 to 9 and a to f are allowed", why);
	*ret_digest = d;
	return 0;
}

void digest_format(const struct digest *d, char ret_text[static DIGEST_TEXT_SIZE])
{
	size_t len = strlen(hash_name(d->alg));
	memcpy(ret_text, hash_name(d->alg), len);
	ret_text[len] = ':';
	hex_encode(d->bytes, hash_size(d->alg), ret_text + len + 1);
}

void digest_format_hex(const struct digest *d, char ret_hex[static DIGEST_TEXT_SIZE])
{
	hex_encode(d->bytes, hash_size(d->alg), ret_hex);
}

int digest_compare(const struct digest *a, const struct digest *b)
{
	int order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

	return order != 0 ? order : (a->alg > b->alg) - (a->alg < b->alg);
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
	return a->alg == b->alg && memcmp(a->bytes, b->bytes, hash_size(a->alg)) == 0;
}
