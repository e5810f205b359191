/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/refusal.h"

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

static void append(struct reason *why, const char *text)
{
	char line[REFUSAL_TEXT_MAX + 1];
	if (escape_line(text, strlen(text), line, sizeof(line)) > 0)
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
