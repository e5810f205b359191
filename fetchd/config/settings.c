#include "fetchd/config/settings.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/config.h"
#include "common/base/log.h"

/* Own */
#include "fetchd/bucket.h"
#include "fetchd/window.h"

#define ROWS_IN_FILE 18
#define ROWS_MAX     27
#define SECTION      "fetchd"

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
	    {"max-retries", 0, OPT_COUNT, &s->max_retries, "8", 0, RETRIES_MAX, NULL, "N",
	     "retries; each new 64 KiB give one back"},
	    {"retry-delay", 0, OPT_TIME_MS, &s->retry_delay_ms, "1s", 1, HOUR_MS, NULL, "TIME",
	     "the first wait; further ones are longer"},
	    {"retry-delay-max", 0, OPT_TIME_MS, &s->retry_delay_max_ms, "30s", 1, HOUR_MS, NULL, "TIME",
	     "the longest, unless a server says more"},
	    {"retry-after-max", 0, OPT_TIME_MS, &s->retry_after_max_ms, "10m", 0, WEEK_MS, NULL, "TIME",
	     "the longest that a server may ask for"},
	    {"connect-timeout", 0, OPT_TIME_MS, &s->connect_timeout_ms, "15s", 1, HOUR_MS, NULL, "TIME",
	     "for name, connection and TLS together"},
	    {"stall-timeout", 0, OPT_TIME_MS, &s->stall_timeout_ms, "30s", 1, HOUR_MS, NULL, "TIME",
	     "give up after so long without a byte"},
	    {"connections-per-host", 0, OPT_COUNT, &s->connections_per_host, "8", 1, CONNECTIONS_MAX, NULL, "N",
	     "at most so many at a time"},
	    {"ranges", 0, OPT_COUNT, &s->ranges.count, "8", 1, PARTS_MAX, NULL, "N",
	     "at most so many at once for one blob"},
	    {"range-size", 0, OPT_BYTES, &s->ranges.size, "384K", PART_SIZE_MIN, PART_SIZE_MAX, NULL, "BYTES",
	     "of one of them"},
	    {"range-min", 0, OPT_BYTES, &s->ranges.min, "16M", 1, INT64_MAX, NULL, "BYTES",
	     "none, if less than this is left"},
	    {"bandwidth", 0, OPT_BYTES, &s->bandwidth, "0", 0, BUCKET_RATE_MAX, NULL, "RATE",
	     "bytes a second in all; 0: no limit"},
	    {"host-bandwidth", 0, OPT_BYTES, &s->speed.per_host, "0", 0, BUCKET_RATE_MAX, NULL, "RATE", "of each host"},
	    {"transfer-bandwidth", 0, OPT_BYTES, &s->speed.per_transfer, "0", 0, BUCKET_RATE_MAX, NULL, "RATE",
	     "of each transfer"},
	    {"min-speed", 0, OPT_BYTES, &s->speed.min, "1K", 0, BUCKET_RATE_MAX, NULL, "RATE",
	     "give up what is slower; 0: nothing"},
	    {"min-speed-time", 0, OPT_TIME_MS, &s->speed.min_ms, "1m", 1, HOUR_MS, NULL, "TIME", "over so long"},
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

/* The file is shared with the other programs: sections of theirs are none of our business. */
static int visit(void *self, const char *section, const char *key, const char *value, struct reason *why)
{
	struct loading *l = self;
	if (strcmp(section, SECTION) == 0)
		return opt_set(l->in_file, key, value, why);
	const char *host = registries_section(section);
	return host ? registries_set(&l->s.registries, host, key, value, why) : 0;
}

static int check(const struct settings *s, struct reason *why)
{
	enum log_level level;
	if (log_level_parse(s->log_level, &level) < 0) {
		reason_set(why, "there is no log level '%s'", s->log_level);
		return -EINVAL;
	}
	return registries_check(&s->registries, why);
}

static int read_file(struct loading *l, struct reason *why)
{
	int r = config_read(l->s.config, visit, l, why);
	if (r == 0)
		r = registries_read(&l->s.registries, l->s.config, why);
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

static const struct registry_settings *said_of(const struct settings *s, const char *host)
{
	const struct registry_settings *registry = registries_find(&s->registries, host);
	return registry ? registry : &registry_unsaid;
}

enum plain_http settings_plain_http(const struct settings *s, const char *host)
{
	return said_of(s, host)->plain_http;
}

const char *settings_mirror(const struct settings *s, const char *host, size_t n)
{
	const struct registry_list *mirrors = &said_of(s, host)->mirrors;
	return n < mirrors->len ? mirrors->texts[n] : NULL;
}

static uint64_t own_or(uint64_t own, uint64_t of_all)
{
	return own != UNSAID ? own : of_all;
}

uint64_t settings_connections(const struct settings *s, const char *host)
{
	return own_or(said_of(s, host)->connections, s->connections_per_host);
}

struct backoff_limits settings_retries(const struct settings *s, const char *host)
{
	const struct registry_settings *registry = said_of(s, host);
	return (struct backoff_limits){
	    .retries = own_or(registry->max_retries, s->max_retries),
	    .delay_ms = own_or(registry->retry_delay_ms, s->retry_delay_ms),
	    .delay_max_ms = own_or(registry->retry_delay_max_ms, s->retry_delay_max_ms),
	    .retry_after_max_ms = own_or(registry->retry_after_max_ms, s->retry_after_max_ms),
	};
}

struct range_settings settings_ranges(const struct settings *s, const char *host)
{
	const struct registry_settings *registry = said_of(s, host);
	return (struct range_settings){
	    .count = own_or(registry->ranges.count, s->ranges.count),
	    .size = own_or(registry->ranges.size, s->ranges.size),
	    .min = own_or(registry->ranges.min, s->ranges.min),
	};
}

struct speed_settings settings_speed(const struct settings *s, const char *host)
{
	const struct registry_settings *registry = said_of(s, host);
	return (struct speed_settings){
	    .per_host = own_or(registry->speed.per_host, s->speed.per_host),
	    .per_transfer = own_or(registry->speed.per_transfer, s->speed.per_transfer),
	    .min = own_or(registry->speed.min, s->speed.min),
	    .min_ms = own_or(registry->speed.min_ms, s->speed.min_ms),
	};
}

void settings_fill(const struct settings *s, const char *host, struct http_ask *ask)
{
	const struct registry_settings *registry = said_of(s, host);
	struct speed_settings speed = settings_speed(s, host);
	ask->tls = &registry->tls;
	ask->connect_timeout_ms = own_or(registry->connect_timeout_ms, s->connect_timeout_ms);
	ask->patience = (struct patience){
	    .stall_ms = own_or(registry->stall_timeout_ms, s->stall_timeout_ms),
	    .min_speed = speed.min,
	    .min_speed_ms = speed.min_ms,
	};
	ask->headers = registry->headers.texts;
	ask->headers_len = registry->headers.len;
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
