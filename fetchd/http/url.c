/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/url.h"

/* System */
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>

/* Base */
#include "common/base/opt.h"

/* Copy one part of a parsed URL. False: it is missing, or does not fit. */
static bool get_part(CURLU *u, CURLUPart part, unsigned flags, char *out, size_t room)
{
	char *text = NULL;
	if (curl_url_get(u, part, &text, flags) != CURLUE_OK)
		return false;
	size_t len = strlen(text);
	bool fits = len > 0 && len < room;
	if (fits)
		memcpy(out, text, len + 1);
	curl_free(text);
	return fits;
}

static int parse_origin(CURLU *u, struct origin *ret_origin, struct reason *why)
{
	struct origin o = {0};
	char scheme[16], port[8];
	if (!get_part(u, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
		reason_set(why, "only http and https can be fetched");
		return -EINVAL;
	}
	if (!get_part(u, CURLUPART_HOST, 0, o.host, sizeof(o.host)) ||
	    !get_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port))) {
		reason_set(why, "the URL names no host");
		return -EINVAL;
	}
	for (char *p = o.host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	o.tls = strcmp(scheme, "https") == 0;
	uint64_t number = 0;
	if (opt_parse_number(OPT_COUNT, port, &number) < 0 || number > UINT16_MAX) {
		reason_set(why, "'%s' is not a port", port);
		return -EINVAL;
	}
	o.port = (uint16_t)number;
	*ret_origin = o;
	return 0;
}

static int parse_url(CURLU *u, const char *url, struct reason *why)
{
	CURLUcode code = strlen(url) > URL_MAX
			     ? CURLUE_MALFORMED_INPUT
			     : curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME);
	if (code == CURLUE_OK)
		return 0;
	if (code == CURLUE_OUT_OF_MEMORY)
		return -ENOMEM;
	reason_set(why, "%s",
		   code == CURLUE_USER_NOT_ALLOWED ? "credentials in a URL are not accepted" : "not a valid URL");
	return -EINVAL;
}

int origin_of(const char *url, struct origin *ret_origin, struct reason *why)
{
	CURLU *u = curl_url();
	if (!u)
		return -ENOMEM;
	int r = parse_url(u, url, why);
	if (r == 0)
		r = parse_origin(u, ret_origin, why);
	curl_url_cleanup(u);
	return r;
}

bool origin_eq(const struct origin *a, const struct origin *b)
{
	return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0;
}

void origin_format(const struct origin *o, char ret_text[static ORIGIN_TEXT_SIZE])
{
	if (o->port == (o->tls ? 443 : 80))
		(void)snprintf(ret_text, ORIGIN_TEXT_SIZE, "%s", o->host);
	else
		(void)snprintf(ret_text, ORIGIN_TEXT_SIZE, "%s:%u", o->host, o->port);
}

static int redirect(CURLU *u, const char *base, const char *location, struct buf *ret_url, struct reason *why)
{
	struct origin to;
	int r = parse_url(u, base, why);
	if (r == 0)
		r = parse_url(u, location, why); /* relative to what it holds */
	if (r == 0)
		r = parse_origin(u, &to, why);
	if (r < 0)
		return r;
	(void)curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	char *text = NULL;
	if (curl_url_get(u, CURLUPART_URL, &text, 0) != CURLUE_OK)
		return -ENOMEM;
	buf_clear(ret_url);
	r = buf_append_str(ret_url, text);
	curl_free(text);
	return r;
}

int url_redirect(const char *base, const char *location, struct buf *ret_url, struct reason *why)
{
	CURLU *u = curl_url();
	if (!u)
		return -ENOMEM;
	int r = redirect(u, base, location, ret_url, why);
	curl_url_cleanup(u);
	return r;
}

bool url_names_compressed(const char *url)
{
	static const char *const ends[] = {".gz", ".tgz", ".svgz", ".bz2", ".tbz", ".xz", ".txz", ".zst", ".br", ".Z"};
	size_t len = strcspn(url, "?#");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (len > strlen(ends[i]) && memcmp(url + len - strlen(ends[i]), ends[i], strlen(ends[i])) == 0)
			return true;
	return false;
}

int url_append_escaped(struct span value, struct buf *out)
{
	int r = 0;
	for (size_t i = 0; i < value.len && r == 0; i++) {
		uint8_t c = value.data[i];
		bool plain = c < 0x80 && (isalnum(c) || (c != '\0' && strchr("-._~", c)));
		r = plain ? buf_append(out, &c, 1) : buf_appendf(out, "%%%02X", c);
	}
	return r;
}
