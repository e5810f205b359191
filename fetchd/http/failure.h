/*
 * What went wrong with a request, as far as whoever made it has to know to try again, to give up and to tell why.
 */
#ifndef SLUICE_FETCHD_HTTP_FAILURE_H
#define SLUICE_FETCHD_HTTP_FAILURE_H

#include "fetchd/http/http.h"

struct failure {
	enum fail_class class;
	uint16_t http_status;    /* of the answer, 0 if there was none */
	enum http_end end;       /* of the exchange, if there was no answer or it broke off */
	int error;               /* an errno, or 0 */
	uint64_t retry_after_ms; /* 0: no wait is asked for */
	struct reason why;
};

#endif
