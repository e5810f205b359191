/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/shown.h"

/* System */
#include <stdbool.h>
#include <stdio.h>

static bool is_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return true;
}

/* How many bytes of `s` precede the first of `ends`; all of them if there is none. */
static size_t until(struct span s, const char *ends)
{
	size_t len = 0;

	while (len < s.len && (s.data[len] == '\0' || !strchr(ends, s.data[len])))
		len++;
	return len;
}

static const uint8_t *last_at(struct span s)
{
	return s.len > 0 ? memrchr(s.data, '@', s.len) : NULL;
}

/* Where the scheme ends; 0: there is none. */
static size_t scheme_len(struct span s)
{
	static const char mark[] = "://";
	const uint8_t *at = s.len > 0 ? memmem(s.data, s.len, mark, strlen(mark)) : NULL;

	return at ? (size_t)(at - s.data) + strlen(mark) : 0;
}

/*
 * How many bytes after the scheme are a user, up to its '@'. Without a scheme, an '@' may also precede a digest, which
 * has a colon and no slash. A password with a slash in it looks like a port that is not a number.
 */
static size_t user_len(struct span rest, bool has_scheme)
{
	size_t len = until(rest, "/\\");
	struct span authority = span_of(rest.data, len);
	const uint8_t *at = last_at(authority);
	const uint8_t *colon = authority.len > 0 ? memchr(authority.data, ':', authority.len) : NULL;

	if (at && (has_scheme || len < rest.len || !memchr(at, ':', (size_t)(authority.data + len - at))))
		return (size_t)(at - rest.data);
	if (!at && colon && authority.data[0] != '[' &&
	    !is_digits(span_of(colon + 1, (size_t)(authority.data + len - colon) - 1)))
		at = last_at(rest);
	else
		at = NULL;
	return at ? (size_t)(at - rest.data) : 0;
}

void shown_of(struct span text, char ret_text[static SHOWN_SIZE])
{
	bool is_path = text.len > 0 && memchr(text.data, '/', text.len); /* else '#' begins no fragment */
	struct span s = span_of(text.data, until(text, is_path ? "?#" : "?"));
	size_t scheme = scheme_len(s);
	struct span rest = span_of(scheme > 0 ? s.data + scheme : s.data, s.len - scheme);
	size_t user = user_len(rest, scheme > 0);
	const char *mask = user > 0 ? "***" : "";

	rest = span_of(user > 0 ? rest.data + user : rest.data, rest.len - user);
	bool fits = scheme + strlen(mask) + rest.len < SHOWN_SIZE;
	int room = (int)(SHOWN_SIZE - 4 - scheme - strlen(mask));
	if (scheme > SHOWN_SIZE / 2) /* not a real scheme */
		(void)snprintf(ret_text, SHOWN_SIZE, "...");
	else
		(void)snprintf(ret_text, SHOWN_SIZE, "%.*s%s%.*s%s", (int)scheme,
			       scheme > 0 ? (const char *)s.data : "", mask, fits ? (int)rest.len : room,
			       rest.len > 0 ? (const char *)rest.data : "", fits ? "" : "...");
}
