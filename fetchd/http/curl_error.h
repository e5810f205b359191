/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of libcurl's errors, and our messages. Its codes and words differ between versions, so they are read
 * together with what had happened by then: the same answer of a server has the same outcome with each version.
 */
#ifndef SLUICE_FETCHD_HTTP_CURL_ERROR_H
#define SLUICE_FETCHD_HTTP_CURL_ERROR_H

#include <curl/curl.h>

#include "fetchd/http/failure.h"
#include "fetchd/http/response.h"

/* All that is known of a transfer of curl's that is over. */
struct curl_end {
	CURLcode code;
	const char *text; /* what it wrote into its error buffer */
	int os_error;     /* CURLINFO_OS_ERRNO: the last one, which may be of an address that was given up */
	bool connected;   /* the request went out */
	const struct response *answer; /* as much as came of it */
};

/* How it ended. Pure. */
enum http_end curl_error_end(const struct curl_end *c, struct reason *ret_why);

/* The errno by which a connection could not be made or broke off; 0: it ended otherwise. Pure. */
int curl_error_errno(const struct curl_end *c);

#endif
