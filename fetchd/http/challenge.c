/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/challenge.h"

/* Own */
#include "fetchd/http/syntax.h"

/* The parameter being read, unquoted; as long as the longest valid one. */
struct param {
	struct span name;
	char value[CHALLENGE_REALM_MAX + 1];
	size_t len;
};

static void skip(struct span *s, size_t len)
{
	s->data += len;
	s->len -= len;
}

static bool next_is(struct span s, char c)
{
	return s.len > 0 && s.data[0] == (uint8_t)c;
}

/* Blanks, and the commas between the members of a list. */
static void skip_list_blanks(struct span *s)
{
	syntax_skip_blanks(s);
	while (next_is(*s, ',')) {
		skip(s, 1);
		syntax_skip_blanks(s);
	}
}

/* Whether "name =" and a possible value follow: a parameter, not the next challenge or a token68. */
static bool param_follows(struct span s)
{
	if (syntax_take_token(&s).len == 0)
		return false;
	syntax_skip_blanks(&s);
	if (!next_is(s, '='))
		return false;
	skip(&s, 1);
	syntax_skip_blanks(&s);
	return s.len > 0 && (s.data[0] == '"' || syntax_is_token_char(s.data[0]));
}

/* Printable ASCII only: a control character could forge a line, and other bytes are ambiguous. */
static bool append(struct param *p, uint8_t c)
{
	if (c < ' ' || c > '~' || p->len == CHALLENGE_REALM_MAX)
		return false;
	p->value[p->len++] = (char)c;
	return true;
}

static bool take_quoted(struct span *s, struct param *p)
{
	skip(s, 1);
	while (s->len > 0 && s->data[0] != '"') {
		if (s->data[0] == '\\')
			skip(s, 1);
		if (s->len == 0 || !append(p, s->data[0]))
			return false;
		skip(s, 1);
	}
	if (s->len == 0)
		return false;
	skip(s, 1);
	return true;
}

static bool take_param(struct span *s, struct param *p)
{
	p->len = 0;
	p->name = syntax_take_token(s);
	syntax_skip_blanks(s);
	skip(s, 1);
	syntax_skip_blanks(s);
	bool right = true;
	if (next_is(*s, '"')) {
		right = take_quoted(s, p);
	} else {
		struct span token = syntax_take_token(s);
		for (size_t i = 0; i < token.len && right; i++)
			right = append(p, token.data[i]);
	}
	p->value[p->len] = '\0';
	syntax_skip_blanks(s);
	return right && (s->len == 0 || next_is(*s, ','));
}

/* A repeated parameter is ambiguous. */
static bool keep(struct challenge *c, unsigned *seen, const struct param *p)
{
	const struct {
		const char *name;
		char *out;
		size_t max;
	} rows[] = {
	    {"realm", c->realm, CHALLENGE_REALM_MAX},
	    {"service", c->service, CHALLENGE_SERVICE_MAX},
	    {"scope", c->scope, CHALLENGE_SCOPE_MAX},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!syntax_is_word(p->name, rows[i].name))
			continue;
		if ((*seen & 1u << i) || p->len > rows[i].max)
			return false;
		*seen |= 1u << i;
		memcpy(rows[i].out, p->value, p->len + 1);
	}
	return true;
}

/* "YWJj==" of Negotiate and the like: one word without a name. */
static bool take_token68(struct span *s)
{
	while (s->len > 0 && syntax_is_token68_char(s->data[0]))
		skip(s, 1);
	syntax_skip_blanks(s);
	return s->len == 0 || next_is(*s, ',');
}

static bool take_params(struct span *s, struct challenge *c)
{
	struct param p;
	unsigned seen = 0;
	unsigned count = 0;
	while (param_follows(*s)) {
		if (++count > CHALLENGE_PARAMS_MAX || !take_param(s, &p) || !keep(c, &seen, &p))
			return false;
		skip_list_blanks(s);
	}
	return count > 0 || take_token68(s);
}

/* Take one challenge off the front. */
static bool take_challenge(struct span *s, struct challenge *c)
{
	struct span scheme = syntax_take_token(s);
	bool has_blank = next_is(*s, ' ') || next_is(*s, '\t');
	if (scheme.len == 0 || (s->len > 0 && !has_blank && !next_is(*s, ',')))
		return false;
	syntax_skip_blanks(s);
	struct challenge own = {0};
	if (has_blank && !take_params(s, &own))
		return false;
	if (syntax_is_word(scheme, "Bearer")) {
		if (!(c->schemes & AUTH_BEARER)) {
			own.schemes = c->schemes;
			*c = own;
		}
		c->schemes |= AUTH_BEARER;
	} else {
		c->schemes |= syntax_is_word(scheme, "Basic") ? AUTH_BASIC : AUTH_OTHER;
	}
	return true;
}

bool challenge_add(struct challenge *c, struct span value)
{
	struct challenge whole = *c;
	unsigned count = 0;
	skip_list_blanks(&value);
	while (value.len > 0) {
		if (++count > CHALLENGE_SCHEMES_MAX || !take_challenge(&value, &whole)) {
			c->schemes |= AUTH_OTHER;
			return false;
		}
		skip_list_blanks(&value);
	}
	*c = whole;
	return true;
}

bool challenge_eq(const struct challenge *a, const struct challenge *b)
{
	return a->schemes == b->schemes && strcmp(a->realm, b->realm) == 0 && strcmp(a->service, b->service) == 0 &&
	       strcmp(a->scope, b->scope) == 0;
}
