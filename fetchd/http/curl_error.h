/*
 * What libcurl's errors mean to us, and how a person is told.
 */
#ifndef SLUICE_FETCHD_HTTP_END_H
#define SLUICE_FETCHD_HTTP_END_H

#include <curl/curl.h>

#include "fetchd/http/http.h"

/*
 * How a transfer of curl's ended. `text` is what it wrote into its error buffer, `os_error` its CURLINFO_OS_ERRNO,
 * `connected` whether the request went out. Pure.
 */
enum http_end http_end_of(CURLcode code, const char *text, int os_error, bool connected, struct reason *ret_why);

/* Of these two, the errno by which a connection could not be made or broke off; 0: it ended otherwise. Pure. */
int http_end_errno(CURLcode code, int os_error);

#endif
