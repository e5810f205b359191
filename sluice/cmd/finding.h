/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The findings of `sluice doctor`: one line each, or with --json one object, with advice.
 */
#ifndef SLUICE_SLUICE_CMD_FINDING_H
#define SLUICE_SLUICE_CMD_FINDING_H

/* System */
#include <stdbool.h>

/* OCI */
#include "common/oci/json.h"

enum finding {
	FINDING_OK,
	FINDING_WARN, /* it works, but may not for long */
	FINDING_FAIL, /* it does not work */
};

struct findings {
	struct json_t *list; /* borrowed; with --json, what was found so far; else NULL */
	bool quiet;          /* omit what is OK */
	enum finding worst;
};

/* Report a finding of `check`; `advice` says what to do, NULL if OK. */
void finding_report(struct findings *f, enum finding found, const char *check, const char *advice, const char *format,
		    ...) __attribute__((format(printf, 5, 6)));

#endif
