/*
 * What the configuration says of single registries: [registry HOST] sections of the configuration file, then of the
 * files in registries.d beside it, in the order of their names. Of what is said twice the later word counts, key by
 * key; of a list (mirror, header) the later file's.
 */
#ifndef SLUICE_FETCHD_CONFIG_REGISTRIES_H
#define SLUICE_FETCHD_CONFIG_REGISTRIES_H

#include "common/oci/reference.h"
#include "fetchd/http/http.h"
#include "fetchd/registry.h"

#define REGISTRIES_MAX   256 /* sections with different hosts */
#define MIRRORS_MAX      8   /* of one registry */
#define REGISTRY_HEADERS 16  /* of one registry */
#define UNSAID           UINT64_MAX

/* Bounds of what may be said, here and for all. */
#define HOUR_MS         (3600u * 1000)
#define WEEK_MS         (7u * 24 * HOUR_MS)
#define RETRIES_MAX     1000000u
#define CONNECTIONS_MAX 64u

/* What may be said several times, in its order. Texts live as long as the process. */
struct registry_list {
	const char *texts[REGISTRY_HEADERS];
	size_t len;
	unsigned file; /* which file they are from */
};

_Static_assert(MIRRORS_MAX <= REGISTRY_HEADERS, "a list has room for either");

/* How a big blob is fetched in several ranges at once. */
struct range_settings {
	uint64_t count; /* at a time; 1: none */
	uint64_t size;  /* bytes of one */
	uint64_t min;   /* bytes that must be left to fetch */
};

/* Limits of how fast bytes may and must come, in bytes a second; 0: none. */
struct speed_settings {
	uint64_t per_host, per_transfer;
	uint64_t min, min_ms; /* over so long */
};

/* Numbers are UNSAID, and texts NULL, where nothing is said. Texts live as long as the process. */
struct registry_settings {
	char host[REFERENCE_HOST_MAX + 1]; /* "docker.io", "localhost:5000" */
	enum plain_http plain_http;
	struct http_tls tls;
	uint64_t connect_timeout_ms;
	uint64_t stall_timeout_ms;
	uint64_t max_retries;
	uint64_t retry_delay_ms;
	uint64_t retry_delay_max_ms;
	uint64_t retry_after_max_ms;
	uint64_t connections;
	struct range_settings ranges;
	struct speed_settings speed;
	struct registry_list mirrors; /* "https://mirror.example:5000", in the order in which they are tried */
	struct registry_list headers; /* "Name: value" */
};

/* Of whom nothing is said. */
extern const struct registry_settings registry_unsaid;

/* All zero: empty. */
struct registries {
	struct registry_settings all[REGISTRIES_MAX];
	size_t len;
	unsigned file; /* the one that is being read */
};

/* Set what one key of one section says. -ENOENT: there is no such key; -EINVAL; both with a reason. Looks at the disk.
 */
int registries_set(struct registries *rs, const char *host, const char *key, const char *value, struct reason *why);

/* The host of a section's name "registry HOST", or NULL: it is another one. Borrowed. */
const char *registries_section(const char *section);

/*
 * Read registries.d beside the configuration file `config`; that there is none is fine. -errno with a reason that names
 * file and line. Reads the disk.
 */
int registries_read(struct registries *rs, const char *config, struct reason *why);

/* What only the whole can tell. -EBADMSG with a reason. */
int registries_check(const struct registries *rs, struct reason *why);

/* What is said of a host, or NULL. */
const struct registry_settings *registries_find(const struct registries *rs, const char *host);

#endif
