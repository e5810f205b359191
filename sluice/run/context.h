/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every command of sluice gets: the global options, and the resulting places.
 */
#ifndef SLUICE_SLUICE_RUN_CONTEXT_H
#define SLUICE_SLUICE_RUN_CONTEXT_H

/* Base */
#include "common/base/program.h"

/* Sluice */
#include "sluice/run/places.h"

struct context {
	struct program_settings program; /* first */
	const char *store;               /* as given, or NULL; so are the next two */
	const char *runtime_dir;
	const char *config;
	bool json;
	bool quiet;
	bool verbose;
	struct places places; /* found before a command runs */
};

#endif
