/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server requires in WWW-Authenticate (RFC 9110, 11.6.1), and the parameters of a Bearer challenge by the
 * distribution project's token specification: where to get tokens (realm), for which service, for what (scope). Pure
 * and strict: a field that cannot be parsed to its end, or exceeds a limit, counts as an unknown scheme.
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

/* All zero: nothing is required. */
struct challenge {
	unsigned schemes; /* bits of enum auth_scheme */
	/* From the first Bearer challenge; empty if missing. Printable ASCII. */
	char realm[CHALLENGE_REALM_MAX + 1];
	char service[CHALLENGE_SERVICE_MAX + 1];
	char scope[CHALLENGE_SCOPE_MAX + 1];
};

/* Add what one field's value requires. False: it could not be parsed, and only AUTH_OTHER is added. */
bool challenge_add(struct challenge *c, struct span value);

bool challenge_eq(const struct challenge *a, const struct challenge *b);

#endif
