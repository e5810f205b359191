/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetchd's options: rows of a table, from the configuration file's [fetchd] section, the environment and the command
 * line; and the sections [registry HOST] of that file and of those in registries.d beside it.
 */
#ifndef SLUICE_FETCHD_CONFIG_SETTINGS_H
#define SLUICE_FETCHD_CONFIG_SETTINGS_H

#include "common/base/program.h"
#include "common/wire/policy_options.h"
#include "fetchd/config/registries.h"

struct settings {
	struct program_settings program;

	/* For the daemon and `get`; also in the file. */
	const char *runtime_dir;
	const char *auth_file; /* NULL or empty: the usual places */
	uint64_t bandwidth;    /* for all transfers together, bytes per second; 0: no limit */
	struct host_settings all;
	struct registries registries;

	const char *config; /* before reading, NULL: none was named; after reading, NULL: there is none */

	/* For `get`. */
	uint64_t offset;
	const char *size; /* NULL: not known */
	const char *digest;
	bool raw;
	struct policy_options policy;

	unsigned
	    generation; /* changes each time the configuration is read, so that policies are resolved again (policy.h) */
};

/* The rows of every verb, and those that only `get` has. */
extern const struct opt settings_options[];
extern const struct opt settings_get_options[];

/*
 * For program.h: read the file that --config names, else the one that config_find() finds, registries.d beside it, and
 * certs.d into a struct settings. 0, or -errno with a reason that names file and line. Reads the disk.
 */
int settings_read_file(void *settings, struct reason *why);

#endif
