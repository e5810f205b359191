/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which proxy a request uses, from the environment: http_proxy, https_proxy, all_proxy and no_proxy, in lower or upper
 * case; but not HTTP_PROXY if REQUEST_METHOD is set, because in a CGI script the client controls it. This is decided
 * here and not by libcurl because the guard does not apply to proxies (guard.h) and must know whether a request uses
 * one.
 */
#ifndef SLUICE_FETCHD_HTTP_PROXY_H
#define SLUICE_FETCHD_HTTP_PROXY_H

#include <stdbool.h>

#include "fetchd/http/url.h"

/* The proxy's URL, borrowed from the environment. NULL: no proxy for this origin. */
const char *proxy_of(const struct origin *to);

/*
 * Whether `list`, a value of no_proxy, names this origin. Entries are separated by commas or blanks: "*", a domain
 * ("example.com", ".example.com", "*.example.com": each with its subdomains), an address, or a block of addresses
 * ("10.0.0.0/8"). A domain or an address may be followed by a port. Every list, even an empty one, excepts loopback,
 * unless it has the entry "<-loopback>", as in browsers. Pure.
 */
bool proxy_is_excepted(const char *list, const struct origin *to);

#endif
