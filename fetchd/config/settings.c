/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/config/settings.h"

/* System */
#include <errno.h>
#include <limits.h>
#include <string.h>

/* Base */
#include "common/base/config.h"

/* Own */
#include "fetchd/config/certs.h"

#define ROWS_IN_FILE 19 /* the first rows of settings_options may also be in the file */
#define SECTION      "fetchd"

const struct opt settings_options[] = {
    {.name = "runtime-dir",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, runtime_dir),
     .def = "/run/sluice",
     .min = 1,
     .max = 4096,
     .env = "SLUICE_RUNTIME_DIR",
     .arg = "DIR",
     .help = "directory of the sockets"},
    PROGRAM_LOG_LEVEL(struct settings, program, "notice", NULL),
    {.name = "auth-file",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, auth_file),
     .max = 4096,
     .arg = "FILE",
     .help = "credentials, before those of podman and docker"},
    {.name = "max-retries",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, all.retry.max),
     .def = "8",
     .max = RETRIES_MAX,
     .arg = "N",
     .help = "retries; each new 64 KiB give one back"},
    {.name = "retry-delay",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, all.retry.delay_ms),
     .def = "1s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "the first wait; further ones are longer"},
    {.name = "retry-delay-max",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, all.retry.delay_max_ms),
     .def = "30s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "the longest wait, unless a server asks"},
    {.name = "retry-after-max",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, all.retry.after_max_ms),
     .def = "10m",
     .max = WEEK_MS,
     .arg = "TIME",
     .help = "the longest that a server may request"},
    {.name = "connect-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, all.connect_timeout_ms),
     .def = "15s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "for lookup, connection and TLS together"},
    {.name = "stall-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, all.stall_timeout_ms),
     .def = "30s",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "drop a connection silent for this long"},
    {.name = "answer-timeout",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, all.answer_timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME"},
    {.name = "connections-per-host",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, all.connections),
     .def = "8",
     .min = 1,
     .max = CONNECTIONS_MAX,
     .arg = "N",
     .help = "parallel connections per host"},
    {.name = "ranges",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, all.ranges.count),
     .def = "8",
     .min = 1,
     .max = RANGES_MAX,
     .arg = "N",
     .help = "parallel range requests per blob"},
    {.name = "range-size",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, all.ranges.size),
     .min = RANGE_SIZE_MIN,
     .max = RANGE_SIZE_MAX,
     .arg = "BYTES",
     .help = "bytes per request, if not to fit the path"},
    {.name = "range-min",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, all.ranges.min),
     .def = "16M",
     .min = 1,
     .max = INT64_MAX,
     .arg = "BYTES",
     .help = "use ranges only if more than this is left"},
    {.name = "bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, bandwidth),
     .def = "0",
     .max = RATE_MAX,
     .arg = "RATE",
     .help = "bytes per second in total; 0: no limit"},
    {.name = "host-bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, all.speed.per_host),
     .def = "0",
     .max = RATE_MAX,
     .arg = "RATE",
     .help = "of each host"},
    {.name = "transfer-bandwidth",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, all.speed.per_transfer),
     .def = "0",
     .max = RATE_MAX,
     .arg = "RATE",
     .help = "of each transfer"},
    {.name = "min-speed",
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, all.speed.min),
     .def = "1K",
     .max = RATE_MAX,
     .arg = "RATE",
     .help = "drop slower connections; 0: never"},
    {.name = "min-speed-time",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, all.speed.min_ms),
     .def = "1m",
     .min = 1,
     .max = HOUR_MS,
     .arg = "TIME",
     .help = "measured over this time"},
    {.name = "config",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, config),
     .min = 1,
     .max = 4096,
     .env = "SLUICE_CONFIG",
     .arg = "FILE",
     .help = "read [fetchd] and [registry HOST] from here"},
    PROGRAM_OPTIONS(struct settings, program),
    {.name = NULL},
};

const struct opt settings_get_options[] = {
    {.name = "offset",
     .kind = OPT_COUNT,
     .at = offsetof(struct settings, offset),
     .def = "0",
     .max = INT64_MAX,
     .arg = "N",
     .help = "resume from this byte"},
    {.name = "size",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, size),
     .min = 1,
     .max = 20,
     .arg = "N",
     .help = "the size of the content in bytes"},
    {.name = "digest",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, digest),
     .min = 1,
     .max = DIGEST_TEXT_MAX,
     .arg = "DIGEST",
     .help = "the digest of the content"},
    {.name = "raw",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, raw),
     .def = "no",
     .help = "write bytes, not frames"},
    POLICY_OPTIONS_HOST(struct settings, policy),
    {.name = NULL},
};

struct reading {
	struct settings *settings;
	struct opt rows[ROWS_IN_FILE + 1]; /* those that a file may set */
};

/* Sections that the other programs may have one day. */
static bool is_of_another(const char *section)
{
	return strcmp(section, "sluice") == 0 || strcmp(section, "ingestd") == 0 || strcmp(section, "commitd") == 0;
}

/* A key in any other section is a mistake, and must not silently have no effect. */
static int visit(void *self, const char *section, const char *key, const char *value, struct reason *why)
{
	struct reading *in = self;
	if (strcmp(section, SECTION) == 0)
		return opt_set(in->rows, in->settings, key, value, why);
	const char *host = registries_section(section);
	if (host)
		return registries_set(&in->settings->registries, host, key, value, why);
	if (is_of_another(section))
		return 0;
	if (section[0] == '\0')
		reason_set(why, "'%s' is in no section: it must be below [fetchd] or [registry HOST]", key);
	else
		reason_set(why, "the section must be [fetchd] or [registry HOST], not [%s]", section);
	return -EINVAL;
}

static int read_config(struct settings *s, struct reason *why)
{
	struct reading in = {.settings = s};
	memcpy(in.rows, settings_options, ROWS_IN_FILE * sizeof(in.rows[0]));
	int r = config_read(s->config, visit, &in, why);
	if (r == 0)
		r = registries_read(&s->registries, s->config, why);
	if (r == 0)
		r = registries_check(&s->registries, why);
	return r == -EINVAL || r == -ENOENT ? -EBADMSG : r;
}

int settings_read_file(void *settings, struct reason *why)
{
	static char found[PATH_MAX]; /* static, because the settings refer to it */
	struct settings *s = settings;
	if (!s->config && config_find(found, sizeof(found)))
		s->config = found;
	int r = s->config ? read_config(s, why) : 0;
	if (r == 0)
		certs_read(&s->registries);
	return r;
}
