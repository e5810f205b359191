/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/source_policy.h"

/* System */
#include <assert.h>

/* Base */
#include "common/base/base64.h"
#include "common/base/be.h"

#define TAG_BYTES    1u
#define LENGTH_BYTES 2u
#define NUMBER_BYTES 8u

enum tag { /* 0 is none */
	   TAG_TLS_VERIFY = 1,
	   TAG_PLAIN_HTTP,
	   TAG_AUTHORITIES,
	   TAG_CLIENT_CERT,
	   TAG_CLIENT_KEY,
	   TAG_RETRIES,
	   TAG_RATE,
	   TAG_OWNER,
	   TAG_ANONYMOUS,
	   TAG_BASIC,
	   TAG_IDENTITY,
};

_Static_assert(POLICY_SECRET_MAX + POLICY_PEM_MAX + 2 * POLICY_CLIENT_MAX + 128 <= POLICY_MAX,
	       "all fields together fit a policy");

/* ── bytes of it ── */

/* The room is reserved, so nothing here fails. */
static void put(struct buf *out, enum tag tag, struct span value)
{
	uint8_t head[TAG_BYTES + LENGTH_BYTES] = {(uint8_t)tag};

	be_put(head + TAG_BYTES, value.len, LENGTH_BYTES);
	(void)buf_append(out, head, sizeof(head));
	(void)buf_append(out, value.data, value.len);
}

static void put_number(struct buf *out, enum tag tag, uint64_t number, unsigned width)
{
	uint8_t bytes[NUMBER_BYTES];

	be_put(bytes, number, width);
	put(out, tag, span_of(bytes, width));
}

static void put_login(struct buf *out, const struct source_policy *p)
{
	static const enum tag tags[] = {
	    [POLICY_LOGIN_ANONYMOUS] = TAG_ANONYMOUS,
	    [POLICY_LOGIN_BASIC] = TAG_BASIC,
	    [POLICY_LOGIN_IDENTITY] = TAG_IDENTITY,
	};

	if (p->login != POLICY_LOGIN_OURS)
		put(out, tags[p->login], p->secret);
}

int source_policy_encode(const struct source_policy *p, struct buf *out)
{
	struct source_policy back;
	size_t before = out->len;

	int r = buf_reserve(out, POLICY_MAX);
	if (r < 0)
		return r;
	if (p->tls_verify != SAID_NOTHING)
		put_number(out, TAG_TLS_VERIFY, p->tls_verify == SAID_YES, 1);
	if (p->plain_http)
		put_number(out, TAG_PLAIN_HTTP, 1, 1);
	if (p->has_certs)
		put(out, TAG_AUTHORITIES, p->authorities);
	if (p->client_cert.len > 0)
		put(out, TAG_CLIENT_CERT, p->client_cert);
	if (p->client_key.len > 0)
		put(out, TAG_CLIENT_KEY, p->client_key);
	if (p->has_retries)
		put_number(out, TAG_RETRIES, p->retries, NUMBER_BYTES);
	if (p->rate > 0) {
		put_number(out, TAG_RATE, p->rate, NUMBER_BYTES);
		put_number(out, TAG_OWNER, p->owner, NUMBER_BYTES);
	}
	put_login(out, p);
	assert(source_policy_decode(span_of(out->data + before, out->len - before), &back));
	return 0;
}

/* ── and back ── */

static bool is_visible(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] > '~')
			return false;
	return s.len > 0;
}

/* Text with line ends, which goes to a library as a string. */
static bool is_pem(struct span s, size_t min, size_t max)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == '\0')
			return false;
	return s.len >= min && s.len <= max;
}

static bool take_flag(struct span value, uint64_t min, uint64_t *ret_flag)
{
	if (value.len != 1 || value.data[0] > 1 || value.data[0] < min)
		return false;
	*ret_flag = value.data[0];
	return true;
}

static bool take_number(struct span value, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = value.len == NUMBER_BYTES ? be_get(value.data, NUMBER_BYTES) : 0;

	if (value.len != NUMBER_BYTES || number < min || number > max)
		return false;
	*ret_number = number;
	return true;
}

static bool take_login(enum tag tag, struct span value, struct source_policy *p)
{
	bool is_first = p->login == POLICY_LOGIN_OURS;

	p->secret = value;
	if (tag == TAG_ANONYMOUS) {
		p->login = POLICY_LOGIN_ANONYMOUS;
		return is_first && value.len == 0;
	}
	p->login = tag == TAG_BASIC ? POLICY_LOGIN_BASIC : POLICY_LOGIN_IDENTITY;
	return is_first && value.len <= POLICY_SECRET_MAX && (tag == TAG_BASIC ? base64_is(value) : is_visible(value));
}

static bool take_field(enum tag tag, struct span value, struct source_policy *p)
{
	uint64_t flag = 0;

	switch (tag) {
	case TAG_TLS_VERIFY:
		if (!take_flag(value, 0, &flag))
			return false;
		p->tls_verify = flag ? SAID_YES : SAID_NO;
		return true;
	case TAG_PLAIN_HTTP:
		p->plain_http = true;
		return take_flag(value, 1, &flag);
	case TAG_AUTHORITIES:
		p->has_certs = true;
		p->authorities = value;
		return is_pem(value, 0, POLICY_PEM_MAX);
	case TAG_CLIENT_CERT:
		p->client_cert = value;
		return is_pem(value, 1, POLICY_CLIENT_MAX);
	case TAG_CLIENT_KEY:
		p->client_key = value;
		return is_pem(value, 1, POLICY_CLIENT_MAX);
	case TAG_RETRIES:
		p->has_retries = true;
		return take_number(value, 0, POLICY_RETRIES_MAX, &p->retries);
	case TAG_RATE:
		return take_number(value, 1, POLICY_RATE_MAX, &p->rate);
	case TAG_OWNER:
		return p->rate > 0 && take_number(value, 0, UINT64_MAX, &p->owner);
	case TAG_ANONYMOUS:
	case TAG_BASIC:
	case TAG_IDENTITY:
		return take_login(tag, value, p);
	}
	return false;
}

/* What the fields say together. */
static bool is_sound(const struct source_policy *p, enum tag last, bool has_owner)
{
	bool has_cert = p->client_cert.len > 0, has_key = p->client_key.len > 0;

	return last != 0 && !(p->plain_http && p->tls_verify == SAID_YES) && has_cert == has_key &&
	       (p->has_certs || !has_cert) && has_owner == (p->rate > 0);
}

bool source_policy_decode(struct span bytes, struct source_policy *ret_policy)
{
	struct source_policy p = {.tls_verify = SAID_NOTHING};
	unsigned last = 0;
	bool has_owner = false;

	if (bytes.len > POLICY_MAX)
		return false;
	while (bytes.len > 0) {
		if (bytes.len < TAG_BYTES + LENGTH_BYTES)
			return false;
		unsigned tag = bytes.data[0];
		size_t len = (size_t)be_get(bytes.data + TAG_BYTES, LENGTH_BYTES);
		struct span rest = span_of(bytes.data + TAG_BYTES + LENGTH_BYTES, bytes.len - TAG_BYTES - LENGTH_BYTES);
		if (tag <= last || len > rest.len || !take_field((enum tag)tag, span_of(rest.data, len), &p))
			return false;
		has_owner = has_owner || tag == TAG_OWNER;
		last = tag;
		bytes = span_of(rest.data + len, rest.len - len);
	}
	if (!is_sound(&p, (enum tag)last, has_owner))
		return false;
	*ret_policy = p;
	return true;
}

bool source_policy_is_lax(const struct source_policy *p)
{
	return p->plain_http || p->tls_verify == SAID_NO || p->has_certs;
}
