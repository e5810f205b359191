/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/proxy.h"

/* System */
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

/* Base */
#include "common/base/opt.h"

/* Own */
#include "fetchd/http/address.h"
#include "fetchd/http/guard.h"

#define ENTRY_MAX    255 /* bytes: no host name is longer */
#define NOT_LOOPBACK "<-loopback>"

/* The first variable that is set and not empty. */
static const char *first_of(const char *const *names)
{
	for (; *names; names++) {
		const char *value = getenv(*names);
		if (value && value[0] != '\0')
			return value;
	}
	return NULL;
}

/* An address, or a block of them. */
static bool is_in_block(char *entry, const char *host)
{
	uint8_t block[16], address[16];
	uint64_t bits;
	char *slash = strchr(entry, '/');
	if (slash)
		*slash = '\0';
	int family = address_parse(entry, block);
	uint64_t most = family == AF_INET ? 32 : 128;
	bool right = family != AF_UNSPEC && address_parse(host, address) == family;
	if (slash)
		right = right && opt_parse_number(OPT_COUNT, slash + 1, &bits) == 0 && bits <= most;
	else
		bits = most;
	return right && address_in_block(address, block, (unsigned)bits);
}

/* "example.com" is above "a.example.com", and itself. */
static bool is_below(const char *domain, const char *host)
{
	size_t domain_len = strlen(domain), len = strlen(host);
	if (len > 0 && host[len - 1] == '.')
		len--;
	if (domain_len > 0 && domain[domain_len - 1] == '.')
		domain_len--;
	if (domain_len == 0 || len < domain_len || strncasecmp(host + len - domain_len, domain, domain_len) != 0)
		return false;
	return len == domain_len || host[len - domain_len - 1] == '.';
}

/* Remove ":port". False: it is a different port. An IPv6 address without brackets has no port. */
static bool take_port(char *entry, uint16_t port)
{
	uint64_t number;
	char *colon = strrchr(entry, ':');
	if (!colon || strchr(entry, '/') || (entry[0] != '[' && strchr(entry, ':') != colon) || strchr(colon, ']'))
		return true;
	*colon = '\0';
	return opt_parse_number(OPT_COUNT, colon + 1, &number) == 0 && number == port;
}

static bool names(char *entry, const struct origin *to)
{
	uint8_t address[16];
	if (strcmp(entry, "*") == 0)
		return true;
	if (!take_port(entry, to->port))
		return false;
	if (is_in_block(entry, to->host))
		return true;
	if (address_parse(to->host, address) != AF_UNSPEC)
		return false;
	return is_below(entry + strspn(entry, entry[0] == '*' ? "*." : "."), to->host);
}

bool proxy_is_excepted(const char *list, const struct origin *to)
{
	static const char separators[] = ", \t";
	char entry[ENTRY_MAX + 1];
	bool is_loopback = guard_host_zone(to->host) == ZONE_LOOPBACK;
	for (list += strspn(list, separators); *list != '\0'; list += strspn(list, separators)) {
		size_t len = strcspn(list, separators);
		if (len < sizeof(entry)) {
			memcpy(entry, list, len);
			entry[len] = '\0';
			is_loopback = is_loopback && strcmp(entry, NOT_LOOPBACK) != 0;
			if (names(entry, to))
				return true;
		}
		list += len;
	}
	return is_loopback;
}

const char *proxy_of(const struct origin *to)
{
	static const char *const plain[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", NULL};
	static const char *const plain_in_cgi[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
	static const char *const tls[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
	static const char *const exceptions[] = {"no_proxy", "NO_PROXY", NULL};
	const char *list = first_of(exceptions);
	if (proxy_is_excepted(list ? list : "", to))
		return NULL;
	/* In a CGI script, the client controls HTTP_PROXY. */
	return first_of(to->tls ? tls : getenv("REQUEST_METHOD") ? plain_in_cgi : plain);
}
