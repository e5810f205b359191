/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/credentials.h"

/* System */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/base64.h"
#include "common/base/file.h"
#include "common/base/text.h"

/* OCI */
#include "common/oci/json.h"
#include "common/oci/reference.h"

#define HELPER_FOR_DOCKER_HUB "https://index.docker.io/v1/" /* docker's own key */

/* Whether a text may stand in a header as it is: no line end that would forge one. */
static bool is_base64(struct span text)
{
	return text.len <= CREDENTIALS_MAX && base64_is(text);
}

static int append_pair(struct buf *out, const char *user, const char *password)
{
	struct buf pair = BUF_INIT;
	int r = buf_appendf(&pair, "%s:%s", user, password);
	if (r == 0)
		r = base64_encode(buf_span(&pair), out);
	buf_wipe(&pair);
	return r;
}

static int fill(struct credential *c, enum credential_kind kind, const char *value)
{
	credential_wipe(c);
	c->kind = kind;
	return buf_append_str(&c->value, value);
}

static int fill_pair(struct credential *c, const char *user, const char *password)
{
	credential_wipe(c);
	c->kind = CREDENTIAL_BASIC;
	return append_pair(&c->value, user, password);
}

/* The path of "a.io/v1/": docker used to write such keys, and they mean the host. */
static bool is_api_path(struct span path)
{
	return span_eq(path, span_str("v1")) || span_eq(path, span_str("v1/")) || span_eq(path, span_str("v2/"));
}

/* Whether `path` is `name` or a namespace that contains it. */
static bool path_covers(struct span path, const char *name)
{
	return path.len > 0 && strlen(name) >= path.len && memcmp(name, path.data, path.len) == 0 &&
	       (name[path.len] == '/' || name[path.len] == '\0');
}

/*
 * How well a key matches, 0 if not at all: longer keys match better, and a URL, which is docker's form, less well than
 * a name.
 */
static size_t key_fit(const char *key, const char *host, const char *name)
{
	static const char *const schemes[] = {"https://", "http://"};
	bool is_url = false;
	for (size_t i = 0; i < 2 && !is_url; i++)
		if (strncmp(key, schemes[i], strlen(schemes[i])) == 0) {
			key += strlen(schemes[i]);
			is_url = true;
		}
	struct span theirs = span_of(key, strcspn(key, "/"));
	struct span path = span_str(key + theirs.len + (key[theirs.len] == '/' ? 1 : 0));
	if (!span_eq(theirs, span_str(host)) && !(host_is_docker_hub(theirs) && host_is_docker_hub(span_str(host))))
		return 0;
	if (is_url || path.len == 0 || is_api_path(path))
		return is_url ? 1 : 2;
	return path_covers(path, name) ? 2 + path.len : 0;
}

struct lookup {
	const char *host;
	const char *name;
	bool (*is_usable)(const struct json_t *value);
	size_t fit;
	const char *key;
	const struct json_t *value;
};

static int visit(void *self, const char *key, const struct json_t *value)
{
	struct lookup *l = self;
	size_t fit = key_fit(key, l->host, l->name);
	if (fit > l->fit && l->is_usable(value)) {
		l->fit = fit;
		l->key = key;
		l->value = value;
	}
	return 0;
}

static bool has_text(const struct json_t *entry, const char *key)
{
	const char *text = json_member_text(entry, key);
	return text && text[0] != '\0';
}

/* With a credsStore, docker leaves empty entries. */
static bool entry_is_usable(const struct json_t *entry)
{
	return json_is_object(entry) && (has_text(entry, "auth") || has_text(entry, "identitytoken") ||
					 (has_text(entry, "username") && json_member_text(entry, "password")));
}

static bool helper_is_usable(const struct json_t *name)
{
	return json_text(name) && json_text(name)[0] != '\0';
}

static void look(const struct json_t *root, const char *member, struct lookup *l)
{
	const struct json_t *object = json_member(root, member);
	if (object && json_is_object(object))
		(void)json_each(object, visit, l);
}

static int bad_entry(const char *what, const char *host, struct reason *why)
{
	reason_set(why, "the %s for '%s' is not well-formed", what, host);
	return -EINVAL;
}

/* Line ends, which base64(1) writes and Go's decoder ignores, are dropped. */
static int take_auth(const char *auth, const char *host, struct credential *c, struct reason *why)
{
	struct buf text = BUF_INIT;
	int r = 0;
	for (size_t len; *auth != '\0' && r == 0; auth += len + strspn(auth + len, "\r\n")) {
		len = strcspn(auth, "\r\n");
		r = buf_append(&text, auth, len);
	}
	if (r == 0)
		r = is_base64(buf_span(&text)) ? fill(c, CREDENTIAL_BASIC, text.data) : bad_entry("base64", host, why);
	buf_wipe(&text);
	return r;
}

/* Some versions of docker write {"username": …, "password": …} instead of "auth". */
static int take_entry(const struct json_t *entry, const char *host, struct credential *c, struct reason *why)
{
	const char *auth = json_member_text(entry, "auth");
	if (has_text(entry, "identitytoken")) {
		const char *token = json_member_text(entry, "identitytoken");
		return text_is_visible(token, CREDENTIALS_MAX) ? fill(c, CREDENTIAL_IDENTITY, token)
							       : bad_entry("identitytoken", host, why);
	}
	if (has_text(entry, "auth"))
		return take_auth(auth, host, c, why);
	return fill_pair(c, json_member_text(entry, "username"), json_member_text(entry, "password"));
}

/* The name becomes part of a program's name, so it must be a plain word. */
static int take_helper(const char *name, const char *server, struct credential *c, struct reason *why)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(name);
	if (len > HELPER_NAME_MAX || strspn(name, allowed) != len)
		return bad_entry("name of the credential helper", server, why);
	int r = fill(c, CREDENTIAL_HELPER, name);
	return r < 0 ? r : buf_append_str(&c->server, server);
}

static int choose(const struct json_t *root, const char *host, const char *name, struct credential *c,
		  struct reason *why)
{
	struct lookup helper = {.host = host, .name = "", .is_usable = helper_is_usable};
	struct lookup entry = {.host = host, .name = name, .is_usable = entry_is_usable};
	look(root, "credHelpers", &helper);
	if (helper.value)
		return take_helper(json_text(helper.value), helper.key, c, why);
	look(root, "auths", &entry);
	if (entry.value)
		return take_entry(entry.value, host, c, why);
	if (has_text(root, "credsStore"))
		return take_helper(json_member_text(root, "credsStore"),
				   host_is_docker_hub(span_str(host)) ? HELPER_FOR_DOCKER_HUB : host, c, why);
	return -ENOENT;
}

int credentials_parse(struct span text, const char *host, const char *name, struct credential *ret_credential,
		      struct reason *why)
{
	AUTO_JSON root = NULL;
	int r = json_parse(text, &root, NULL); /* its reason would quote the text near the mistake */
	if (r < 0) {
		reason_set(why, "not valid JSON");
		return r;
	}
	return choose(root, host, name, ret_credential, why);
}

int credentials_parse_helper(struct span text, struct credential *ret_credential, struct reason *why)
{
	AUTO_JSON root = NULL;
	int r = json_parse(text, &root, NULL);
	const char *user = r == 0 ? json_member_text(root, "Username") : NULL;
	const char *secret = r == 0 ? json_member_text(root, "Secret") : NULL;
	if (r == -ENOMEM)
		return r;
	if (!user || !secret || strlen(secret) > CREDENTIALS_MAX / 2 || strlen(user) > CREDENTIALS_MAX / 8) {
		reason_set(why, "what it printed is not a credential");
		return -EINVAL;
	}
	if (secret[0] == '\0')
		return -ENOENT;
	if (strcmp(user, "<token>") == 0)
		return text_is_visible(secret, CREDENTIALS_MAX) ? fill(ret_credential, CREDENTIAL_IDENTITY, secret)
								: bad_entry("token", "it", why);
	return fill_pair(ret_credential, user, secret);
}

int credentials_load(const char *path, const char *host, const char *name, struct credential *ret_credential,
		     struct reason *why)
{
	struct buf text = BUF_INIT;
	struct reason inner = {""};
	int r = file_load(path, CREDENTIALS_FILE_MAX, &text);
	if (r == -ENOENT || r == -ENOTDIR) {
		buf_wipe(&text);
		return -ENOENT;
	}
	if (r < 0)
		reason_set(&inner, "%s", strerror(-r));
	else
		r = credentials_parse(buf_span(&text), host, name, ret_credential, &inner);
	buf_wipe(&text);
	if (r < 0 && r != -ENOENT)
		reason_set(why, "cannot read credentials from '%s': %s", path, inner.text);
	return r;
}

enum place {
	PLACE_CONFIGURED,
	PLACE_SERVICE,
	PLACE_GIVEN,
	PLACE_RUNTIME,
	PLACE_CONFIG,
	PLACE_DOCKER,
	PLACES,
};

/* A path below the value of `variable`; if that is not set, below the value of `otherwise`. */
static const struct {
	const char *variable, *below;
	const char *otherwise, *below_that;
} places[PLACES] = {
    [PLACE_SERVICE] = {"CREDENTIALS_DIRECTORY", "/sluice-auth.json", NULL, NULL},
    [PLACE_GIVEN] = {"REGISTRY_AUTH_FILE", "", NULL, NULL},
    [PLACE_RUNTIME] = {"XDG_RUNTIME_DIR", "/containers/auth.json", NULL, NULL},
    [PLACE_CONFIG] = {"XDG_CONFIG_HOME", "/containers/auth.json", "HOME", "/.config/containers/auth.json"},
    [PLACE_DOCKER] = {"DOCKER_CONFIG", "/config.json", "HOME", "/.docker/config.json"},
};

static const char *variable_get(const char *name)
{
	const char *value = name ? getenv(name) : NULL;
	return value && value[0] != '\0' ? value : NULL;
}

/* The path of a place, in `ret_path` of `room` bytes. False: there is none, or it does not fit, and so no file. */
static bool place_path(enum place place, const char *auth_file, char *ret_path, size_t room)
{
	const char *base = variable_get(places[place].variable), *other = variable_get(places[place].otherwise);
	int n = -1;
	if (place == PLACE_CONFIGURED)
		n = auth_file && auth_file[0] != '\0' ? snprintf(ret_path, room, "%s", auth_file) : -1;
	else if (base || other)
		n = snprintf(ret_path, room, "%s%s", base ? base : other,
			     base ? places[place].below : places[place].below_that);
	else if (place == PLACE_RUNTIME)
		n = snprintf(ret_path, room, "/run/containers/%u/auth.json", (unsigned)geteuid());
	return n >= 0 && (size_t)n < room;
}

static int find_at(enum place place, const struct credential_search *s, struct credential *ret_credential,
		   struct reason *why)
{
	char path[4096];
	return place_path(place, s->auth_file, path, sizeof(path))
		   ? credentials_load(path, s->host, s->name, ret_credential, why)
		   : -ENOENT;
}

int credentials_find(struct credential_search *s, struct credential *ret_credential, struct reason *why)
{
	int r = -ENOENT;
	while (r == -ENOENT && s->next < PLACES)
		r = find_at((enum place)s->next++, s, ret_credential, why);
	return r;
}

void credential_wipe(struct credential *c)
{
	buf_wipe(&c->value);
	buf_release(&c->server);
	c->kind = CREDENTIAL_NONE;
}
