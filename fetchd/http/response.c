/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/response.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <time.h>

/* OCI */
#include "common/oci/digest.h"

/* Own */
#include "fetchd/http/syntax.h"

/* A Last-Modified is a strong validator if it is at least this much older than Date (RFC 9110, 8.8.2.2). */
#define STRONG_DATE_AGE_S 60
#define DATE_TEXT_MAX     40

static void broken(struct response *r, const char *why)
{
	if (r->broken)
		return;
	r->broken = true;
	reason_set(&r->why, "%s", why);
}

/* Take the part before the first `separator` off `rest`; all of it if there is none. */
static struct span cut(struct span *rest, char separator)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
	struct span head = *rest;
	if (!at) {
		*rest = span_of(NULL, 0);
		return head;
	}
	head.len = (size_t)(at - rest->data);
	*rest = span_of(at + 1, rest->len - head.len - 1);
	return head;
}

/* Digits and nothing else, at most INT64_MAX. */
static bool parse_number(struct span s, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(s.data[i] - '0');
		if (value > (INT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (s.len == 0)
		return false;
	*ret_value = value;
	return true;
}

/* The three forms of RFC 9110, 5.6.7. */
static bool parse_date(struct span s, uint64_t *ret_s)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
					    "%a %b %e %H:%M:%S %Y"};
	char text[DATE_TEXT_MAX + 1];
	if (s.len == 0 || s.len > DATE_TEXT_MAX)
		return false;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);
		time_t t = end && *end == '\0' ? timegm(&tm) : -1;
		if (t >= 0) {
			*ret_s = (uint64_t)t;
			return true;
		}
	}
	return false;
}

/* Copy printable ASCII that fits; leave `out` empty otherwise. */
static bool keep(struct span value, char *out, size_t room)
{
	out[0] = '\0';
	if (value.len >= room)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] < ' ' || value.data[i] > '~')
			return false;
	if (value.len > 0)
		memcpy(out, value.data, value.len);
	out[value.len] = '\0';
	return true;
}

/* Also accepts a list of equal numbers, into which proxies merge two fields (RFC 9110, 8.6). */
static void take_length(struct response *r, struct span value)
{
	uint64_t length;
	bool more = true;
	while (more) {
		more = value.len > 0 && memchr(value.data, ',', value.len);
		if (!parse_number(syntax_trim(cut(&value, ',')), &length)) {
			broken(r, "the Content-Length is not a number");
			return;
		}
		if (r->has_length && r->length != length)
			broken(r, "two different Content-Lengths");
		r->has_length = true;
		r->length = length;
	}
}

static void take_transfer_encoding(struct response *r, struct span value)
{
	if (syntax_is_word(value, "chunked") && !r->chunked)
		r->chunked = true;
	else
		r->coded = r->transfer_coded = true;
}

static void take_content_encoding(struct response *r, struct span value)
{
	static const char *const stored[] = {"x-gzip", "x-compress", "x-bzip2"};
	if (value.len == 0 || syntax_is_word(value, "identity"))
		return;
	r->coded = true;
	for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++)
		r->stored_coded = r->stored_coded || syntax_is_word(value, stored[i]);
}

static void take_range(struct response *r, struct span value)
{
	struct span rest = value;
	bool right = syntax_is_word(cut(&rest, ' '), "bytes") && !r->has_range && !r->unsatisfied;
	struct span range = cut(&rest, '/');
	if (!syntax_is_word(rest, "*"))
		right = right && parse_number(rest, &r->total);
	if (right && syntax_is_word(range, "*")) {
		r->unsatisfied = true;
		right = r->total != SIZE_UNKNOWN;
	} else if (right) {
		r->has_range = true;
		struct span first = cut(&range, '-');
		right = parse_number(first, &r->first) && parse_number(range, &r->last) && r->first <= r->last &&
			r->last < r->total;
	}
	if (!right)
		broken(r, "invalid Content-Range");
}

static void take_etag(struct response *r, struct span value)
{
	bool strong = value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"' &&
		      !memchr(value.data + 1, '"', value.len - 2) && !memchr(value.data, ' ', value.len);
	if (!strong || !keep(value, r->etag, sizeof(r->etag)))
		r->etag[0] = '\0';
}

static void take_last_modified(struct response *r, struct span value)
{
	/* Files with stripped timestamps have the epoch, the same for every version. */
	if (!parse_date(value, &r->last_modified_s) || r->last_modified_s == 0 ||
	    !keep(value, r->last_modified, sizeof(r->last_modified)))
		r->last_modified[0] = '\0';
}

static void take_date(struct response *r, struct span value)
{
	r->has_date = parse_date(value, &r->date_s);
}

static void take_digest(struct response *r, struct span value)
{
	struct digest d;
	if (digest_parse(value, &d, NULL) == 0)
		digest_format(&d, r->digest);
}

static void take_type(struct response *r, struct span value)
{
	struct span type = syntax_trim(cut(&value, ';'));
	r->multipart = syntax_is_word(type, "multipart/byteranges");
	bool right = type.len > 0 && memchr(type.data, '/', type.len) && !memchr(type.data, ' ', type.len);
	if (!right || !keep(type, r->media_type, sizeof(r->media_type)))
		r->media_type[0] = '\0';
}

/* Non-ASCII bytes are escaped (RFC 3986, 2.5), as in browsers and curl. */
static bool keep_location(struct span value, char *out, size_t room)
{
	size_t at = 0;
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];
		size_t len = c > '~' ? 3 : 1;
		if (c < ' ' || c == 0x7f || len >= room - at) {
			out[0] = '\0';
			return false;
		}
		(void)snprintf(out + at, room - at, c > '~' ? "%%%02X" : "%c", c);
		at += len;
	}
	return true;
}

static void take_location(struct response *r, struct span value)
{
	if (r->location[0] != '\0' || !keep_location(value, r->location, sizeof(r->location)))
		broken(r, "invalid Location");
}

static bool is_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return s.len > 0;
}

static void take_retry_after(struct response *r, struct span value)
{
	uint64_t seconds;
	if (is_digits(value))
		seconds = parse_number(value, &seconds) ? seconds : UINT64_MAX;
	else if (parse_date(value, &seconds) && seconds > r->now_s)
		seconds -= r->now_s;
	else
		return;
	r->retry_after_ms = seconds < RETRY_AFTER_CLAMP_MS / 1000 ? seconds * 1000 : RETRY_AFTER_CLAMP_MS;
}

/* A malformed challenge counts as an unsupported scheme, which is reported when it is used. */
static void take_authenticate(struct response *r, struct span value)
{
	(void)challenge_add(&r->challenge, value);
}

static const struct field {
	const char *name;
	void (*take)(struct response *r, struct span value);
} fields[] = {
    {"Content-Length", take_length},
    {"Transfer-Encoding", take_transfer_encoding},
    {"Content-Encoding", take_content_encoding},
    {"Content-Range", take_range},
    {"ETag", take_etag},
    {"Last-Modified", take_last_modified},
    {"Date", take_date},
    {"Docker-Content-Digest", take_digest},
    {"Content-Type", take_type},
    {"Location", take_location},
    {"Retry-After", take_retry_after},
    {"WWW-Authenticate", take_authenticate},
};

static void take_field(struct response *r, struct span line)
{
	struct span value = line;
	struct span name = cut(&value, ':');
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (syntax_is_word(name, fields[i].name))
			fields[i].take(r, syntax_trim(value));
}

void response_init(struct response *r, uint64_t now_wall_s)
{
	memset(r, 0, sizeof(*r));
	r->now_s = now_wall_s;
	r->total = SIZE_UNKNOWN;
}

static void begin(struct response *r, struct span line)
{
	struct response fresh;
	response_init(&fresh, r->now_s);
	fresh.bytes = r->bytes;
	fresh.lines = r->lines;
	*r = fresh;
	cut(&line, ' ');
	uint64_t status = 0;
	struct span digits = cut(&line, ' ');
	if (digits.len != 3 || !parse_number(digits, &status) || status < 100)
		broken(r, "the status line is malformed");
	r->status = (unsigned)status;
}

enum response_progress response_line(struct response *r, struct span line)
{
	r->bytes += line.len;
	r->lines++;
	if (r->bytes > RESPONSE_HEAD_MAX || r->lines > RESPONSE_LINES_MAX) {
		broken(r, r->whole ? "the trailers are too long" : "the header is too long");
		return RESPONSE_REFUSED;
	}
	if (r->whole)
		return RESPONSE_MORE;
	while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
		line.len--;
	if (line.len > 5 && memcmp(line.data, "HTTP/", 5) == 0) {
		begin(r, line);
	} else if (line.len > 0) {
		take_field(r, line);
	} else if (r->status >= 200 || r->broken) {
		r->whole = true;
		return RESPONSE_WHOLE;
	}
	return RESPONSE_MORE;
}

const char *response_validator(const struct response *r)
{
	if (r->etag[0] != '\0')
		return r->etag;
	bool strong = r->last_modified[0] != '\0' && r->has_date && r->date_s >= r->last_modified_s + STRONG_DATE_AGE_S;
	return strong ? r->last_modified : "";
}
