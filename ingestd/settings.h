/*
 * The options of ingestd. Filled once at start; constant from then on.
 */
#ifndef SLUICE_INGESTD_SETTINGS_H
#define SLUICE_INGESTD_SETTINGS_H

#include "common/base/opt.h"

struct settings {
	const char *store;
	const char *runtime_dir;
	const char *log_level;
	const char *boot_id;             /* empty: ask the kernel */
	uint64_t max_active;             /* transfers that fetchd is ordered to fetch at once */
	uint64_t checkpoint_bytes;       /* between durable checkpoints, at most this many bytes ... */
	uint64_t checkpoint_interval_ms; /* ... and this much time, while bytes come in */
	uint64_t lease_ms;               /* a transfer that is silent for longer is ordered again */
	bool no_resume;                  /* leave unfinished transfers idle at start */
	bool help, version;
	/* ingestd put */
	bool raw;
	const char *digest;
	uint64_t size;
	uint64_t offset;
};

extern struct settings settings;
extern const struct opt settings_daemon[];
extern const struct opt settings_put[];
extern const struct opt settings_offset[];

#endif
