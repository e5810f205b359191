/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/escape.h"

/* System */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * Characters that mislead a terminal or a reader: the control characters U+0080 to U+009F, those that end a line or
 * change its direction, and invisible ones.
 */
static bool is_deceptive(uint32_t c)
{
	return c < 0xa0 || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

/* The length of the multi-byte UTF-8 sequence that starts at `p`, or 0. */
static size_t utf8_len(const uint8_t *p, size_t len)
{
	size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	uint32_t c = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return is_deceptive(c) ? 0 : n;
}

size_t escape_line(const char *text, size_t len, char *ret_line, size_t room)
{
	static const char digits[] = "0123456789abcdef";
	assert(room > 0);
	const uint8_t *p = (const uint8_t *)text;
	size_t at = 0;

	for (size_t i = 0; i < len;) {
		size_t n = p[i] >= 0x20 && p[i] < 0x7f ? 1 : utf8_len(p + i, len - i);
		if (n > 0) {
			if (n >= room - at)
				break;
			memcpy(ret_line + at, p + i, n);
			at += n;
			i += n;
			continue;
		}
		if (room - at <= 4)
			break;
		const char hex[4] = {'\\', 'x', digits[p[i] >> 4], digits[p[i] & 15]};
		memcpy(ret_line + at, hex, sizeof hex);
		at += sizeof hex;
		i++;
	}
	ret_line[at] = '\0';
	return at;
}
