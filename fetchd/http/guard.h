/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How near an address is to this machine. A server may send us to an address that is as far away as its own, or
 * farther, never to a nearer one. So no server outside can make us contact what only this machine can reach: itself,
 * its link, the cloud's metadata services, a private network.
 *
 * A host's name proves little, so the address is checked when the socket is opened, and again when the request is sent.
 * IPv4 addresses are recognized in every form that IPv6 has for them.
 */
#ifndef SLUICE_FETCHD_HTTP_GUARD_H
#define SLUICE_FETCHD_HTTP_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

/* By increasing distance from this machine. */
enum guard_zone {
	ZONE_METADATA, /* a cloud's metadata service: no server may send us there */
	ZONE_LOOPBACK, /* also unspecified, multicast and broadcast: none is the address of another machine */
	ZONE_OWN,      /* any other current address of this machine */
	ZONE_LINK,     /* link-local */
	ZONE_PRIVATE,  /* private networks, unique local, carrier-grade NAT, benchmarks, local translators */
	ZONE_PUBLIC,
};

#define ZONE_ANY ZONE_METADATA /* as the nearest allowed zone: anything goes, because the user named the host */

/*
 * Asks the kernel which addresses this machine has; sends nothing. For families other than IPv4 and IPv6:
 * ZONE_LOOPBACK.
 */
enum guard_zone guard_zone(const struct sockaddr *address);

/* The same for an address as text: "127.0.0.1", "fe80::1%eth0". For other text: ZONE_LOOPBACK. */
enum guard_zone guard_ip_zone(const char *ip);

/*
 * The same for a host in a URL: an address ("127.0.0.1", "127.1.", "[::1]") or a name of this machine. A host that ends
 * in a number and is not an address: ZONE_LOOPBACK. Other names prove nothing: ZONE_PUBLIC.
 */
enum guard_zone guard_host_zone(const char *host);

/*
 * The nearest zone that a server in `from` may send us to. `is_known`: the target's certificate is verified, or the
 * user has configured the target. Then servers outside may send us into a private network, because in many networks the
 * names of public services resolve to private addresses.
 */
enum guard_zone guard_nearest(enum guard_zone from, bool is_known);

/* For messages: "this machine or its link"; and how to allow it, or "". */
const char *guard_zone_text(enum guard_zone zone);
const char *guard_zone_hint(enum guard_zone zone);

#endif
