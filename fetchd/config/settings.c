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
#define SECTION      "fetchd"

/* The first ROWS_IN_FILE rows may stand in the file too. */
static const struct opt rows[] = {
    {.name = "runtime-dir",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, runtime_dir),
     .def = "/run/sluice",
     .min = 1,
     .max = 4096,
     .env = "SLUICE_RUNTIME_DIR",
     .arg = "DIR",
     .help = "where the pipes are"},
    {.name = "log-level",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, log_level),
     .def = "notice",
     .min = 1,
     .max = 16,
     .arg = "LEVEL",
     .help = "error, warning, notice, info or debug"},
    {.name = "auth-file",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, auth_file),
     .max = 4096,
     .arg = "FILE",
     .help = "credentials, before those of podman and docker"},
    {.name = "max-retries",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, max_retries),
     .def = "8",
     .max = RETRIES_MAX,
     .arg = "N",
     .help = "retries; each new 64 KiB give one back"},
    {.name = "retry-delay",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, retry_delay_ms),
     .def = "1s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "the first wait; further ones are longer"},
    {.name = "retry-delay-max",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, retry_delay_max_ms),
     .def = "30s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "the longest, unless a server says more"},
    {.name = "retry-after-max",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, retry_after_max_ms),
     .def = "10m",
     .max = WEEK_MS,
     .arg = "TIME",
     .help = "the longest that a server may ask for"},
    {.name = "connect-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, connect_timeout_ms),
     .def = "15s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "for name, connection and TLS together"},
    {.name = "stall-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, stall_timeout_ms),
     .def = "30s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "give up after so long without a byte"},
    {.name = "connections-per-host",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, connections_per_host),
     .def = "8",
     .min = 1,
     .max = CONNECTIONS_MAX,
     .arg = "N",
     .help = "at most so many at a time"},
    {.name = "ranges",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, ranges.count),
     .def = "8",
     .min = 1,
     .max = PARTS_MAX,
     .arg = "N",
     .help = "at most so many at once for one blob"},
    {.name = "range-size",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, ranges.size),
     .def = "384K",
     .min = PART_SIZE_MIN,
     .max = PART_SIZE_MAX,
     .arg = "BYTES",
     .help = "of one of them"},
    {.name = "range-min",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, ranges.min),
     .def = "16M",
     .min = 1,
     .max = INT64_MAX,
     .arg = "BYTES",
     .help = "none, if less than this is left"},
    {.name = "bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, bandwidth),
     .def = "0",
     .max = BUCKET_RATE_MAX,
     .arg = "RATE",
     .help = "bytes a second in all; 0: no limit"},
    {.name = "host-bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, speed.per_host),
     .def = "0",
     .max = BUCKET_RATE_MAX,
     .arg = "RATE",
     .help = "of each host"},
    {.name = "transfer-bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, speed.per_transfer),
     .def = "0",
     .max = BUCKET_RATE_MAX,
     .arg = "RATE",
     .help = "of each transfer"},
    {.name = "min-speed",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, speed.min),
     .def = "1K",
     .max = BUCKET_RATE_MAX,
     .arg = "RATE",
     .help = "give up what is slower; 0: nothing"},
    {.name = "min-speed-time",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, speed.min_ms),
     .def = "1m",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "over so long"},
    {.name = "config",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, config),
     .min = 1,
     .max = 4096,
     .env = "SLUICE_CONFIG",
     .arg = "FILE",
     .help = "read [fetchd] and [registry HOST] from here"},
    {.name = "offset",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, offset),
     .def = "0",
     .max = INT64_MAX,
     .arg = "N",
     .help = "get: go on from this byte"},
    {.name = "size",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, size),
     .min = 1,
     .max = 20,
     .arg = "N",
     .help = "get: the content is so many bytes long"},
    {.name = "digest",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, digest),
     .min = 1,
     .max = DIGEST_TEXT_MAX,
     .arg = "DIGEST",
     .help = "get: what the content hashes to"},
    {.name = "raw",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, raw),
     .def = "no",
     .help = "get: write bytes, not frames"},
    {.name = "help",
     .letter = 'h',
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, help),
     .def = "no",
     .help = "show this and stop"},
    {.name = "version",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, version),
     .def = "no",
     .help = "show the version and stop"},
    {.name = NULL},
};

struct loading {
	struct settings s;
	struct opt in_file[ROWS_IN_FILE + 1]; /* those that a file may set */
};

/* The file is shared with the other programs: sections of theirs are none of our business. */
static int visit(void *self, const char *section, const char *key, const char *value, struct reason *why)
{
	struct loading *l = self;
	if (strcmp(section, SECTION) == 0)
		return opt_set(l->in_file, &l->s, key, value, why);
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
	int r = opt_defaults(rows, &l->s, why);
	for (int pass = 0; pass < 2 && r == 0; pass++) {
		memcpy(operands, argv, (size_t)argc * sizeof(*argv));
		r = opt_environment(rows, &l->s, why);
		if (r == 0)
			r = opt_command_line(rows, &l->s, argc, operands, ret_count, why);
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
	memcpy(l->in_file, rows, ROWS_IN_FILE * sizeof(rows[0]));
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
	struct opt chosen[sizeof(rows) / sizeof(rows[0])];
	size_t len = 0;
	for (size_t i = 0; rows[i].name; i++) {
		bool is_gets = strncmp(rows[i].help, verb, sizeof(verb) - 1) == 0;
		if (is_gets != of_get)
			continue;
		chosen[len] = rows[i];
		chosen[len++].help += is_gets ? sizeof(verb) - 1 : 0;
	}
	chosen[len] = (struct opt){0};
	opt_print_help(chosen, out);
}
