/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/reference.h"

/* System */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Base */
#include "common/base/shown.h"

#define DOCKER_OLD_HOST "index.docker.io"
#define DOCKER_LIBRARY  "library/"
#define DEFAULT_TAG     "latest"
#define PORT_MAX        65535

static int refuse(struct span text, const char *what, struct reason *why)
{
	char shown[SHOWN_SIZE];

	shown_of(text, shown);
	reason_set(why, "'%s' is not an image reference: %s", shown, what);
	return -EINVAL;
}

static bool is_lower(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(uint8_t c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* Remove and return the part before the first `c`, and the `c` itself; without a `c`, everything. */
static struct span split(struct span *rest, uint8_t c)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->data, c, rest->len) : NULL;
	struct span head = span_of(rest->data, at ? (size_t)(at - rest->data) : rest->len);
	size_t gone = head.len + (at ? 1 : 0);
	*rest = span_of(gone > 0 ? rest->data + gone : rest->data, rest->len - gone);
	return head;
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool component_is_valid(struct span c)
{
	for (size_t i = 0; i < c.len;) {
		size_t run = i;
		while (i < c.len && is_lower(c.data[i]))
			i++;
		if (i == run)
			return false;
		if (i == c.len)
			return true;
		run = i;
		uint8_t separator = c.data[i];
		while (i < c.len && c.data[i] == separator)
			i++;
		size_t most = separator == '.' ? 1 : separator == '_' ? 2 : separator == '-' ? c.len : 0;
		if (i - run > most)
			return false;
	}
	return false;
}

static bool name_is_path(struct span name)
{
	size_t left = name.len + 1;
	while (left > 0) {
		struct span component = split(&name, '/');
		if (!component_is_valid(component))
			return false;
		left -= component.len + 1;
	}
	return true;
}

static bool tag_is_valid(struct span tag)
{
	if (tag.len == 0 || tag.len > REFERENCE_TAG_MAX)
		return false;
	for (size_t i = 0; i < tag.len; i++) {
		uint8_t c = tag.data[i];
		if (!is_alnum(c) && c != '_' && (i == 0 || (c != '.' && c != '-')))
			return false;
	}
	return true;
}

static bool port_is_valid(struct span port)
{
	unsigned value = 0;
	for (size_t i = 0; i < port.len; i++) {
		if (port.data[i] < '0' || port.data[i] > '9' || value > PORT_MAX)
			return false;
		value = value * 10 + (unsigned)(port.data[i] - '0');
	}
	return value > 0 && value <= PORT_MAX;
}

/* Labels of letters, digits and inner dashes, separated by dots. */
static bool domain_is_valid(struct span domain)
{
	uint8_t before = '.';
	for (size_t i = 0; i < domain.len; i++) {
		uint8_t c = domain.data[i];
		bool inner = is_alnum(c) || (c == '-' && before != '.') || (c == '.' && is_alnum(before));
		if (!inner)
			return false;
		before = c;
	}
	return is_alnum(before);
}

static bool ipv6_is_valid(struct span text)
{
	char buffer[INET6_ADDRSTRLEN];
	struct in6_addr address;
	if (text.len >= sizeof buffer)
		return false;
	memcpy(buffer, text.data, text.len);
	buffer[text.len] = '\0';
	return strlen(buffer) == text.len && inet_pton(AF_INET6, buffer, &address) == 1;
}

static bool host_is_valid(struct span host)
{
	if (host.len == 0 || host.len > REFERENCE_HOST_MAX)
		return false;
	struct span rest = host;
	if (host.data[0] != '[') {
		struct span domain = split(&rest, ':');
		return domain_is_valid(domain) && (domain.len == host.len || port_is_valid(rest));
	}
	struct span address = split(&rest, ']');
	if (address.len == host.len || !ipv6_is_valid(span_of(address.data + 1, address.len - 1)))
		return false;
	return rest.len == 0 || (rest.data[0] == ':' && port_is_valid(span_of(rest.data + 1, rest.len - 1)));
}

/* Docker's rule for the part before the first slash: if it has a dot, a colon or an upper-case letter, it is a host. */
static bool looks_like_host(struct span part)
{
	for (size_t i = 0; i < part.len; i++)
		if (part.data[i] == '.' || part.data[i] == ':' || (part.data[i] >= 'A' && part.data[i] <= 'Z'))
			return true;
	return span_eq(part, span_str("localhost"));
}

static void keep(struct span text, char *ret_text)
{
	if (text.len > 0)
		memcpy(ret_text, text.data, text.len);
	ret_text[text.len] = '\0';
}

static int refuse_host(struct span text, struct span host, struct reason *why)
{
	struct reason what;
	char shown[SHOWN_SIZE];

	shown_of(host, shown);
	reason_set(&what, "'%s' is not a host name", shown);
	return refuse(text, what.text, why);
}

static bool has_blank(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == ' ' || (text.data[i] >= '\t' && text.data[i] <= '\r'))
			return true;
	return false;
}

static bool has_scheme(struct span text)
{
	return memmem(text.data, text.len, "://", 3) != NULL;
}

static void keep_host(struct span host, char *ret_host)
{
	keep(span_eq(host, span_str(DOCKER_OLD_HOST)) ? span_str(DOCKER_HUB) : host, ret_host);
}

int host_parse(struct span text, char ret_host[static REFERENCE_HOST_MAX + 1])
{
	if (!looks_like_host(text) || !host_is_valid(text))
		return -EINVAL;
	keep_host(text, ret_host);
	return 0;
}

static int host_take(struct span text, struct span *rest, struct reference *r, struct reason *why)
{
	struct span after = *rest;
	struct span first = split(&after, '/');
	if (first.len == rest->len || !looks_like_host(first)) {
		keep(span_str(DOCKER_HUB), r->host);
		return 0;
	}
	if (!host_is_valid(first))
		return refuse_host(text, first, why);
	keep_host(first, r->host);
	*rest = after;
	return 0;
}

static int name_take(struct span text, struct span name, struct reference *r, struct reason *why)
{
	bool short_name =
	    strcmp(r->host, DOCKER_HUB) == 0 && (name.len == 0 || memchr(name.data, '/', name.len) == NULL);
	size_t prefix = short_name ? sizeof DOCKER_LIBRARY - 1 : 0;
	if (!name_is_path(name))
		return refuse(text,
			      "a name is lower-case letters and digits, with single '.', '_', '-' or '/' between them",
			      why);
	if (name.len > REFERENCE_NAME_MAX - prefix)
		return refuse(text, "the name is longer than 255 bytes", why);
	memcpy(r->name, DOCKER_LIBRARY, prefix);
	keep(name, r->name + prefix);
	return 0;
}

int reference_parse(struct span text, struct reference *ret_reference, struct reason *why)
{
	struct reference r = {.has_digest = false};
	if (text.len == 0 || text.len >= REFERENCE_TEXT_SIZE)
		return refuse(text, text.len == 0 ? "it is empty" : "it is too long", why);
	if (has_blank(text))
		return refuse(text, "leave out the white space", why);
	if (has_scheme(text))
		return refuse(text, "leave out the scheme, up to '://'", why);
	struct span digest = text;
	struct span rest = split(&digest, '@');
	if (rest.len < text.len) {
		if (digest_parse(digest, &r.digest, why) < 0)
			return -EINVAL;
		r.has_digest = true;
	}
	int ok = host_take(text, &rest, &r, why);
	if (ok < 0)
		return ok;
	struct span tag = rest;
	struct span name = split(&tag, ':');
	if (name.len < rest.len && !tag_is_valid(tag))
		return refuse(text, "a tag is 1 to 128 letters, digits, '_', '.' or '-'", why);
	ok = name_take(text, name, &r, why);
	if (ok < 0)
		return ok;
	if (name.len < rest.len)
		keep(tag, r.tag);
	else if (!r.has_digest)
		keep(span_str(DEFAULT_TAG), r.tag);
	*ret_reference = r;
	return 0;
}

void reference_format(const struct reference *r, char ret_text[static REFERENCE_TEXT_SIZE])
{
	char digest[DIGEST_TEXT_SIZE] = "";
	if (r->has_digest)
		digest_format(&r->digest, digest);
	(void)snprintf(ret_text, REFERENCE_TEXT_SIZE, "%s/%s%s%s%s%s", r->host, r->name, r->tag[0] != '\0' ? ":" : "",
		       r->tag, r->has_digest ? "@" : "", digest);
}

bool host_is_docker_hub(struct span host)
{
	return span_eq(host, span_str(DOCKER_HUB)) || span_eq(host, span_str(DOCKER_OLD_HOST)) ||
	       span_eq(host, span_str("registry-1.docker.io"));
}

bool host_is_loopback(const char *host)
{
	char name[REFERENCE_HOST_MAX + 1];
	struct in_addr v4;
	struct in6_addr v6;
	bool bracket = host[0] == '[';
	size_t len = bracket ? strcspn(++host, "]") : strcspn(host, ":");
	if (len >= sizeof name)
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (bracket)
		return inet_pton(AF_INET6, name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
	if (inet_pton(AF_INET, name, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return strcasecmp(name, "localhost") == 0;
}
