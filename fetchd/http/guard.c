/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/guard.h"

/* System */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* Base */
#include "common/base/cleanup.h"

/* OCI */
#include "common/oci/reference.h"

/* Own */
#include "fetchd/http/address.h"

struct block {
	uint8_t address[16];
	unsigned bits;
	enum guard_zone zone;
};

/* The first that matches counts. Names: the IANA registries of special-purpose addresses. */
static const struct block blocks4[] = {
    {{169, 254, 169, 254}, 32, ZONE_METADATA}, /* most clouds */
    {{169, 254, 170, 2}, 32, ZONE_METADATA},   /* tasks of Amazon ECS */
    {{169, 254, 170, 23}, 32, ZONE_METADATA},  /* pods of Amazon EKS */
    {{100, 100, 100, 200}, 32, ZONE_METADATA}, /* Alibaba Cloud */
    {{192, 0, 0, 192}, 32, ZONE_METADATA},     /* Oracle Cloud */
    {{168, 63, 129, 16}, 32, ZONE_METADATA},   /* the host agent of Azure */
    {{127}, 8, ZONE_LOOPBACK},
    {{0}, 8, ZONE_LOOPBACK},   /* "this network": connects to this machine */
    {{224}, 3, ZONE_LOOPBACK}, /* multicast, reserved, broadcast */
    {{169, 254}, 16, ZONE_LINK},
    {{10}, 8, ZONE_PRIVATE},
    {{172, 16}, 12, ZONE_PRIVATE},
    {{192, 168}, 16, ZONE_PRIVATE},
    {{100, 64}, 10, ZONE_PRIVATE},   /* carrier-grade NAT */
    {{192, 0, 0}, 24, ZONE_PRIVATE}, /* protocol assignments */
    {{198, 18}, 15, ZONE_PRIVATE},   /* benchmarks */
};

static const struct block blocks6[] = {
    {{0xfd, 0x00, 0x0e, 0xc2}, 32, ZONE_METADATA},                            /* Amazon EC2 */
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}, 128, ZONE_METADATA}, /* Google Compute Engine */
    {{0xfd, 0x00, 0x00, 0x42, [15] = 0x42}, 128, ZONE_METADATA},              /* Scaleway */
    {{0}, 127, ZONE_LOOPBACK},                                                /* :: and ::1 */
    {{0xff}, 8, ZONE_LOOPBACK},                                               /* multicast */
    {{0xfe, 0x80}, 10, ZONE_LINK},
    {{0xfe, 0xc0}, 10, ZONE_PRIVATE},                         /* site-local, of old */
    {{0xfc}, 7, ZONE_PRIVATE},                                /* unique local */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, ZONE_PRIVATE}, /* translators of the local network */
};

/*
 * Blocks that carry an IPv4 address: the position of each byte; Teredo inverts them, so that a NAT does not change
 * them.
 */
static const struct {
	struct block block;
	uint8_t at[4];
	bool inverted;
} carriers[] = {
    {{{[10] = 0xff, [11] = 0xff}, 96, 0}, {12, 13, 14, 15}, false},           /* mapped */
    {{{[8] = 0xff, [9] = 0xff}, 96, 0}, {12, 13, 14, 15}, false},             /* translated, RFC 2765 */
    {{{0}, 96, 0}, {12, 13, 14, 15}, false},                                  /* compatible, of old */
    {{{0x00, 0x64, 0xff, 0x9b}, 96, 0}, {12, 13, 14, 15}, false},             /* NAT64, RFC 6052 */
    {{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 0}, {6, 7, 9, 10}, false},    /* RFC 8215, as a /48 */
    {{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 0}, {7, 9, 10, 11}, false},   /* as a /56 */
    {{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 0}, {9, 10, 11, 12}, false},  /* as a /64 */
    {{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 0}, {12, 13, 14, 15}, false}, /* as a /96 */
    {{{0x20, 0x02}, 16, 0}, {2, 3, 4, 5}, false},                             /* 6to4 */
    {{{0x20, 0x01, 0x00, 0x00}, 32, 0}, {4, 5, 6, 7}, false},                 /* Teredo: its server */
    {{{0x20, 0x01, 0x00, 0x00}, 32, 0}, {12, 13, 14, 15}, true},              /* and its client */
};

static enum guard_zone zone_in(const uint8_t *address, const struct block *blocks, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (address_in_block(address, blocks[i].address, blocks[i].bits))
			return blocks[i].zone;
	return ZONE_PUBLIC;
}

static enum guard_zone nearer(enum guard_zone a, enum guard_zone b)
{
	return a < b ? a : b;
}

/* A socket can be bound only to addresses of this machine, whether they come from an interface or a route. */
static bool can_bind(const struct sockaddr *address, socklen_t len)
{
	AUTO_FD fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && bind(fd, address, len) == 0;
}

/* If ip_nonlocal_bind allows any address: for an own address, packets to it have it as their source. */
static bool is_own_source(const struct sockaddr *address, socklen_t len)
{
	struct sockaddr_in6 to = {0}, own = {0};
	socklen_t own_len = sizeof(own);
	AUTO_FD fd = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(&to, address, len);
	to.sin6_port = htons(9); /* the port is at the same place for both families; nothing is sent */
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own, &own_len) < 0)
		return false;
	own.sin6_port = 0;
	return own_len == len && memcmp(&own, address, len) == 0;
}

static bool is_own(const struct sockaddr *address, const struct sockaddr *nobodys, socklen_t len)
{
	return can_bind(address, len) && (!can_bind(nobodys, len) || is_own_source(address, len));
}

static bool is_own4(const uint8_t *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct sockaddr_in nobodys = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)}; /* 192.0.2.1 */
	memcpy(&at.sin_addr, address, sizeof(at.sin_addr));
	return is_own((const void *)&at, (const void *)&nobodys, sizeof(at));
}

static bool is_own6(const uint8_t *address)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6};
	struct sockaddr_in6 nobodys = {.sin6_family = AF_INET6,
				       .sin6_addr.s6_addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}; /* 2001:db8::1 */
	memcpy(&at.sin6_addr, address, sizeof(at.sin6_addr));
	return is_own((const void *)&at, (const void *)&nobodys, sizeof(at));
}

static enum guard_zone zone4(const uint8_t *address)
{
	enum guard_zone zone = zone_in(address, blocks4, sizeof(blocks4) / sizeof(blocks4[0]));
	return zone > ZONE_OWN && is_own4(address) ? ZONE_OWN : zone;
}

static enum guard_zone zone6(const uint8_t *address)
{
	static const uint8_t isatap[] = {0x00, 0x5e, 0xfe}, metadata4[] = {169, 254, 169, 254};
	enum guard_zone zone = zone_in(address, blocks6, sizeof(blocks6) / sizeof(blocks6[0]));
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
		uint8_t inner[4];
		if (!address_in_block(address, carriers[i].block.address, carriers[i].block.bits))
			continue;
		for (size_t j = 0; j < sizeof(inner); j++)
			inner[j] = (uint8_t)(address[carriers[i].at[j]] ^ (carriers[i].inverted ? 0xff : 0));
		zone = nearer(zone, zone4(inner));
	}
	if (memcmp(address + 9, isatap, sizeof(isatap)) == 0 && (address[8] & ~2) == 0)
		zone = nearer(zone, zone4(address + 12));
	/* After the prefix of any translator; Oracle Cloud's own address, fd00:c1::a9fe:a9fe, has this form too. */
	if (memcmp(address + 12, metadata4, sizeof(metadata4)) == 0)
		return ZONE_METADATA;
	return zone > ZONE_OWN && is_own6(address) ? ZONE_OWN : zone;
}

enum guard_zone guard_zone(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return zone4((const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr);
	if (address->sa_family == AF_INET6)
		return zone6((const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
	return ZONE_LOOPBACK; /* no other kind is a registry's */
}

/* ── hosts ── */

/* "localhost", what is below it, and what Debian's /etc/hosts has for this machine. */
static bool is_name_of_this_machine(const char *name)
{
	static const char *const ours[] = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"};
	const char *last = strrchr(name, '.');
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	return last && strcasecmp(last + 1, "localhost") == 0;
}

/* No domain does: whoever resolves such a host takes it for an address, or not at all. */
static bool ends_in_number(const char *name)
{
	const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
	bool is_hex = last[0] == '0' && (last[1] == 'x' || last[1] == 'X');
	const char *digits = is_hex ? "0123456789abcdefABCDEF" : "0123456789";
	last += is_hex ? 2 : 0;
	return name[0] != '\0' && last[strspn(last, digits)] == '\0';
}

/* Not only as our resolver would take it, since a proxy may have another: "127.1.", "0x7f000001". */
static enum guard_zone number_zone(const char *name)
{
	struct in_addr address;
	uint8_t bytes[4];
	if (inet_aton(name, &address) == 0)
		return ZONE_LOOPBACK;
	memcpy(bytes, &address, sizeof(bytes));
	return zone4(bytes);
}

enum guard_zone guard_ip_zone(const char *ip)
{
	uint8_t address[16];
	int family = address_parse(ip, address);
	return family == AF_INET ? zone4(address) : family == AF_INET6 ? zone6(address) : ZONE_LOOPBACK;
}

enum guard_zone guard_host_zone(const char *host)
{
	char name[REFERENCE_HOST_MAX + 1];
	size_t len = strlen(host);
	if (host[0] == '[')
		return guard_ip_zone(host);
	while (len > 0 && host[len - 1] == '.')
		len--;
	if (len >= sizeof(name))
		return ZONE_PUBLIC;
	memcpy(name, host, len);
	name[len] = '\0';
	if (is_name_of_this_machine(name))
		return ZONE_LOOPBACK;
	return ends_in_number(name) ? number_zone(name) : ZONE_PUBLIC;
}

enum guard_zone guard_nearest(enum guard_zone from, bool is_known)
{
	return is_known && from == ZONE_PUBLIC ? ZONE_PRIVATE : from;
}

const char *guard_zone_text(enum guard_zone zone)
{
	return zone == ZONE_PRIVATE ? "a private network" : "this machine or its link";
}

const char *guard_zone_hint(enum guard_zone zone)
{
	return zone == ZONE_PRIVATE ? "; if that is right, give the host a section [registry HOST] in sluice.conf" : "";
}
