/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of commitd. Filled once at start; constant from then on.
 */
#ifndef SLUICE_COMMITD_SETTINGS_H
#define SLUICE_COMMITD_SETTINGS_H

#include "common/base/program.h"

enum verify { /* which blobs are read back before they are named; the order of verify_names */
	      VERIFY_WHEN_ASKED,
	      VERIFY_ALWAYS,
};

struct settings {
	struct program_settings program;
	const char *store;
	const char *runtime_dir;
	unsigned verify; /* enum verify */
};

#endif
