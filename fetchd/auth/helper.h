/* SPDX-License-Identifier: Apache-2.0 */
/* A credential helper (common/oci/credential_helper.h) on the loop, which it never blocks. It is killed when its time is up. */
#ifndef SLUICE_FETCHD_AUTH_HELPER_H
#define SLUICE_FETCHD_AUTH_HELPER_H

#include <stdint.h>

#include "common/base/reason.h"
#include "common/base/span.h"

struct loop;
struct helper;

enum helper_end {
	HELPER_PRINTED, /* it printed credentials */
	HELPER_NOTHING, /* it has no credentials for this server */
	HELPER_FAILED,  /* `why` */
};

/* Called once, from the loop; the helper is freed by then. `output` is borrowed for the call. */
typedef void helper_done(void *self, enum helper_end end, struct span output, const struct reason *why);

/* Run it, as helper_spawn() does. 0, or -errno with a reason, but not -ENOENT. */
int helper_start(struct loop *loop, const char *name, const char *server, uint64_t timeout_ms, helper_done *done,
		 void *self, struct helper **ret_helper, struct reason *why);

/* Kill it without `done`. NULL is fine. */
void helper_cancel(struct helper *h);

#endif
