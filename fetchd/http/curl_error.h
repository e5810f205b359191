/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of libcurl's errors, and our messages for them. Its codes and texts differ between versions, so they are
 * interpreted together with what had happened by then: the same answer of a server has the same outcome in every
 * version.
 */
#ifndef SLUICE_FETCHD_HTTP_CURL_ERROR_H
#define SLUICE_FETCHD_HTTP_CURL_ERROR_H

#include <curl/curl.h>

#include "fetchd/http/failure.h"
#include "fetchd/http/response.h"

/* Everything known about a finished transfer of curl. */
struct curl_end {
	CURLcode code;
	const char *text; /* what it wrote into its error buffer */
	int os_error;     /* CURLINFO_OS_ERRNO: the last one, which may belong to an address that was given up */
	bool connected;   /* the request was sent */
	bool proxied;     /* through a proxy, to which the connection goes */
	const struct response *answer; /* as much of it as arrived */
};

/* How it ended. Pure. */
enum http_end curl_error_end(const struct curl_end *c, struct reason *ret_why);

/* The errno with which a connection failed or broke off; 0: it ended otherwise. Pure. */
int curl_error_errno(const struct curl_end *c);

#endif
