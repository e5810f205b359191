/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: files of podman and docker, and the output of a helper. An input is a line with a host, a line with the
 * name of a repository, and a document that is parsed as both. Text that becomes a header or part of a program's name
 * is safe there, and user and password are those of the document.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* OCI */
#include "common/oci/json.h"

/* The code under test */
#include "common/oci/credentials.h"

#define TEXT_MAX 128

static void take_line(struct span *rest, char out[static TEXT_MAX])
{
	struct span line = fuzz_line(rest);
	size_t len = 0;
	for (size_t i = 0; i < line.len && len < TEXT_MAX - 1; i++)
		if (line.data[i] > ' ' && line.data[i] <= '~')
			out[len++] = (char)line.data[i];
	out[len] = '\0';
}

static unsigned digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;
	FUZZ_CHECK(at);
	return (unsigned)(at - digits);
}

/* Whether base64 encodes "user:password". */
static bool is_pair(const char *base64, const char *user, const char *password)
{
	size_t len = strlen(base64), at = 0;
	size_t user_len = strlen(user), want_len = user_len + 1 + strlen(password);
	while (len > 0 && base64[len - 1] == '=')
		len--;
	if (len * 6 / 8 != want_len)
		return false;
	for (; at < want_len; at++) {
		unsigned bit = (unsigned)(at * 8 % 6);
		const char *p = base64 + at * 8 / 6;
		unsigned byte = (digit_of(p[0]) << 6 | digit_of(p[1])) >> (4 - bit) & 0xff;
		char want = at < user_len ? user[at] : at == user_len ? ':' : password[at - user_len - 1];
		if ((char)byte != want)
			return false;
	}
	return true;
}

static void check_credential(const struct credential *c, int r, const struct reason *why)
{
	if (r < 0) {
		FUZZ_CHECK(r == -ENOENT || why->text[0] != '\0');
		return;
	}
	FUZZ_CHECK(c->kind != CREDENTIAL_NONE && c->value.len > 0 && c->value.len == strlen(c->value.data));
	FUZZ_CHECK((c->kind == CREDENTIAL_HELPER) == (c->server.len > 0));
	for (const char *p = c->value.data; *p; p++) {
		FUZZ_CHECK(*p > ' ' && *p <= '~');
		FUZZ_CHECK(c->kind != CREDENTIAL_HELPER || *p != '/');
	}
	FUZZ_CHECK(c->kind != CREDENTIAL_HELPER || c->value.len <= HELPER_NAME_MAX);
	FUZZ_CHECK(c->kind != CREDENTIAL_IDENTITY || c->value.len <= CREDENTIALS_MAX);
	FUZZ_CHECK(c->kind != CREDENTIAL_BASIC || c->value.len % 4 == 0);
}

static void check_file(struct span text, const char *host, const char *name)
{
	struct credential c = {0}, again = {0};
	struct reason why = {""};
	int r = credentials_parse(text, host, name, &c, &why);
	check_credential(&c, r, &why);
	FUZZ_CHECK(credentials_parse(text, host, name, &again, &why) == r);
	FUZZ_CHECK(r < 0 || (again.kind == c.kind && strcmp(again.value.data, c.value.data) == 0));
	credential_wipe(&c);
	credential_wipe(&again);
}

static void check_helper(struct span text)
{
	AUTO_JSON root = NULL;
	struct credential c = {0};
	struct reason why = {""};
	int r = credentials_parse_helper(text, &c, &why);
	check_credential(&c, r, &why);
	FUZZ_CHECK(r < 0 || c.kind == CREDENTIAL_BASIC || c.kind == CREDENTIAL_IDENTITY);
	if (r == 0 && c.kind == CREDENTIAL_BASIC) {
		FUZZ_CHECK(json_parse(text, &root, NULL) == 0);
		FUZZ_CHECK(is_pair(c.value.data, json_member_text(root, "Username"), json_member_text(root, "Secret")));
	}
	credential_wipe(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_of(data, len);
	char host[TEXT_MAX], name[TEXT_MAX];
	take_line(&rest, host);
	take_line(&rest, name);
	if (host[0] != '\0')
		check_file(rest, host, name);
	check_helper(rest);
	return 0;
}
