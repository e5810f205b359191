/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of ingestd. Filled once at start; constant from then on.
 */
#ifndef SLUICE_INGESTD_SETTINGS_H
#define SLUICE_INGESTD_SETTINGS_H

#include "common/base/program.h"

struct settings {
	struct program_settings program;
	const char *store;
	const char *boot_id; /* empty: ask the kernel */
	/* the daemon, and ingestd put */
	uint64_t checkpoint_bytes;       /* between durable checkpoints, at most this many bytes ... */
	uint64_t checkpoint_interval_ms; /* ... and this much time, while bytes arrive */
	/* the daemon */
	const char *runtime_dir;
	uint64_t max_active; /* transfers to fetch at once */
	uint64_t lease_ms;   /* a transfer that is silent for longer is ordered again */
	uint64_t
	    ingest_max_bytes; /* that ingests take; beyond, the ones that have rested longest are removed. 0: no limit */
	bool no_resume;       /* leave unfinished transfers idle at start */
	/* ingestd put */
	bool raw;
	const char *digest; /* NULL: not given */
	uint64_t size;      /* SIZE_UNKNOWN: not given */
	uint64_t offset;
};

#endif
