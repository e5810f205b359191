/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/refusal.h"

/* System */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Base */
#include "common/base/escape.h"

/* OCI */
#include "common/oci/json.h"

/* The first of these members that is a non-empty string. */
static const char *text_of(const struct json_t *object, const char *const *keys)
{
	for (; *keys; keys++) {
		const char *text = json_member_text(object, *keys);
		if (text && text[0] != '\0')
			return text;
	}
	return "";
}

#define MASK       "***"
#define SECRET_MIN 16 /* bytes: what follows "Bearer" may also be a word of a sentence; a server may quote a part */
#define SENT_MIN   8  /* bytes of what was sent: shorter values are words and numbers */

/* ── what was sent ── */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character at `*at`, which may be written as %XX. Moves to the next one. */
static char decoded(struct span value, size_t *at)
{
	const char *text = (const char *)value.data + *at;
	int high = -1, low = -1;
	if (text[0] == '%' && *at + 2 < value.len) {
		high = hex_digit(text[1]);
		low = hex_digit(text[2]);
	}
	bool is_code = high >= 0 && low >= 0 && (high | low) != 0;
	*at += is_code ? 3 : 1;
	if (is_code)
		return (char)(high << 4 | low);
	return text[0];
}

/* Make room, and leave no copy in the heap. */
static int reserve(struct buf *sent, size_t extra)
{
	struct buf larger = BUF_INIT;
	if (sent->len + extra < sent->room)
		return 0;
	int r = buf_reserve(&larger, 2 * (sent->len + extra));
	if (r == 0)
		r = buf_append(&larger, sent->data, sent->len);
	if (r == 0) {
		buf_wipe(sent);
		*sent = larger;
	}
	return r;
}

/* As it is, then decoded, each followed by a NUL. */
static int add(struct buf *sent, struct span value)
{
	if (value.len < SENT_MIN)
		return 0;
	int r = reserve(sent, 2 * (value.len + 1));
	if (r < 0)
		return r;
	r = buf_appendf(sent, "%.*s%c", SPAN_ARG(value), '\0');
	for (size_t at = 0; at < value.len && r == 0;) {
		char c = decoded(value, &at);
		r = buf_append(sent, &c, 1);
	}
	return r < 0 ? r : buf_append(sent, "", 1);
}

int refusal_add_authorization(struct buf *sent, const char *authorization)
{
	const char *value = strchr(authorization, ' ');
	return add(sent, span_str(value ? value + 1 : authorization));
}

int refusal_add_values(struct buf *sent, const char *query, const char *name)
{
	int r = 0;
	while (*query != '\0' && r == 0) {
		size_t len = strcspn(query, "&"), name_len = strcspn(query, "&=");
		const char *value = query[name_len] == '=' ? query + name_len + 1 : query;
		if (!name || span_eq(span_of(query, name_len), span_str(name)))
			r = add(sent, span_of(value, (size_t)(query + len - value)));
		query += len + (query[len] == '&');
	}
	return r;
}

/* ── masking ── */

/* How many bytes at the beginning of the text were sent: all of a value, or the first part of it. */
static size_t sent_len(const struct buf *sent, const char *text)
{
	size_t found = 0;
	for (size_t at = 0; at < sent->len;) {
		const char *value = sent->data + at;
		size_t len = 0;
		while (value[len] != '\0' && tolower(text[len]) == tolower(value[len]))
			len++;
		if ((value[len] == '\0' || len >= SECRET_MIN) && len > found)
			found = len;
		at += strlen(value) + 1;
	}
	return found;
}

/* How many bytes are a secret, after those that `ret_shown` counts; 0: none. */
static size_t secret_len(const struct buf *sent, const char *text, bool begins_word, size_t *ret_shown)
{
	static const char *const schemes[] = {"Bearer ", "Basic "};
	static const char ends[] = " \t\r\n\"'<>`";
	*ret_shown = 0;
	size_t len = sent_len(sent, text);
	if (len > 0)
		return len;
	*ret_shown = 1;
	if (text[0] == '?')
		return strcspn(text + 1, ends);
	for (size_t i = 0; begins_word && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t scheme = strlen(schemes[i]);
		if (strncasecmp(text, schemes[i], scheme) == 0 && strcspn(text + scheme, ends) >= SECRET_MIN) {
			*ret_shown = scheme;
			return strcspn(text + scheme, ends);
		}
	}
	return 0;
}

/* A server may quote the request: the query of a signed URL, a token. What others read does not have them. */
static void mask(const struct buf *sent, const char *text, char *ret_text, size_t room)
{
	size_t at = 0, shown;
	bool begins_word = true;
	while (*text != '\0' && at + sizeof("Bearer " MASK) <= room) {
		size_t secret = secret_len(sent, text, begins_word, &shown);
		at += (size_t)snprintf(ret_text + at, room - at, "%.*s%s", (int)shown, text, secret > 0 ? MASK : "");
		text += shown + secret;
		begins_word = !isalnum((unsigned char)text[-1]);
	}
	ret_text[at] = '\0';
}

static void append(struct reason *why, const struct buf *sent, const char *text)
{
	char plain[2 * REFUSAL_TEXT_MAX], line[REFUSAL_TEXT_MAX + 1];
	mask(sent, text, plain, sizeof(plain));
	if (escape_line(plain, strlen(plain), line, sizeof(line)) > 0)
		reason_set(why, "%s: %s", why->text, line);
}

/* What the pages of Go's and nginx's servers say, and what to do then. */
static const char *advice_for(struct span body)
{
	static const char tls[] = "this port speaks TLS; set plain_http = no under [registry HOST] in sluice.conf";
	static const char client[] =
	    "the server requires a client certificate: set client_cert under [registry HOST] in sluice.conf";
	static const struct {
		const char *words, *advice;
	} pages[] = {
	    {"HTTP request to an HTTPS server", tls},
	    {"HTTP request was sent to HTTPS port", tls},
	    {"No required SSL certificate was sent", client},
	    {"The SSL certificate error", "the server does not accept the client certificate"},
	};
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (memmem(body.data, body.len, pages[i].words, strlen(pages[i].words)))
			return pages[i].advice;
	return NULL;
}

void refusal_explain(struct span body, const struct buf *sent, struct reason *why)
{
	static const char *const codes[] = {"code", NULL};
	static const char *const messages[] = {"message", "detail", NULL};
	static const char *const others[] = {"error_description", "message", "details", "error", NULL};
	AUTO_JSON root = NULL;
	if (body.len == 0 || body.len > REFUSAL_BODY_MAX)
		return;
	if (json_parse(body, &root, NULL) == 0) {
		const struct json_t *first = json_at(json_member(root, "errors"), 0);
		append(why, sent, first ? text_of(first, codes) : text_of(root, others));
		if (first)
			append(why, sent, text_of(first, messages));
	} else if (advice_for(body)) {
		reason_set(why, "%s: %s", why->text, advice_for(body));
	}
}
