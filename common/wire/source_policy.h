/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of a source: what a user said about how content is to be fetched from there (`sluice pull --creds …`). It
 * travels with GET and FETCH as bytes, in memory only: it is in no record, event or log. TLS, plain HTTP and
 * credentials are for the host that the source names and for no other; the rest is for the whole transfer.
 *
 * Bytes: fields in ascending order of their tag, each at most once: a tag of one byte, a length of two, a value.
 * Numbers have eight bytes, big-endian. No bytes at all: nothing was said.
 *
 *   1  tls_verify    a byte, 0 or 1
 *   2  plain_http    a byte, 1; not beside tls_verify 1
 *   3  authorities   PEM, may be empty: a directory of certificates was given
 *   4  client_cert   PEM, beside 3 and 5
 *   5  client_key    PEM, beside 3 and 4
 *   6  retries
 *   7  rate          bytes per second of all transfers with this policy, not 0
 *   8  owner         beside 7: makes the policies of two commands different
 *   9  anonymous     empty: no credentials
 *   10 basic         base64 of user:password
 *   11 identity      an identity (refresh) token; at most one of 9, 10 and 11
 */
#ifndef SLUICE_WIRE_SOURCE_POLICY_H
#define SLUICE_WIRE_SOURCE_POLICY_H

#include "common/base/buf.h"

#define POLICY_MAX         (40u << 10) /* bytes */
#define POLICY_SECRET_MAX  8192u       /* bytes of credentials */
#define POLICY_PEM_MAX     (16u << 10) /* bytes of authorities */
#define POLICY_CLIENT_MAX  7168u       /* bytes of a client certificate or a key */
#define POLICY_RETRIES_MAX 1000000u
#define POLICY_RATE_MAX    (1ull << 40)

/* What was said about something that is on or off. */
enum said {
	SAID_NOTHING,
	SAID_NO,
	SAID_YES,
};

enum policy_login {
	POLICY_LOGIN_OURS,      /* nothing was said: as whoever runs fetchd has configured */
	POLICY_LOGIN_ANONYMOUS, /* without credentials */
	POLICY_LOGIN_BASIC,     /* secret: base64 of user:password */
	POLICY_LOGIN_IDENTITY,  /* secret: an identity token */
};

/* Spans are borrowed, from the caller when encoding, from the bytes when decoded. All zero: nothing was said. */
struct source_policy {
	enum said tls_verify;
	bool plain_http;
	bool has_certs; /* a directory of certificates was given; what is in it: */
	struct span authorities, client_cert, client_key;
	bool has_retries;
	uint64_t retries;
	uint64_t rate; /* bytes per second; 0: no limit */
	uint64_t owner;
	enum policy_login login;
	struct span secret;
};

/* Append its bytes, within the bounds above (asserted). 0 or -ENOMEM. Reserves first: no piece stays in the heap. */
int source_policy_encode(const struct source_policy *p, struct buf *out);

/* Total and exact. False: not a policy; `ret_policy` is untouched. */
bool source_policy_decode(struct span bytes, struct source_policy *ret_policy);

/*
 * Whether it makes a connection less trustworthy than the configuration does: without TLS, without verification, or by
 * authorities that only the user trusts. Then nothing secret of anybody else's may be sent.
 */
bool source_policy_is_lax(const struct source_policy *p);

#endif
