/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses to which a server must not send us: this machine and its link, including the cloud's metadata services. A
 * host's name proves little, so the address is checked when the socket is opened.
 */
#ifndef SLUICE_FETCHD_HTTP_GUARD_H
#define SLUICE_FETCHD_HTTP_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

/* Loopback, unspecified, link-local, or a known metadata address; also where IPv4 is mapped or embedded in IPv6. */
bool guard_is_inner(const struct sockaddr *address);

/* The same for an address as text: "127.0.0.1", "fe80::1%eth0". Text that is not an address counts as inner. */
bool guard_ip_is_inner(const char *ip);

/* The same of a host as it stands in a URL: an address literal ("127.0.0.1", "[::1]") or a name of this machine. */
bool guard_host_is_inner(const char *host);

/*
 * The port of the proxy that the environment names for http or https, 0 if none. A person put the proxy there, so
 * that it may be on this machine. Reads the environment as libcurl does.
 */
uint16_t guard_proxy_port(bool tls);

#endif
