/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of single registries: sections [registry HOST] of the configuration file, then of the files in
 * registries.d beside it, in the order of their names. If a key is repeated, the last one wins; for a list (mirror,
 * header) the last file with any.
 */
#ifndef SLUICE_FETCHD_CONFIG_REGISTRIES_H
#define SLUICE_FETCHD_CONFIG_REGISTRIES_H

#include "common/oci/reference.h"
#include "fetchd/http/http.h"

#define REGISTRIES_MAX   256 /* sections with different hosts */
#define MIRRORS_MAX      8   /* of one registry */
#define REGISTRY_HEADERS 16  /* of one registry */
#define UNSAID           UINT64_MAX

/* Bounds of the settings, here and for all hosts. */
#define HOUR_MS         (3600u * 1000)
#define WEEK_MS         (7u * 24 * HOUR_MS)
#define RETRIES_MAX     1000000u
#define CONNECTIONS_MAX 64u
#define RANGES_MAX      64u
#define RANGE_SIZE_MIN  (128u << 10) /* bytes */
#define RANGE_SIZE_MAX  (64u << 20)  /* bytes */
#define RATE_MAX        (1ull << 40) /* bytes per second */

enum plain_http {
	PLAIN_HTTP_UNSET, /* http on this machine unless TLS is configured for it, https elsewhere */
	PLAIN_HTTP_YES,
	PLAIN_HTTP_NO,
};

/* A key that may be repeated, in order. Texts live as long as the process. */
struct registry_list {
	const char *texts[REGISTRY_HEADERS];
	size_t len;
	unsigned file; /* which file they are from */
};

_Static_assert(MIRRORS_MAX <= REGISTRY_HEADERS, "a list has room for either");

/* When to retry, and how often. */
struct retry_settings {
	uint64_t max;          /* retries */
	uint64_t delay_ms;     /* the first wait is up to this long, the next up to twice that, ... */
	uint64_t delay_max_ms; /* ... up to this */
	uint64_t after_max_ms; /* give up if a server requests a longer wait */
};

/* How a big blob is fetched in several ranges at once. */
struct range_settings {
	uint64_t count; /* at a time; 1: none */
	uint64_t size;  /* bytes of one; 0: as they fit the path */
	uint64_t min;   /* bytes that must be left to fetch */
};

/* Limits of how fast bytes may and must arrive, in bytes per second; 0: none. */
struct speed_settings {
	uint64_t per_host, per_transfer;
	uint64_t min, min_ms; /* the minimum, measured over this time */
};

/* Settings that exist for one host and for all. UNSAID: not configured. */
struct host_settings {
	uint64_t connect_timeout_ms;
	uint64_t stall_timeout_ms;  /* without a byte, while we accept bytes */
	uint64_t answer_timeout_ms; /* before the first byte; 0: not configured (policy.c) */
	uint64_t connections;
	struct retry_settings retry;
	struct range_settings ranges;
	struct speed_settings speed;
};

/* A section [registry HOST]. Texts are NULL if not configured, and live as long as the process. */
struct registry_settings {
	char host[REFERENCE_HOST_MAX + 1]; /* "docker.io", "localhost:5000" */
	enum plain_http plain_http;
	struct http_tls tls;
	struct host_settings own;
	struct registry_list mirrors; /* "https://mirror.example:5000", in the order in which they are tried */
	struct registry_list headers; /* "Name: value" */
	bool is_named;                /* there is a section; otherwise it is only in certs.d */
	bool has_certs;               /* a directory of certs.d was read */
};

/* The settings of a host without a section. */
extern const struct registry_settings registry_unsaid;

/* All zero: empty. */
struct registries {
	struct registry_settings all[REGISTRIES_MAX];
	size_t len;
	unsigned file; /* the one being read */
};

/* The section of a host, created if there is none. NULL: not a host, or there are too many. */
struct registry_settings *registries_add(struct registries *rs, const char *host);

/*
 * Set one key of one section. -ENOENT: there is no such key; -EACCES: of a file that may not be read; -EINVAL; all with
 * a reason. Looks at the disk.
 */
int registries_set(struct registries *rs, const char *host, const char *key, const char *value, struct reason *why);

/* The host in a section name "registry HOST", or NULL for other names. Borrowed. */
const char *registries_section(const char *section);

/*
 * Read registries.d beside the configuration file `config`, if it exists. -errno with a reason that names file and
 * line. Reads the disk.
 */
int registries_read(struct registries *rs, const char *config, struct reason *why);

/* Checks of all sections together. -EBADMSG with a reason. */
int registries_check(const struct registries *rs, struct reason *why);

/* The section of a host; registry_unsaid if it has none. */
const struct registry_settings *registries_find(const struct registries *rs, const char *host);

#endif
