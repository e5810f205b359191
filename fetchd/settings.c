#include "fetchd/settings.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/config.h"
#include "common/base/log.h"

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
	     "tries after failures in a row, without progress in between"},
	    {"retry-delay", 0, OPT_TIME_MS, &s->retry_delay_ms, "1s", 1, HOUR_MS, NULL, "TIME",
	     "the first wait is up to this, each further one twice that"},
	    {"retry-delay-max", 0, OPT_TIME_MS, &s->retry_delay_max_ms, "30s", 1, HOUR_MS, NULL, "TIME",
	     "no wait is longer, unless the server asks for it"},
	    {"connect-timeout", 0, OPT_TIME_MS, &s->connect_timeout_ms, "15s", 1, HOUR_MS, NULL, "TIME",
	     "for name, connection and TLS together"},
	    {"stall-timeout", 0, OPT_TIME_MS, &s->stall_timeout_ms, "30s", 1, HOUR_MS, NULL, "TIME",
	     "without a byte for this long, the connection is given up"},
	    {"connections-per-host", 0, OPT_COUNT, &s->connections_per_host, "8", 1, 64, NULL, "N",
	     "at most so many at a time"},
	    {"config", 0, OPT_TEXT, &s->config, NULL, 1, 4096, "SLUICE_CONFIG", "FILE",
	     "read [fetchd] and [registry HOST] from here"},
	    {"offset", 0, OPT_COUNT, &s->offset, "0", 0, INT64_MAX, NULL, "N", "get: go on from this byte"},
	    {"size", 0, OPT_TEXT, &s->size, NULL, 1, 20, NULL, "N", "get: the content is so many bytes long"},
	    {"digest", 0, OPT_TEXT, &s->digest, NULL, 1, DIGEST_TEXT_MAX, NULL, "DIGEST",
	     "get: what the content hashes to"},
	    {"raw", 0, OPT_FLAG, &s->raw, "no", 0, 0, NULL, NULL, "get: write bytes, not frames"},
	    {"help", 'h', OPT_FLAG, &s->help, "no", 0, 0, NULL, NULL, "print this and exit"},
	    {"version", 0, OPT_FLAG, &s->version, "no", 0, 0, NULL, NULL, "print the version and exit"},
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
	memcpy(found->host, host, len + 1);
	found->plain_http = PLAIN_HTTP_UNSET;
	return found;
}

static int set_registry(struct settings *s, const char *host, const char *key, const char *value, struct reason *why)
{
	bool plain = false;
	const struct opt rows[] = {
	    {"plain-http", 0, OPT_FLAG, &plain, NULL, 0, 0, NULL, NULL, ""},
	    {0},
	};
	struct registry_settings *registry = registry_of(s, host, why);
	if (!registry)
		return -EINVAL;
	int r = opt_set(rows, key, value, why);
	if (r == 0)
		registry->plain_http = plain ? PLAIN_HTTP_YES : PLAIN_HTTP_NO;
	return r;
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

static int check(const struct settings *s, struct reason *why)
{
	enum log_level level;
	if (log_level_parse(s->log_level, &level) == 0)
		return 0;
	reason_set(why, "there is no log level '%s'", s->log_level);
	return -EINVAL;
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

enum plain_http settings_plain_http(const struct settings *s, const char *host)
{
	for (size_t i = 0; i < s->registries_len; i++)
		if (strcmp(s->registries[i].host, host) == 0)
			return s->registries[i].plain_http;
	return PLAIN_HTTP_UNSET;
}

void settings_print_help(FILE *out)
{
	struct settings s = {0};
	struct opt table[ROWS_MAX];
	make_table(&s, table);
	opt_print_help(table, out);
}
