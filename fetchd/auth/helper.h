/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential helpers in docker's form: the program docker-credential-NAME is run with "get", reads the server's name
 * from stdin, and prints {"Username": ..., "Secret": ...}. It never blocks the loop, and is killed when its time is up.
 * No secret is on a command line.
 */
#ifndef SLUICE_FETCHD_AUTH_HELPER_H
#define SLUICE_FETCHD_AUTH_HELPER_H

#include <stdint.h>

#include "common/base/reason.h"
#include "common/base/span.h"

#define HELPER_OUTPUT_MAX (64u << 10) /* bytes */

struct loop;
struct helper;

enum helper_end {
	HELPER_PRINTED, /* it printed credentials */
	HELPER_NOTHING, /* it has no credentials for this server */
	HELPER_FAILED,  /* `why` */
};

/* Called once, from the loop; the helper is freed by then. `output` is borrowed for the call. */
typedef void helper_done(void *self, enum helper_end end, struct span output, const struct reason *why);

/*
 * Run docker-credential-`name`, found in PATH, for `server`. The texts are borrowed for the call. 0 or -errno.
 */
int helper_start(struct loop *loop, const char *name, const char *server, uint64_t timeout_ms, helper_done *done,
		 void *self, struct helper **ret_helper);

/* Kill it without `done`. NULL is fine. */
void helper_cancel(struct helper *h);

#endif
