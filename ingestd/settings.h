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
	uint64_t max_active;             /* transfers that fetchd is ordered to run at once */
	uint64_t checkpoint_bytes;       /* a durable checkpoint at least every so many bytes ... */
	uint64_t checkpoint_interval_ms; /* ... and so often, while bytes come in */
	uint64_t lease_ms;               /* a transfer that is silent for longer is ordered again */
	bool no_resume;                  /* leave what a former run did not finish until somebody asks */
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
