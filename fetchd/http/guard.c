/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/guard.h"

/* System */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* OCI */
#include "common/oci/reference.h"

/* Own */
#include "fetchd/http/url.h"

#define PROXY_PORT 1080 /* libcurl's default */

struct block {
	uint8_t address[16];
	unsigned bits;
};

static const struct block blocks4[] = {
    {{127}, 8},                 /* loopback */
    {{0}, 8},                   /* "this network": connects to this machine */
    {{169, 254}, 16},           /* link-local, and the metadata of most clouds */
    {{100, 100, 100, 200}, 32}, /* metadata of Alibaba Cloud */
    {{192, 0, 0, 192}, 32},     /* metadata of Oracle Cloud */
    {{168, 63, 129, 16}, 32},   /* the host agent of Azure */
};

static const struct block blocks6[] = {
    {{[15] = 1}, 128},                                      /* ::1 */
    {{0}, 128},                                             /* :: */
    {{0xfe, 0x80}, 10},                                     /* link-local */
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 2, [15] = 0x54}, 128}, /* metadata of EC2, fd00:ec2::254 */
};

/* What carries an IPv4 address, and where in it. */
static const struct {
	struct block block;
	unsigned at;
} carriers[] = {
    {{{[10] = 0xff, [11] = 0xff}, 96}, 12}, /* mapped */
    {{{0}, 96}, 12},                        /* compatible, of old */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},   /* NAT64 */
    {{{0x20, 0x02}, 16}, 2},                /* 6to4 */
};

static bool in_block(const uint8_t *address, const struct block *b)
{
	unsigned whole = b->bits / 8, rest = b->bits % 8;
	if (memcmp(address, b->address, whole) != 0)
		return false;
	return rest == 0 || (address[whole] ^ b->address[whole]) >> (8 - rest) == 0;
}

static bool in_blocks(const uint8_t *address, const struct block *blocks, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (in_block(address, &blocks[i]))
			return true;
	return false;
}

static bool is_inner4(const uint8_t *address)
{
	return in_blocks(address, blocks4, sizeof(blocks4) / sizeof(blocks4[0]));
}

static bool is_inner6(const uint8_t *address)
{
	if (in_blocks(address, blocks6, sizeof(blocks6) / sizeof(blocks6[0])))
		return true;
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
		if (in_block(address, &carriers[i].block) && is_inner4(address + carriers[i].at))
			return true;
	return false;
}

bool guard_is_inner(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return is_inner4((const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr);
	if (address->sa_family == AF_INET6)
		return is_inner6((const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
	return true; /* no other kind is a registry's */
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);
	return len >= end_len && strcasecmp(text + len - end_len, end) == 0;
}

bool guard_ip_is_inner(const char *ip)
{
	char bare[INET6_ADDRSTRLEN];
	uint8_t address[16];
	size_t len = strcspn(ip, "%"); /* a zone: "fe80::1%25eth0" */
	if (len >= sizeof(bare))
		return true;
	memcpy(bare, ip, len);
	bare[len] = '\0';
	if (inet_pton(AF_INET, bare, address) == 1)
		return is_inner4(address);
	return inet_pton(AF_INET6, bare, address) != 1 || is_inner6(address);
}

bool guard_host_is_inner(const char *host)
{
	char bare[INET6_ADDRSTRLEN + 64];
	uint8_t address[4];
	size_t len = strlen(host);
	if (host_is_loopback(host) || ends_with(host, ".localhost") || ends_with(host, "localhost."))
		return true;
	if (host[0] != '[')
		return inet_pton(AF_INET, host, address) == 1 && is_inner4(address);
	if (len < 3 || len - 2 >= sizeof(bare))
		return false;
	memcpy(bare, host + 1, len - 2);
	bare[len - 2] = '\0';
	return guard_ip_is_inner(bare);
}

uint16_t guard_proxy_port(bool tls)
{
	/* Not HTTP_PROXY in capitals: a CGI's client could set it. */
	static const char *const names[2][4] = {{"http_proxy", "all_proxy", "ALL_PROXY", NULL},
						{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}};
	for (size_t i = 0; i < 4 && names[tls][i]; i++) {
		const char *proxy = getenv(names[tls][i]);
		if (proxy && proxy[0] != '\0')
			return url_port(proxy, PROXY_PORT);
	}
	return 0;
}
