/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/config/registries.h"

/* System */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/config.h"
#include "common/base/file.h"
#include "common/base/opt.h"
#include "common/base/shown.h"

/* Own */
#include "fetchd/http/syntax.h"
#include "fetchd/http/url.h"

#define SECTION_PREFIX "registry "
#define DIRECTORY      "registries.d"
#define SUFFIX         ".conf"

const char *registries_section(const char *section)
{
	size_t len = strlen(SECTION_PREFIX);
	return strncmp(section, SECTION_PREFIX, len) == 0 ? section + len : NULL;
}

const struct registry_settings registry_unsaid = {
    .plain_http = PLAIN_HTTP_UNSET,
    .own = {.connect_timeout_ms = UNSAID,
	    .stall_timeout_ms = UNSAID,
	    .answer_timeout_ms = UNSAID,
	    .connections = UNSAID,
	    .retry = {UNSAID, UNSAID, UNSAID, UNSAID},
	    .ranges = {UNSAID, UNSAID, UNSAID},
	    .speed = {UNSAID, UNSAID, UNSAID, UNSAID}},
};

/* One spelling for a host: lower case, without the https port, and Docker Hub by its name in references. */
static void spell(const char *host, char ret_host[static REFERENCE_HOST_MAX + 1])
{
	static const char https[] = ":443";
	size_t len = strnlen(host, REFERENCE_HOST_MAX), port_len = sizeof(https) - 1;
	if (len > port_len && strcmp(host + len - port_len, https) == 0)
		len -= port_len;
	for (size_t i = 0; i < len; i++)
		ret_host[i] = (char)tolower((unsigned char)host[i]);
	ret_host[len] = '\0';
	if (host_is_docker_hub(span_str(ret_host)))
		memcpy(ret_host, DOCKER_HUB, sizeof(DOCKER_HUB));
}

/* The index of a host's section; `len`: there is none. */
static size_t find(const struct registries *rs, const char *host)
{
	char spelled[REFERENCE_HOST_MAX + 1];
	size_t i = 0;
	spell(host, spelled);
	while (i < rs->len && strcmp(rs->all[i].host, spelled) != 0)
		i++;
	return i;
}

const struct registry_settings *registries_find(const struct registries *rs, const char *host)
{
	size_t i = find(rs, host);
	return i < rs->len ? &rs->all[i] : &registry_unsaid;
}

static struct registry_settings *get(struct registries *rs, const char *host, struct reason *why)
{
	size_t i = find(rs, host), len = strlen(host);
	if (i < rs->len)
		return &rs->all[i];
	if (strcmp(host, "*") == 0 || strcmp(host, "_default") == 0) {
		reason_set(why, "[registry %s] matches no registry: each needs a section of its own", host);
		return NULL;
	}
	if (rs->len == REGISTRIES_MAX || len == 0 || len > REFERENCE_HOST_MAX || strpbrk(host, "/ \t@*")) {
		reason_set(why,
			   rs->len == REGISTRIES_MAX ? "there are more than %d registries"
						     : "the section must be [registry HOST] or [registry HOST:PORT]",
			   REGISTRIES_MAX);
		return NULL;
	}
	struct registry_settings *made = &rs->all[rs->len++];
	*made = registry_unsaid;
	spell(host, made->host);
	return made;
}

struct registry_settings *registries_add(struct registries *rs, const char *host)
{
	struct reason why;
	return get(rs, host, &why);
}

/* Append a value of a key that may be repeated. The first one of a file replaces those of an earlier file. */
static int list_add(const struct registries *rs, const char *host, const char *key, const char *value,
		    struct registry_list *list, size_t max, struct reason *why)
{
	if (list->file != rs->file)
		list->len = 0;
	list->file = rs->file;
	if (list->len == max) {
		reason_set(why, "'%s' has more than %zu %ss", host, max, key);
		return -EINVAL;
	}
	const struct opt row[] = {{.name = key, .kind = OPT_TEXT, .min = 1, .max = 4096, .help = ""}, {.name = NULL}};
	int r = opt_set(row, &list->texts[list->len], key, value, why);
	if (r == 0)
		list->len++;
	return r;
}

/* Only characters of repository paths, so that a path cannot contain other parts of a URL. */
static bool path_is_plain(const char *path)
{
	static const char made_of[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
	return path[strspn(path, made_of)] == '\0' && !strstr(path, "..") && !strstr(path, "//");
}

/* Scheme, host, port, and the path below which the mirror has the repositories. */
static int check_mirror(const char *registry, const char *url, struct reason *why)
{
	struct origin origin;
	struct reason inner = {"out of memory"};
	const char *host = strstr(url, "://");
	int r = host ? origin_of(url, &origin, &inner) : -EINVAL; /* curl takes "a.example:80" for a scheme */
	if (!host)
		reason_set(&inner, "it does not begin with https:// or http://");
	if (r == 0 && (!path_is_plain(host + 3 + strcspn(host + 3, "/?#")))) {
		reason_set(&inner, "only scheme, host, port and a plain path are allowed");
		r = -EINVAL;
	}
	if (r < 0) {
		char shown[SHOWN_SIZE];
		shown_of(span_str(url), shown);
		reason_set(why, "'%s' cannot be a mirror of '%s': %s", shown, registry, inner.text);
	}
	return r;
}

/* Headers that fetchd sets itself, and credentials: not allowed in a configuration file. */
static bool is_ours(struct span name)
{
	static const char *const ours[] = {"Accept",
					   "Accept-Encoding",
					   "Authorization",
					   "Connection",
					   "Expect",
					   "Content-Length",
					   "Content-Type",
					   "Host",
					   "If-Range",
					   "Range",
					   "TE",
					   "Transfer-Encoding",
					   "Upgrade"};
	static const char proxy[] = "Proxy-";
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (syntax_is_word(name, ours[i]))
			return true;
	return name.len >= strlen(proxy) && syntax_is_word(span_of(name.data, strlen(proxy)), proxy);
}

/* RFC 9110, 5.1 and 5.5. The value may be a secret and never appears in messages. */
static int check_header(const char *header, struct reason *why)
{
	struct span rest = span_str(header);
	struct span name = syntax_take_token(&rest);
	const char *value = header + name.len;
	const char *what = NULL;
	if (name.len == 0 || *value != ':' || value[1 + strspn(value + 1, " \t")] == '\0')
		what = "it must be 'Name: value'";
	else if (is_ours(name))
		what = "fetchd sets that header itself; credentials belong in the auth file";
	for (; *value != '\0'; value++)
		if ((*value < ' ' && *value != '\t') || *value == 0x7f)
			what = "its value has a control byte";
	if (!what)
		return 0;
	reason_set(why, "'%.*s' cannot be a header: %s", name.len < 64 ? (int)name.len : 64, header, what);
	return -EINVAL;
}

static const struct opt path_rows[] = {
    {.name = "ca-file",
     .kind = OPT_TEXT,
     .at = offsetof(struct registry_settings, tls.ca_file),
     .min = 1,
     .max = 4096,
     .help = ""},
    {.name = "client-cert",
     .kind = OPT_TEXT,
     .at = offsetof(struct registry_settings, tls.client_cert),
     .min = 1,
     .max = 4096,
     .help = ""},
    {.name = "client-key",
     .kind = OPT_TEXT,
     .at = offsetof(struct registry_settings, tls.client_key),
     .min = 1,
     .max = 4096,
     .help = ""},
    {.name = NULL},
};

static const struct opt number_rows[] = {
    {.name = "skip-verify", .kind = OPT_FLAG, .at = offsetof(struct registry_settings, tls.skip_verify), .help = ""},
    {.name = "connect-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct registry_settings, own.connect_timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .help = ""},
    {.name = "stall-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct registry_settings, own.stall_timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .help = ""},
    {.name = "answer-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct registry_settings, own.answer_timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .help = ""},
    {.name = "max-retries",
     .kind = OPT_COUNT,
     .at = offsetof(struct registry_settings, own.retry.max),
     .max = RETRIES_MAX,
     .help = ""},
    {.name = "retry-delay",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct registry_settings, own.retry.delay_ms),
     .min = 1,
     .max = HOUR_MS,
     .help = ""},
    {.name = "retry-delay-max",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct registry_settings, own.retry.delay_max_ms),
     .min = 1,
     .max = HOUR_MS,
     .help = ""},
    {.name = "retry-after-max",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct registry_settings, own.retry.after_max_ms),
     .max = WEEK_MS,
     .help = ""},
    {.name = "connections",
     .kind = OPT_COUNT,
     .at = offsetof(struct registry_settings, own.connections),
     .min = 1,
     .max = CONNECTIONS_MAX,
     .help = ""},
    {.name = "ranges",
     .kind = OPT_COUNT,
     .at = offsetof(struct registry_settings, own.ranges.count),
     .min = 1,
     .max = RANGES_MAX,
     .help = ""},
    {.name = "range-size",
     .kind = OPT_BYTES,
     .at = offsetof(struct registry_settings, own.ranges.size),
     .min = RANGE_SIZE_MIN,
     .max = RANGE_SIZE_MAX,
     .help = ""},
    {.name = "range-min",
     .kind = OPT_BYTES,
     .at = offsetof(struct registry_settings, own.ranges.min),
     .min = 1,
     .max = INT64_MAX,
     .help = ""},
    {.name = "bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct registry_settings, own.speed.per_host),
     .max = RATE_MAX,
     .help = ""},
    {.name = "transfer-bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct registry_settings, own.speed.per_transfer),
     .max = RATE_MAX,
     .help = ""},
    {.name = "min-speed",
     .kind = OPT_BYTES,
     .at = offsetof(struct registry_settings, own.speed.min),
     .max = RATE_MAX,
     .help = ""},
    {.name = "min-speed-time",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct registry_settings, own.speed.min_ms),
     .min = 1,
     .max = HOUR_MS,
     .help = ""},
    {.name = NULL},
};

/*
 * Opened now, not by the first transfer: an unreadable file would look like an untrusted server. access(2) knows no
 * Landlock.
 */
static int set_path(struct registry_settings *registry, const char *key, const char *value, struct reason *why)
{
	int r = opt_set(path_rows, registry, key, value, why);
	AUTO_FD fd = r == 0 ? open(value, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	if (r == 0 && fd < 0) {
		r = errno == EACCES ? -EACCES : -EINVAL;
		reason_set(why, "cannot read '%s': %s", value, strerror(errno));
	}
	return r;
}

int registries_set(struct registries *rs, const char *host, const char *key, const char *value, struct reason *why)
{
	struct registry_settings *registry = get(rs, host, why);
	if (!registry)
		return -EINVAL;
	registry->is_named = true;
	if (strcmp(key, "mirror") == 0) {
		int r = check_mirror(host, value, why);
		return r < 0 ? r : list_add(rs, host, key, value, &registry->mirrors, MIRRORS_MAX, why);
	}
	if (strcmp(key, "header") == 0) {
		int r = check_header(value, why);
		return r < 0 ? r : list_add(rs, host, key, value, &registry->headers, REGISTRY_HEADERS, why);
	}
	bool plain = false;
	const struct opt plain_row[] = {{.name = "plain-http", .kind = OPT_FLAG, .help = ""}, {.name = NULL}};
	int r = opt_set(plain_row, &plain, key, value, why);
	if (r == 0)
		registry->plain_http = plain ? PLAIN_HTTP_YES : PLAIN_HTTP_NO;
	if (r == -ENOENT)
		r = set_path(registry, key, value, why);
	return r == -ENOENT ? opt_set(number_rows, registry, key, value, why) : r;
}

int registries_check(const struct registries *rs, struct reason *why)
{
	for (size_t i = 0; i < rs->len; i++)
		if (rs->all[i].tls.client_key && !rs->all[i].tls.client_cert) {
			reason_set(why, "[registry %s] sets client_key without client_cert", rs->all[i].host);
			return -EBADMSG;
		}
	return 0;
}

static int visit(void *self, const char *section, const char *key, const char *value, struct reason *why)
{
	const char *host = registries_section(section);
	if (host)
		return registries_set(self, host, key, value, why);
	reason_set(why, "only [registry HOST] sections are allowed here, not [%s]", section);
	return -EINVAL;
}

static int read_one(struct registries *rs, const char *directory, const char *name, struct reason *why)
{
	char *path = NULL;
	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	rs->file++;
	int r = config_read(path, visit, rs, why);
	free(path);
	return r;
}

int registries_read(struct registries *rs, const char *config, struct reason *why)
{
	struct dirent **found = NULL;
	char *directory = NULL;
	const char *slash = strrchr(config, '/');
	if (asprintf(&directory, "%.*s" DIRECTORY, slash ? (int)(slash - config + 1) : 0, config) < 0) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	int count = dir_list(directory, &found);
	int r = count < 0 && count != -ENOENT ? count : 0;
	if (r < 0)
		reason_set(why, "cannot read '%s': %s", directory, strerror(-r));
	for (int i = 0; i < count; i++) {
		if (r == 0 && name_ends_with(found[i]->d_name, SUFFIX))
			r = read_one(rs, directory, found[i]->d_name, why);
		free(found[i]);
	}
	free(found);
	free(directory);
	return r;
}
