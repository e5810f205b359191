/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server asks for in WWW-Authenticate (RFC 9110, 11.6.1), and the parameters of a Bearer challenge as the
 * distribution project's token specification has them: where tokens are made (realm), for which service, for what
 * (scope). Pure and strict: a field that is not understood to its end, or is over a limit, counts as none of the known
 * schemes.
 */
#ifndef SLUICE_FETCHD_HTTP_CHALLENGE_H
#define SLUICE_FETCHD_HTTP_CHALLENGE_H

#include <stdbool.h>

#include "common/base/span.h"

#define CHALLENGE_REALM_MAX   2048 /* bytes without a terminator */
#define CHALLENGE_SERVICE_MAX 255
#define CHALLENGE_SCOPE_MAX   1024
#define CHALLENGE_PARAMS_MAX  16 /* in one challenge */
#define CHALLENGE_SCHEMES_MAX 8  /* challenges in one field */

enum auth_scheme { /* bits */
		   AUTH_BASIC = 1,
		   AUTH_BEARER = 2,
		   AUTH_OTHER = 4,
};

/* All zero: nothing is asked for. */
struct challenge {
	unsigned schemes; /* bits of enum auth_scheme */
	/* Of the first Bearer challenge; empty where it has none. Printable ASCII. */
	char realm[CHALLENGE_REALM_MAX + 1];
	char service[CHALLENGE_SERVICE_MAX + 1];
	char scope[CHALLENGE_SCOPE_MAX + 1];
};

/* Add what one field's value asks for. False: it was not understood, and only AUTH_OTHER is added. */
bool challenge_add(struct challenge *c, struct span value);

bool challenge_eq(const struct challenge *a, const struct challenge *b);

#endif
