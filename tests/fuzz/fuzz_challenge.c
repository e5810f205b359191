/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Challenges of registries and answers of realms: fields of WWW-Authenticate, a line each, and after an empty line a
 * realm's answer, which may be a refusal.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* The code under test */
#include "fetchd/auth/token.h"
#include "fetchd/config/settings.h"
#include "fetchd/http/refusal.h"

static void check_text(const char *text, size_t max)
{
	FUZZ_CHECK(strlen(text) <= max);
	for (; *text; text++)
		FUZZ_CHECK(*text >= ' ' && *text <= '~');
}

/* Whatever the challenge has, the request line is one line, and its query has only our parameters. */
static void check_request(const struct challenge *c)
{
	static const struct credential none;
	struct origin registry, realm;
	struct reason why = {{0}};
	struct buf url = BUF_INIT, form = BUF_INIT;
	enum guard_zone nearest;
	static const struct settings settings;
	FUZZ_CHECK(origin_of("https://registry.example", &registry, &why) == 0);
	if (token_check_realm(c->realm, &registry, ZONE_PUBLIC, &settings, &realm, &nearest, &why) == 0) {
		FUZZ_CHECK(realm.tls && (nearest == ZONE_PRIVATE || origin_eq(&realm, &registry)));
		FUZZ_CHECK(token_request(c, "a/b", &none, &url, &form) == 0);
		for (const char *p = url.data; *p; p++)
			FUZZ_CHECK(*p > ' ' && *p <= '~' && *p != '#');
		FUZZ_CHECK(strncmp(url.data, c->realm, strlen(c->realm)) == 0);
	} else {
		FUZZ_CHECK(why.text[0] != '\0');
	}
	buf_release(&url);
	buf_release(&form);
}

/* What is told of it is one harmless line, even if it quotes what was sent, here its end. */
static void check_refusal(struct span answer)
{
	struct reason why = {"403"};
	struct buf sent = BUF_INIT;
	char quoted[64];
	size_t len = answer.len < sizeof(quoted) ? answer.len : sizeof(quoted) - 1;
	(void)snprintf(quoted, sizeof(quoted), "%.*s", (int)len, (const char *)answer.data + answer.len - len);
	FUZZ_CHECK(refusal_add_values(&sent, quoted, NULL) == 0);
	refusal_explain(answer, &sent, &why);
	buf_wipe(&sent);
	FUZZ_CHECK(strncmp(why.text, "403", 3) == 0 && strlen(why.text) <= 2 * REFUSAL_TEXT_MAX + 7);
	for (const char *p = why.text; *p; p++)
		FUZZ_CHECK((uint8_t)*p >= ' ' && *p != 0x7f);
}

static void check_answer(struct span answer)
{
	struct buf token = BUF_INIT;
	struct reason why = {{0}};
	check_refusal(answer);
	uint64_t life_ms = 0;
	if (token_parse(answer, &token, &life_ms, &why) == 0) {
		FUZZ_CHECK(token.len > 0 && token.len <= TOKEN_MAX && !strchr(token.data, ' '));
		check_text(token.data, TOKEN_MAX);
		FUZZ_CHECK(life_ms > 0 && life_ms <= UINT64_C(1000) * TOKEN_LIFE_MAX_S);
	} else {
		FUZZ_CHECK(token.len == 0 && why.text[0] != '\0');
	}
	buf_release(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_of(data, len);
	struct challenge c = {0};
	for (;;) {
		struct span line = fuzz_line(&rest);
		if (line.len <= 1)
			break;
		struct challenge before = c;
		line.len -= line.data[line.len - 1] == '\n' ? 1 : 0;
		if (!challenge_add(&c, line)) {
			before.schemes |= AUTH_OTHER;
			FUZZ_CHECK(challenge_eq(&before, &c));
		}
	}
	check_text(c.realm, CHALLENGE_REALM_MAX);
	check_text(c.service, CHALLENGE_SERVICE_MAX);
	check_text(c.scope, CHALLENGE_SCOPE_MAX);
	FUZZ_CHECK((c.schemes & AUTH_BEARER) || c.realm[0] == '\0');
	check_request(&c);
	check_answer(rest);
	return 0;
}
