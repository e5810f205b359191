#include "fetchd/settings.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/config.h"
#include "common/base/log.h"

/* Own */
#include "fetchd/url.h"

#define HOUR_MS        (3600u * 1000)
#define ROWS_IN_FILE   9
#define ROWS_MAX       18
#define SECTION        "fetchd"
#define SECTION_PREFIX "registry "

/* The first ROWS_IN_FILE rows may stand in the file too. */
static void make_table(struct settings *s, struct opt ret_table[static ROWS_MAX])
{
	const struct opt rows[] = {
	    {"runtime-dir", 0, OPT_TEXT, &s->runtime_dir, "/run/sluice", 1, 4096, "SLUICE_RUNTIME_DIR", "DIR",
	     "where the pipes are"},
	    {"log-level", 0, OPT_TEXT, &s->log_level, "notice", 1, 16, NULL, "LEVEL",
	     "error, warning, notice, info or debug"},
	    {"auth-file", 0, OPT_TEXT, &s->auth_file, NULL, 0, 4096, NULL, "FILE",
	     "credentials, before those of podman and docker"},
	    {"max-retries", 0, OPT_COUNT, &s->max_retries, "8", 0, 1000000, NULL, "N",
	     "tries in a row that make no progress"},
	    {"retry-delay", 0, OPT_TIME_MS, &s->retry_delay_ms, "1s", 1, HOUR_MS, NULL, "TIME",
	     "the first wait; further ones are longer"},
	    {"retry-delay-max", 0, OPT_TIME_MS, &s->retry_delay_max_ms, "30s", 1, HOUR_MS, NULL, "TIME",
	     "the longest, unless a server asks for more"},
	    {"connect-timeout", 0, OPT_TIME_MS, &s->connect_timeout_ms, "15s", 1, HOUR_MS, NULL, "TIME",
	     "for name, connection and TLS together"},
	    {"stall-timeout", 0, OPT_TIME_MS, &s->stall_timeout_ms, "30s", 1, HOUR_MS, NULL, "TIME",
	     "give up after so long without a byte"},
	    {"connections-per-host", 0, OPT_COUNT, &s->connections_per_host, "8", 1, 64, NULL, "N",
	     "at most so many at a time"},
	    {"config", 0, OPT_TEXT, &s->config, NULL, 1, 4096, "SLUICE_CONFIG", "FILE",
	     "read [fetchd] and [registry HOST] from here"},
	    {"offset", 0, OPT_COUNT, &s->offset, "0", 0, INT64_MAX, NULL, "N", "get: go on from this byte"},
	    {"size", 0, OPT_TEXT, &s->size, NULL, 1, 20, NULL, "N", "get: the content is so many bytes long"},
	    {"digest", 0, OPT_TEXT, &s->digest, NULL, 1, DIGEST_TEXT_MAX, NULL, "DIGEST",
	     "get: what the content hashes to"},
	    {"raw", 0, OPT_FLAG, &s->raw, "no", 0, 0, NULL, NULL, "get: write bytes, not frames"},
	    {"help", 'h', OPT_FLAG, &s->help, "no", 0, 0, NULL, NULL, "show this and stop"},
	    {"version", 0, OPT_FLAG, &s->version, "no", 0, 0, NULL, NULL, "show the version and stop"},
	    {0},
	};
	_Static_assert(sizeof(rows) / sizeof(rows[0]) <= ROWS_MAX, "the table has room for all rows");
	memcpy(ret_table, rows, sizeof(rows));
}

struct loading {
	struct settings s;
	struct opt table[ROWS_MAX];           /* all rows */
	struct opt in_file[ROWS_IN_FILE + 1]; /* those that a file may set */
};

static struct registry_settings *registry_of(struct settings *s, const char *host, struct reason *why)
{
	for (size_t i = 0; i < s->registries_len; i++)
		if (strcmp(s->registries[i].host, host) == 0)
			return &s->registries[i];
	size_t len = strlen(host);
	if (s->registries_len == REGISTRIES_MAX || len == 0 || len > REFERENCE_HOST_MAX) {
		reason_set(why, "more than %d registries, or a name that is too long", REGISTRIES_MAX);
		return NULL;
	}
	struct registry_settings *found = &s->registries[s->registries_len++];
	*found = (struct registry_settings){.plain_http = PLAIN_HTTP_UNSET};
	memcpy(found->host, host, len + 1);
	return found;
}

/* Nothing but where it is: how a registry's URLs go on is no matter of configuration. */
static int add_mirror(struct registry_settings *registry, const char *url, struct reason *why)
{
	struct origin origin;
	struct reason inner = {"out of memory"};
	const char *host = strstr(url, "://");
	int r = origin_of(url, &origin, &inner);
	if (r == 0 && (!host || host[3 + strcspn(host + 3, "/?#")] != '\0')) {
		reason_set(&inner, "only scheme, host and port may stand there");
		r = -EINVAL;
	}
	if (r < 0 || registry->mirrors_len == MIRRORS_MAX) {
		reason_set(why, "'%s' cannot be mirror %zu of '%s': %s", url, registry->mirrors_len + 1, registry->host,
			   r < 0 ? inner.text : "there are too many");
		return r < 0 ? r : -EINVAL;
	}
	const char **slot = &registry->mirrors[registry->mirrors_len];
	const struct opt row[] = {{"mirror", 0, OPT_TEXT, (void *)slot, NULL, 1, 4096, NULL, NULL, ""}, {0}};
	r = opt_set(row, "mirror", url, why);
	if (r == 0)
		registry->mirrors_len++;
	return r;
}

static int set_registry(struct settings *s, const char *host, const char *key, const char *value, struct reason *why)
{
	struct registry_settings *registry = registry_of(s, host, why);
	if (!registry)
		return -EINVAL;
	if (strcmp(key, "mirror") == 0)
		return add_mirror(registry, value, why);
	bool plain = false;
	const struct opt plain_row[] = {{"plain-http", 0, OPT_FLAG, &plain, NULL, 0, 0, NULL, NULL, ""}, {0}};
	const struct opt rows[] = {
	    {"ca-file", 0, OPT_TEXT, &registry->tls.ca_file, NULL, 1, 4096, NULL, NULL, ""},
	    {"client-cert", 0, OPT_TEXT, &registry->tls.client_cert, NULL, 1, 4096, NULL, NULL, ""},
	    {"client-key", 0, OPT_TEXT, &registry->tls.client_key, NULL, 1, 4096, NULL, NULL, ""},
	    {"skip-verify", 0, OPT_FLAG, &registry->tls.skip_verify, NULL, 0, 0, NULL, NULL, ""},
	    {"connect-timeout", 0, OPT_TIME_MS, &registry->connect_timeout_ms, NULL, 1, HOUR_MS, NULL, NULL, ""},
	    {"stall-timeout", 0, OPT_TIME_MS, &registry->stall_timeout_ms, NULL, 1, HOUR_MS, NULL, NULL, ""},
	    {0},
	};
	int r = opt_set(plain_row, key, value, why);
	if (r == 0)
		registry->plain_http = plain ? PLAIN_HTTP_YES : PLAIN_HTTP_NO;
	return r == -ENOENT ? opt_set(rows, key, value, why) : r;
}

/* The file is shared with the other programs: sections of theirs are none of our business. */
static int visit(void *self, const char *section, const char *key, const char *value, struct reason *why)
{
	struct loading *l = self;
	if (strcmp(section, SECTION) == 0)
		return opt_set(l->in_file, key, value, why);
	if (strncmp(section, SECTION_PREFIX, strlen(SECTION_PREFIX)) == 0)
		return set_registry(&l->s, section + strlen(SECTION_PREFIX), key, value, why);
	return 0;
}

/* Said now and not by the first transfer: a file that cannot be read would look like a server that is not trusted. */
static int check_registry(const struct registry_settings *registry, struct reason *why)
{
	const char *const paths[] = {registry->tls.ca_file, registry->tls.client_cert, registry->tls.client_key};
	if (registry->tls.client_key && !registry->tls.client_cert) {
		reason_set(why, "the registry '%s' has a client_key, but no client_cert", registry->host);
		return -EBADMSG;
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (paths[i] && access(paths[i], R_OK) < 0) {
			reason_set(why, "cannot read '%s' for the registry '%s': %s", paths[i], registry->host,
				   strerror(errno));
			return -EBADMSG;
		}
	return 0;
}

static int check(const struct settings *s, struct reason *why)
{
	enum log_level level;
	if (log_level_parse(s->log_level, &level) < 0) {
		reason_set(why, "there is no log level '%s'", s->log_level);
		return -EINVAL;
	}
	int r = 0;
	for (size_t i = 0; i < s->registries_len && r == 0; i++)
		r = check_registry(&s->registries[i], why);
	return r;
}

static int read_file(struct loading *l, struct reason *why)
{
	int r = config_read(l->s.config, visit, l, why);
	return r == -EINVAL || r == -ENOENT ? -EBADMSG : r;
}

/* The environment and the command line are read twice: first to learn where the file is, then to win over it. */
static int load(struct loading *l, int argc, char **argv, char **operands, int *ret_count, struct reason *why)
{
	int r = opt_defaults(l->table, why);
	for (int pass = 0; pass < 2 && r == 0; pass++) {
		memcpy(operands, argv, (size_t)argc * sizeof(*argv));
		r = opt_environment(l->table, why);
		if (r == 0)
			r = opt_command_line(l->table, argc, operands, ret_count, why);
		if (r == 0 && pass == 0 && l->s.config && l->s.config[0] != '\0' && !l->s.help)
			r = read_file(l, why);
	}
	return r < 0 ? r : check(&l->s, why);
}

int settings_load(int argc, char **argv, struct settings *ret_settings, char **ret_operands, int *ret_count,
		  struct reason *why)
{
	struct loading *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	make_table(&l->s, l->table);
	memcpy(l->in_file, l->table, ROWS_IN_FILE * sizeof(l->table[0]));
	int r = load(l, argc, argv, ret_operands, ret_count, why);
	if (r == 0)
		*ret_settings = l->s;
	free(l);
	return r;
}

const struct registry_settings *settings_registry(const struct settings *s, const char *host)
{
	for (size_t i = 0; i < s->registries_len; i++)
		if (strcmp(s->registries[i].host, host) == 0)
			return &s->registries[i];
	return NULL;
}

enum plain_http settings_plain_http(const struct settings *s, const char *host)
{
	const struct registry_settings *registry = settings_registry(s, host);
	return registry ? registry->plain_http : PLAIN_HTTP_UNSET;
}

const char *settings_mirror(const struct settings *s, const char *host, size_t n)
{
	const struct registry_settings *registry = settings_registry(s, host);
	return registry && n < registry->mirrors_len ? registry->mirrors[n] : NULL;
}

void settings_fill(const struct settings *s, const char *host, struct http_ask *ask)
{
	static const struct registry_settings nothing;
	const struct registry_settings *registry = settings_registry(s, host);
	if (!registry)
		registry = &nothing;
	ask->tls = &registry->tls;
	ask->connect_timeout_ms =
	    registry->connect_timeout_ms > 0 ? registry->connect_timeout_ms : s->connect_timeout_ms;
	ask->stall_timeout_ms = registry->stall_timeout_ms > 0 ? registry->stall_timeout_ms : s->stall_timeout_ms;
}

void settings_print_help(bool of_get, FILE *out)
{
	static const char verb[] = "get: ";
	struct settings s = {0};
	struct opt table[ROWS_MAX], chosen[ROWS_MAX];
	size_t len = 0;
	make_table(&s, table);
	for (size_t i = 0; table[i].name; i++) {
		bool is_gets = strncmp(table[i].help, verb, sizeof(verb) - 1) == 0;
		if (is_gets != of_get)
			continue;
		chosen[len] = table[i];
		chosen[len++].help += is_gets ? sizeof(verb) - 1 : 0;
	}
	chosen[len] = (struct opt){0};
	opt_print_help(chosen, out);
}
