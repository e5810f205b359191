/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/policy_options.h"

/* System */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/base64.h"
#include "common/base/exit.h"
#include "common/base/file.h"
#include "common/base/password.h"
#include "common/base/process.h"
#include "common/base/random.h"

/* OCI */
#include "common/oci/credential_helper.h"

/* What a policy refers to while it is made. Wiped. */
struct parts {
	struct source_policy said;
	struct buf authorities, client_cert, client_key;
	struct credential credential;
	struct reason trouble; /* with the first credentials that cannot be used, or empty */
};

static void parts_release(struct parts *p)
{
	buf_wipe(&p->authorities);
	buf_wipe(&p->client_cert);
	buf_wipe(&p->client_key);
	credential_wipe(&p->credential);
}

/* ── certificates ── */

static int cannot_use(const char *dir, const char *name, const char *what, int code, struct reason *why)
{
	reason_set(why, "cannot use '%s%s%s': %s", dir, name[0] != '\0' ? "/" : "", name, what);
	return code;
}

static int add_pem(const char *dir, const char *name, size_t max, struct buf *out, struct reason *why)
{
	char path[PATH_MAX];
	size_t before = out->len;
	int r = snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) ? 0 : -ENAMETOOLONG;

	if (r == 0)
		r = buf_reserve(out, max + 2);
	if (r == 0)
		r = file_load(path, max, out);
	if (r == 0)
		r = buf_append_str(out, "\n");
	if (r == 0 && out->len > max)
		r = -EFBIG;
	if (r == -EFBIG)
		return cannot_use(dir, name, "it is too long for a policy", EX_CONFIG, why);
	if (r < 0)
		return cannot_use(dir, name, strerror(-r), exit_code_of(r), why);
	if (strlen(out->data) != out->len || !strstr(out->data + before, "-----BEGIN"))
		return cannot_use(dir, name, "it is not PEM", EX_CONFIG, why);
	return 0;
}

/* `name` is NAME.cert or NAME.key: both must be there. The first pair counts. */
static int add_client(struct parts *p, const char *dir, const char *name, struct reason *why)
{
	char other[NAME_MAX + 8];
	int stem = (int)(strrchr(name, '.') - name);

	if (p->client_cert.len > 0)
		return 0;
	(void)snprintf(other, sizeof(other), "%.*s.cert", stem, name);
	int code = add_pem(dir, other, POLICY_CLIENT_MAX, &p->client_cert, why);
	(void)snprintf(other, sizeof(other), "%.*s.key", stem, name);
	return code != 0 ? code : add_pem(dir, other, POLICY_CLIENT_MAX, &p->client_key, why);
}

static int add_file(struct parts *p, const char *dir, const char *name, struct reason *why)
{
	if (name_ends_with(name, ".crt"))
		return add_pem(dir, name, POLICY_PEM_MAX, &p->authorities, why);
	if (name_ends_with(name, ".cert") || name_ends_with(name, ".key"))
		return add_client(p, dir, name, why);
	return 0;
}

static int read_certificates(struct parts *p, const char *dir, struct reason *why)
{
	struct dirent **found = NULL;
	int count = dir_list(dir, &found), code = 0;

	if (count < 0)
		return cannot_use(dir, "", strerror(-count), exit_code_of(count), why);
	for (int i = 0; i < count; i++) {
		if (code == 0)
			code = add_file(p, dir, found[i]->d_name, why);
		free(found[i]);
	}
	free(found);
	p->said.has_certs = true;
	p->said.authorities = buf_span(&p->authorities);
	p->said.client_cert = buf_span(&p->client_cert);
	p->said.client_key = buf_span(&p->client_key);
	return code;
}

/* ── credentials ── */

/* Other users can read a command line. The user's name may stay. */
static void hide_words(const char *password, int words_len, char **words)
{
	for (int i = 0; i < words_len; i++) {
		size_t len = strlen(words[i]);
		if (password >= words[i] && password < words[i] + len)
			memset(words[i] + (password - words[i]), 'x', len - (size_t)(password - words[i]));
	}
}

static int ask_for_password(const char *user, const char *host, struct buf *pair, struct reason *why)
{
	struct reason prompt;

	reason_set(&prompt, "Password of '%s' at '%s': ", user, host);
	int r = password_read(prompt.text, pair);
	if (r == 0)
		return 0;
	reason_set(why, "no password for '%s': %s", user,
		   r == -ENODATA ? "standard input has none"
		   : r == -EINTR ? "interrupted"
				 : strerror(-r));
	return r == -EINTR ? EX_TEMPFAIL : EX_USAGE;
}

static int read_creds(struct parts *p, const char *creds, const char *host, int words_len, char **words,
		      struct reason *why)
{
	struct buf pair = BUF_INIT;
	const char *colon = strchr(creds, ':');
	int code =
	    buf_reserve(&pair, strlen(creds) + PASSWORD_MAX + 1) < 0 || buf_append_str(&pair, creds) < 0 ? EX_OSERR : 0;

	reason_set(why, "out of memory");
	if (colon)
		hide_words(colon + 1, words_len, words);
	if (creds[0] == ':' || (colon && colon[1] == '\0')) {
		reason_set(why, "bad value '%s' for '--creds': USER or USER:PASSWORD is wanted", creds);
		code = EX_USAGE;
	}
	if (code == 0 && !colon) {
		(void)buf_append_str(&pair, ":");
		code = ask_for_password(creds, host, &pair, why);
	}
	if (code == 0 && base64_encode(buf_span(&pair), &p->credential.value) < 0)
		code = EX_OSERR;
	p->credential.kind = CREDENTIAL_BASIC;
	buf_wipe(&pair);
	return code;
}

/* The first of the usual places that has one. Public content needs none: what cannot be used is passed over and told. */
static void find_usual(struct parts *p, const char *host, const char *name)
{
	struct credential_search s = {.host = host, .name = name};
	struct reason why;
	int r;

	while ((r = credentials_find(&s, &p->credential, &why)) != -ENOENT) {
		if (r == 0 && p->credential.kind == CREDENTIAL_HELPER)
			r = credential_ask_helper(&p->credential, HELPER_TIMEOUT_MS, &why);
		if (r == 0)
			return;
		credential_wipe(&p->credential);
		if (r != -ENOENT && p->trouble.text[0] == '\0')
			p->trouble = why;
	}
}

static int load_credential(struct parts *p, const char *path, const char *host, const char *name, struct reason *why)
{
	int r = credentials_load(path, host, name, &p->credential, why);

	if (r == 0 && p->credential.kind == CREDENTIAL_HELPER) {
		r = credential_ask_helper(&p->credential, HELPER_TIMEOUT_MS, why);
		return r < 0 && r != -ENOENT ? EX_CONFIG : 0;
	}
	if (r == -ENOENT && access(path, F_OK) < 0) {
		reason_set(why, "cannot read credentials from '%s': %s", path, strerror(ENOENT));
		return EX_NOINPUT;
	}
	if (r == -ENOENT)
		return 0;
	return r == -EINVAL ? EX_CONFIG : exit_code_of(r);
}

static void say_credential(struct parts *p)
{
	static const enum policy_login logins[] = {
	    [CREDENTIAL_NONE] = POLICY_LOGIN_ANONYMOUS,
	    [CREDENTIAL_BASIC] = POLICY_LOGIN_BASIC,
	    [CREDENTIAL_IDENTITY] = POLICY_LOGIN_IDENTITY,
	};

	p->said.login = logins[p->credential.kind];
	p->said.secret = buf_span(&p->credential.value);
	if (p->said.secret.len > 0)
		(void)process_hide();
}

/* ── all of it ── */

static bool is_nothing(const struct policy_options *o)
{
	return !o->creds && !o->auth_file && !o->cert_dir && o->tls_verify == SAID_NOTHING && !o->plain_http &&
	       o->retries == POLICY_UNSAID && o->rate == 0;
}

/* All but the credentials. */
static int say_options(const struct policy_options *o, struct parts *p, struct reason *why)
{
	p->said = (struct source_policy){
	    .tls_verify = (enum said)o->tls_verify,
	    .plain_http = o->plain_http,
	    .has_retries = o->retries != POLICY_UNSAID,
	    .retries = o->retries,
	    .rate = o->rate,
	    .owner = o->rate > 0 ? random_u64() : 0,
	};
	if (o->plain_http && o->tls_verify == SAID_YES) {
		reason_set(why, "--plain-http and --tls-verify=true exclude each other");
		return EX_USAGE;
	}
	return o->cert_dir ? read_certificates(p, o->cert_dir, why) : 0;
}

static int make(const struct policy_options *o, const char *host, const char *name, int words_len, char **words,
		struct parts *p, struct reason *why)
{
	int code = say_options(o, p, why);

	if (code != 0)
		return code;
	bool wants_own = o->creds || o->auth_file || source_policy_is_lax(&p->said);
	if (o->creds)
		code = read_creds(p, o->creds, host, words_len, words, why);
	else if (o->auth_file)
		code = load_credential(p, o->auth_file, host, name, why);
	else if (wants_own)
		find_usual(p, host, name);
	if (code == 0 && wants_own)
		say_credential(p);
	return code;
}

static int encode(const struct parts *p, const char *host, struct buf *out, struct reason *why)
{
	if (p->said.secret.len > POLICY_SECRET_MAX) {
		reason_set(why, "the credentials for '%s' are longer than %u bytes", host, POLICY_SECRET_MAX);
		return EX_CONFIG;
	}
	if (source_policy_encode(&p->said, out) == 0)
		return 0;
	reason_set(why, "out of memory");
	return EX_OSERR;
}

int policy_options_read(const struct policy_options *o, const char *host, const char *name, int words_len, char **words,
			struct buf *out, struct reason *ret_trouble, struct reason *why)
{
	struct parts p = {.said = {.tls_verify = SAID_NOTHING}};

	ret_trouble->text[0] = '\0';
	if (is_nothing(o))
		return 0;
	int code = make(o, host, name, words_len, words, &p, why);
	*ret_trouble = p.trouble;
	if (code == 0)
		code = encode(&p, host, out, why);
	parts_release(&p);
	return code;
}

/* A line of standard input, which is a terminal or nothing that could be meant as a name. */
static int ask_for_user(const char *host, struct buf *out, struct reason *why)
{
	char line[256];

	if (isatty(STDIN_FILENO)) {
		(void)fprintf(stderr, "User at '%s': ", host);
		if (fgets(line, sizeof(line), stdin) && strcspn(line, "\r\n") > 0 && !strchr(line, ':'))
			return buf_append(out, line, strcspn(line, "\r\n")) < 0 ? EX_OSERR : 0;
	}
	reason_set(why, "there is no user: name one with --username");
	return EX_USAGE;
}

int policy_options_ask(const struct policy_options *o, const char *host, const char *user, struct buf *policy,
		       struct buf *auth, struct reason *why)
{
	struct parts p = {.said = {.tls_verify = SAID_NOTHING}};
	AUTO_BUF asked = BUF_INIT;
	int code = say_options(o, &p, why);

	if (code == 0 && user && strchr(user, ':')) {
		reason_set(why, "bad value '%s' for '--username': it has a colon", user);
		code = EX_USAGE;
	}
	if (code == 0 && !user)
		code = ask_for_user(host, &asked, why);
	if (code == 0)
		code = read_creds(&p, user ? user : asked.data, host, 0, NULL, why);
	if (code == 0) {
		say_credential(&p);
		p.said.has_retries = true; /* who waits at a terminal asks again */
		p.said.retries = 1;
		code = encode(&p, host, policy, why);
	}
	if (code == 0 && buf_append(auth, p.credential.value.data, p.credential.value.len) < 0)
		code = EX_OSERR;
	parts_release(&p);
	return code;
}
