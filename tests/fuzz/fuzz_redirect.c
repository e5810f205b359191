/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirects, the zone of an address, and no_proxy. An input is a URL, a Location, and two lists for no_proxy, a line
 * each, and the bytes of an address.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* System */
#include <arpa/inet.h>
#include <netinet/in.h>

/* The code under test */
#include "fetchd/http/guard.h"
#include "fetchd/http/proxy.h"

#define LINE_MAX_BYTES 512

static void take_line(struct span *rest, char out[static LINE_MAX_BYTES])
{
	struct span line = fuzz_line(rest);
	size_t len = line.len < LINE_MAX_BYTES ? line.len : LINE_MAX_BYTES - 1;
	if (len > 0)
		memcpy(out, line.data, len);
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/*
 * An accepted target is an http URL without credentials or fragment, and is accepted unchanged again. That TLS is not
 * given up is the route's to decide, as is that nothing is requested from a URL without an origin.
 */
static void check_redirect(const char *base, const char *location)
{
	struct buf url = BUF_INIT, again = BUF_INIT;
	struct origin from, to;
	struct reason why = {""};
	if (origin_of(base, &from, &why) < 0)
		return;
	if (url_redirect(base, location, &url, &why) == 0) {
		FUZZ_CHECK(origin_of(url.data, &to, &why) == 0);
		FUZZ_CHECK(strncmp(url.data, to.tls ? "https://" : "http://", to.tls ? 8 : 7) == 0);
		FUZZ_CHECK(!strchr(url.data, '#'));
		FUZZ_CHECK(url_redirect(url.data, url.data, &again, &why) == 0 && strcmp(url.data, again.data) == 0);
		enum guard_zone zone = guard_host_zone(to.host);
		FUZZ_CHECK(zone >= ZONE_METADATA && zone <= ZONE_PUBLIC);
	} else {
		FUZZ_CHECK(why.text[0] != '\0');
	}
	buf_release(&url);
	buf_release(&again);
}

/* A list matches what any of its parts matches. */
static void check_exceptions(const char *url, const char *one, const char *other)
{
	char both[2 * LINE_MAX_BYTES];
	struct origin to;
	struct reason why;
	if (origin_of(url, &to, &why) < 0)
		return;
	(void)snprintf(both, sizeof(both), "%s,%s", one, other);
	bool is_loopback = guard_host_zone(to.host) == ZONE_LOOPBACK; /* excepted unless a list says otherwise */
	FUZZ_CHECK(is_loopback ||
		   proxy_is_excepted(both, &to) == (proxy_is_excepted(one, &to) || proxy_is_excepted(other, &to)));
	FUZZ_CHECK(proxy_is_excepted("*", &to) && proxy_is_excepted("", &to) == is_loopback);
	(void)snprintf(both, sizeof(both), "%s:%u", to.host, to.port);
	FUZZ_CHECK(proxy_is_excepted(both, &to) || strpbrk(to.host, "%,/ \t*:") || to.host[0] == '.');
}

static enum guard_zone zone_of(const uint8_t address[static 16])
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6};
	char text[INET6_ADDRSTRLEN];
	memcpy(&at.sin6_addr, address, 16);
	enum guard_zone zone = guard_zone((const struct sockaddr *)&at);
	FUZZ_CHECK(guard_ip_zone(inet_ntop(AF_INET6, address, text, sizeof(text))) == zone);
	return zone;
}

/* An address has the same zone in each form, and is not farther than the IPv4 address inside it. */
static void check_address(struct span bytes)
{
	static const struct {
		uint8_t prefix[12];
		unsigned at;
	} forms[] = {
	    {{[10] = 0xff, [11] = 0xff}, 12},
	    {{0x00, 0x64, 0xff, 0x9b}, 12},
	    {{0x20, 0x02}, 2},
	    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 12},
	    {{0x20, 0x01, 0x0d, 0xb8, [10] = 0x5e, [11] = 0xfe}, 12},
	};
	uint8_t address[16] = {0};
	struct sockaddr_in at = {.sin_family = AF_INET};
	if (bytes.len < sizeof(address))
		return;
	memcpy(address, bytes.data, sizeof(address));
	memcpy(&at.sin_addr, address + 12, sizeof(at.sin_addr));
	(void)zone_of(address);
	enum guard_zone zone = guard_zone((const struct sockaddr *)&at);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		uint8_t carrier[16] = {0};
		memcpy(carrier, forms[i].prefix, sizeof(forms[i].prefix));
		memcpy(carrier + forms[i].at, &at.sin_addr, sizeof(at.sin_addr));
		FUZZ_CHECK(zone_of(carrier) <= zone);
	}
	FUZZ_CHECK(zone_of((const uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 127, [15] = address[15]}) ==
		   ZONE_LOOPBACK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_of(data, len);
	char base[LINE_MAX_BYTES], location[LINE_MAX_BYTES], one[LINE_MAX_BYTES], other[LINE_MAX_BYTES];
	take_line(&rest, base);
	take_line(&rest, location);
	take_line(&rest, one);
	take_line(&rest, other);
	check_redirect(base, location);
	check_exceptions(base, one, other);
	check_address(rest);
	return 0;
}
