/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/source.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <string.h>

/* Base */
#include "common/base/shown.h"

/* OCI */
#include "common/oci/inlined.h"
#include "common/oci/json.h"

_Static_assert(SOURCE_MAX == 8192, "a message of source_parse() says it");
_Static_assert(INLINED_TEXT_MAX < SOURCE_MAX - 100, "what is inlined fits");

static const char *const schemes[] = {
    [SOURCE_MANIFEST] = "manifest://",
    [SOURCE_BLOB] = "blob://",
};

static int refuse(struct span text, const char *what, struct reason *why)
{
	char shown[SHOWN_SIZE];

	shown_of(text, shown);
	reason_set(why, "'%s' is not a source: %s", shown, what);
	return -EINVAL;
}

static bool begins_with(struct span text, const char *prefix)
{
	size_t len = strlen(prefix);
	return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

static struct span behind(struct span text, const char *prefix)
{
	size_t len = strlen(prefix);
	return span_of(text.data + len, text.len - len);
}

/* A password with a slash in it looks like a port, and the rest of it would be taken for a path. */
static bool port_is_number(struct span authority)
{
	const uint8_t *end = authority.data + authority.len;
	const uint8_t *bracket = memrchr(authority.data, ']', authority.len);
	const uint8_t *from = bracket ? bracket : authority.data;
	const uint8_t *colon = memchr(from, ':', (size_t)(end - from));

	for (const uint8_t *at = colon ? colon + 1 : end; at < end; at++)
		if (*at < '0' || *at > '9')
			return false;
	return true;
}

static int url_check(struct span text, struct span rest, struct reason *why)
{
	size_t len = 0;
	while (len < rest.len && !strchr("/?#", rest.data[len]))
		len++;
	if (len == 0)
		return refuse(text, "the URL has no host", why);
	if (memchr(rest.data, '@', len)) {
		/* Not quoted: the password would be in the message. */
		reason_set(why, "credentials in a URL are refused: they would stay in the store and in logs");
		return -EINVAL;
	}
	if (memchr(rest.data, '\\', len))
		return refuse(text, "its host has a backslash", why);
	if (!port_is_number(span_of(rest.data, len)))
		return refuse(text, "the port is not a number", why);
	return 0;
}

/* Only the full form is accepted: two texts for the same content would be two transfers. */
static int registry_parse(struct span text, enum source_kind kind, struct source *ret_source, struct reason *why)
{
	AUTO_BUF again = BUF_INIT;
	struct source s = {.kind = kind};
	if (reference_parse(behind(text, schemes[kind]), &s.reference, why) < 0)
		return -EINVAL;
	if (kind == SOURCE_BLOB && !s.reference.has_digest)
		return refuse(text, "a blob needs a digest", why);
	int r = source_format(kind, &s.reference, NULL, &again);
	if (r < 0) {
		reason_set(why, "out of memory");
		return r;
	}
	if (!span_eq(text, buf_span(&again)))
		return refuse(text, "expected HOST/NAME@DIGEST, or for a manifest HOST/NAME:TAG", why);
	*ret_source = s;
	return 0;
}

/* Where credentials are tried, and nothing else: it has no name. */
static int root_parse(struct span text, struct source *ret_source, struct reason *why)
{
	struct span host = behind(text, SOURCE_REGISTRY_SCHEME);
	struct source s = {.kind = SOURCE_REGISTRY};
	if (host_parse(host, s.reference.host) < 0 || !span_eq(host, span_str(s.reference.host)))
		return refuse(text, "expected registry://HOST", why);
	*ret_source = s;
	return 0;
}

int source_parse(struct span text, struct source *ret_source, struct reason *why)
{
	if (text.len > SOURCE_MAX)
		return refuse(text, "it is longer than 8192 bytes", why);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return refuse(text, "only printable ASCII without spaces is allowed", why);
	if (begins_with(text, schemes[SOURCE_MANIFEST]))
		return registry_parse(text, SOURCE_MANIFEST, ret_source, why);
	if (begins_with(text, schemes[SOURCE_BLOB]))
		return registry_parse(text, SOURCE_BLOB, ret_source, why);
	if (begins_with(text, SOURCE_REGISTRY_SCHEME))
		return root_parse(text, ret_source, why);
	if (inlined_is_source(text)) {
		*ret_source = (struct source){.kind = SOURCE_DATA, .url = text};
		return 0;
	}
	const char *scheme = begins_with(text, "https://") ? "https://" : "http://";
	if (!begins_with(text, scheme))
		return refuse(text, "it must begin with http://, https://, manifest:// or blob://", why);
	int r = url_check(text, behind(text, scheme), why);
	if (r == 0)
		*ret_source = (struct source){.kind = SOURCE_URL, .url = text};
	return r;
}

struct span source_plain(const struct source *s)
{
	size_t len = 0;
	while (len < s->url.len && s->url.data[len] != '?' && s->url.data[len] != '#')
		len++;
	return span_of(s->url.data, len);
}

struct span source_place(const struct source *s)
{
	struct span plain = source_plain(s);
	return behind(plain, begins_with(plain, "https://") ? "https://" : "http://");
}

int source_of_typed(const char *url, struct buf *out)
{
	int r = 0;
	for (; *url != '\0' && r == 0; url++)
		r = (uint8_t)*url < 0x80 ? buf_append(out, url, 1) : buf_appendf(out, "%%%02X", (uint8_t)*url);
	return r;
}

uint64_t source_size_max(struct span text)
{
	return begins_with(text, schemes[SOURCE_MANIFEST]) ? JSON_DOCUMENT_MAX : INT64_MAX;
}

int source_format(enum source_kind kind, const struct reference *r, const struct digest *d, struct buf *out)
{
	assert(kind == SOURCE_MANIFEST || kind == SOURCE_BLOB);
	if (!d && r->has_digest)
		d = &r->digest;
	assert(d || kind == SOURCE_MANIFEST);
	char digest[DIGEST_TEXT_SIZE];
	if (d)
		digest_format(d, digest);
	return buf_appendf(out, "%s%s/%s%c%s", schemes[kind], r->host, r->name, d ? '@' : ':', d ? digest : r->tag);
}
