/*
 * fetchd's options: rows of a table, from the configuration file's [fetchd] section, the environment and the command
 * line; and what the file, and those in registries.d beside it, say of single registries.
 */
#ifndef SLUICE_FETCHD_CONFIG_SETTINGS_H
#define SLUICE_FETCHD_CONFIG_SETTINGS_H

#include "common/base/opt.h"
#include "fetchd/backoff.h"
#include "fetchd/config/registries.h"
#include "fetchd/http/http.h"

struct settings {
	/* For the daemon and the tool, and in the file. */
	const char *runtime_dir;
	const char *log_level;
	const char *auth_file; /* NULL or empty: the usual places */
	uint64_t max_retries;  /* failures that are followed by another try; progress gives some back */
	uint64_t retry_delay_ms;
	uint64_t retry_delay_max_ms;
	uint64_t retry_after_max_ms; /* what a server may ask for; beyond it the transfer fails */
	uint64_t connect_timeout_ms;
	uint64_t stall_timeout_ms; /* without a byte, while we take bytes */
	uint64_t connections_per_host;
	struct range_settings ranges;
	uint64_t bandwidth; /* of all transfers together, bytes a second; 0: no limit */
	struct speed_settings speed;

	/* On the command line only. */
	const char *config; /* NULL: none */
	bool help;
	bool version;

	/* Of `get`. */
	uint64_t offset;
	const char *size; /* NULL: not known */
	const char *digest;
	bool raw;

	struct registries registries;
};

/*
 * Everything from its default to the command line (`argv` without the program's name, borrowed for the life of the
 * process). `ret_operands` has room for `argc` pointers and gets what is no option, `ret_count` of them. 0, or with a
 * reason and nothing changed -EINVAL (the command line, the environment) or another -errno (the file). May be called
 * again for a changed file. Reads the disk.
 */
int settings_load(int argc, char **argv, struct settings *ret_settings, char **ret_operands, int *ret_count,
		  struct reason *why);

/* Of a registry: its own word, else that for all. */
enum plain_http settings_plain_http(const struct settings *s, const char *host);

/* The nth mirror of a registry, or NULL: there are no more. */
const char *settings_mirror(const struct settings *s, const char *host, size_t n);

uint64_t settings_connections(const struct settings *s, const char *host);
struct backoff_limits settings_retries(const struct settings *s, const char *host);

struct range_settings settings_ranges(const struct settings *s, const char *host);
struct speed_settings settings_speed(const struct settings *s, const char *host);

/* Fill in TLS, time-outs, patience and headers of a request to `host`, borrowed from the settings. */
void settings_fill(const struct settings *s, const char *host, struct http_ask *ask);

/* The rows, for --help: those whose help begins with "get: ", or the others. */
void settings_print_help(bool of_get, FILE *out);

#endif
