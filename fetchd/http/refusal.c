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
#define SECRET_MIN 16 /* bytes: what follows "Bearer" may also be a word of a sentence */

/* How many bytes are a secret, after those that `ret_shown` counts; 0: none. */
static size_t secret_len(const char *text, bool begins_word, size_t *ret_shown)
{
	static const char *const schemes[] = {"Bearer ", "Basic "};
	static const char ends[] = " \t\r\n\"'<>`";
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
static void mask(const char *text, char *ret_text, size_t room)
{
	size_t at = 0, shown;
	bool begins_word = true;
	while (*text != '\0' && at + sizeof("Bearer " MASK) <= room) {
		size_t secret = secret_len(text, begins_word, &shown);
		at += (size_t)snprintf(ret_text + at, room - at, "%.*s%s", (int)shown, text, secret > 0 ? MASK : "");
		text += shown + secret;
		begins_word = !isalnum((unsigned char)text[-1]);
	}
	ret_text[at] = '\0';
}

static void append(struct reason *why, const char *text)
{
	char plain[2 * REFUSAL_TEXT_MAX], line[REFUSAL_TEXT_MAX + 1];
	mask(text, plain, sizeof(plain));
	if (escape_line(plain, strlen(plain), line, sizeof(line)) > 0)
		reason_set(why, "%s: %s", why->text, line);
}

/* Answers of Go's and nginx's servers to a request without TLS. */
static bool wants_tls(struct span body)
{
	static const char *const words[] = {"HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (memmem(body.data, body.len, words[i], strlen(words[i])))
			return true;
	return false;
}

void refusal_explain(struct span body, struct reason *why)
{
	static const char *const codes[] = {"code", NULL};
	static const char *const messages[] = {"message", "detail", NULL};
	static const char *const others[] = {"error_description", "message", "details", "error", NULL};
	AUTO_JSON root = NULL;
	if (body.len == 0 || body.len > REFUSAL_BODY_MAX)
		return;
	if (json_parse(body, &root, NULL) == 0) {
		const struct json_t *first = json_at(json_member(root, "errors"), 0);
		append(why, first ? text_of(first, codes) : text_of(root, others));
		if (first)
			append(why, text_of(first, messages));
	} else if (wants_tls(body)) {
		reason_set(why, "%s: this port speaks TLS; set plain_http = no under [registry HOST] in sluice.conf",
			   why->text);
	}
}
