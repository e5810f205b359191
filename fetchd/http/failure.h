/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with a request, in enough detail to retry, to give up, and to report why. */
#ifndef SLUICE_FETCHD_HTTP_FAILURE_H
#define SLUICE_FETCHD_HTTP_FAILURE_H

#include "common/base/reason.h"
#include "common/oci/transfer.h"

/* How an exchange ended. */
enum http_end {
	HTTP_WHOLE,         /* the response is complete, as far as HTTP can tell */
	HTTP_STOPPED,       /* requested by `head` or `body` */
	HTTP_REFUSED,       /* the header is too long or malformed, the framing is broken, or the guard refused */
	HTTP_NO_ADDRESS,    /* the name does not resolve */
	HTTP_DENIED,        /* by the proxy */
	HTTP_NO_CONNECTION, /* refused, unreachable, or timed out */
	HTTP_NO_TLS,        /* handshake or certificate */
	HTTP_BROKEN_OFF,    /* reset, closed before the answer, a truncated body */
	HTTP_STALLED,       /* no byte for the stall time, too slow, or not complete in time */
	HTTP_FAILED,        /* on our side: memory, descriptors */
};

struct failure {
	enum fail_class class;
	uint16_t http_status;    /* of the answer; 0: none */
	enum http_end end;       /* of the exchange, if it had no answer or broke off */
	int error;               /* an errno, or 0 */
	uint64_t retry_after_ms; /* 0: no wait is requested */
	struct reason why;
};

#endif
