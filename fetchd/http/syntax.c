/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/syntax.h"

/* System */
#include <ctype.h>
#include <strings.h>

bool syntax_is_token_char(uint8_t c)
{
	return c < 0x80 && (isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c)));
}

bool syntax_is_token68_char(uint8_t c)
{
	return c < 0x80 && (isalnum(c) || (c != '\0' && strchr("-._~+/=", c)));
}

bool syntax_is_word(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp((const char *)s.data, word, s.len) == 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

struct span syntax_take_token(struct span *s)
{
	struct span token = {s->data, 0};
	while (token.len < s->len && syntax_is_token_char(s->data[token.len]))
		token.len++;
	if (token.len > 0)
		*s = span_of(s->data + token.len, s->len - token.len);
	return token;
}

void syntax_skip_blanks(struct span *s)
{
	while (s->len > 0 && is_blank(s->data[0]))
		*s = span_of(s->data + 1, s->len - 1);
}

struct span syntax_trim(struct span s)
{
	syntax_skip_blanks(&s);
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}
