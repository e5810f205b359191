/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with a request, in enough detail to retry, to give up, and to report why. */
#ifndef SLUICE_FETCHD_HTTP_FAILURE_H
#define SLUICE_FETCHD_HTTP_FAILURE_H

#include "common/base/reason.h"
#include "common/oci/transfer.h"

/* How an exchange ended. */
enum http_end {
	HTTP_WHOLE,         /* the response is complete, as far as HTTP can tell */
	HTTP_STOPPED,       /* `head` or `body` asked for it */
	HTTP_REFUSED,       /* the head is too long or malformed, the framing is broken, or the guard refused */
	HTTP_NO_ADDRESS,    /* the name does not resolve */
	HTTP_DENIED,        /* by the proxy */
	HTTP_NO_CONNECTION, /* refused, unreachable, or the time for it is up */
	HTTP_NO_TLS,        /* handshake or certificate */
	HTTP_BROKEN_OFF,    /* reset, closed before the answer, a body that is cut short */
	HTTP_STALLED,       /* no byte for the stall time, too few in the time for a look, or not whole in time */
	HTTP_FAILED,        /* our side: memory, descriptors */
};

struct failure {
	enum fail_class class;
	uint16_t http_status;    /* of the answer, 0 if there was none */
	enum http_end end;       /* of the exchange, if there was no answer or it broke off */
	int error;               /* an errno, or 0 */
	uint64_t retry_after_ms; /* 0: no wait is asked for */
	struct reason why;
};

#endif
