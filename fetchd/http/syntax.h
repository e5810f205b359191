/* SPDX-License-Identifier: Apache-2.0 */
/* The lexical elements of HTTP fields (RFC 9110, 5.6). Pure. */
#ifndef SLUICE_FETCHD_HTTP_SYNTAX_H
#define SLUICE_FETCHD_HTTP_SYNTAX_H

#include "common/base/span.h"

/* 5.6.2: a character of tokens. */
bool syntax_is_token_char(uint8_t c);

/* 11.2: a character of token68, including its padding. */
bool syntax_is_token68_char(uint8_t c);

/* Whether `s` is this word, ignoring case. */
bool syntax_is_word(struct span s, const char *word);

/* Take the token off the front of `s`; empty if there is none. */
struct span syntax_take_token(struct span *s);

/* Remove blanks and tabs from the front, or from both ends. */
void syntax_skip_blanks(struct span *s);
struct span syntax_trim(struct span s);

#endif
