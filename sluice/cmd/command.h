/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of sluice: their settings, and a row for each (common/base/program.h) with its usage, its help and its
 * function. A command returns an exit code of sysexits(3), after printing one line that says why, or EXIT_INTERRUPTED
 * (run/interrupt.h).
 */
#ifndef SLUICE_SLUICE_CMD_COMMAND_H
#define SLUICE_SLUICE_CMD_COMMAND_H

/* Base */
#include "common/base/program.h"

/* Wire */
#include "common/wire/policy_options.h"

/* Sluice */
#include "sluice/run/context.h"

struct settings {
	struct context context; /* first */

	/* Options of pull and fetch. */
	struct policy_options policy;
	uint64_t timeout_ms; /* 0: none */

	/* Options of login. */
	const char *login_user;
	bool login_stdin;

	/* Options of one command each. */
	bool pull_all;
	const char *pull_platform, *pull_arch, *pull_os, *pull_variant;
	const char *fetch_digest, *fetch_name, *fetch_output;
	uint64_t fetch_size; /* or SIZE_UNKNOWN */
	bool ls_blobs, ls_extracted;
	bool inspect_raw, inspect_config, inspect_layers, inspect_needed_by;
	bool rm_extracted;
	struct opt_texts extract_titles, extract_digests;
	unsigned extract_link; /* enum outfile_link */
	bool status_watch;
	bool gc_dry_run;
	uint64_t gc_grace_ms, gc_older_ms; /* GC_UNSAID unless given */
	uint64_t gc_free;                  /* or SIZE_UNKNOWN */
	bool check_repair;
	uint64_t check_since_ms; /* 0: never */
	bool up_no_resume, up_background, up_remove;
};

/* Rows for the options of pull and fetch. */
#define SOURCE_OPTIONS                                                                                                 \
	POLICY_OPTIONS_ALL(struct settings, policy),                                                                   \
	{                                                                                                              \
		.name = "timeout", .kind = OPT_TIME_MS, .at = offsetof(struct settings, timeout_ms), .min = 1,         \
		.max = COMMAND_TIMEOUT_MAX_MS, .arg = "TIME", .help = "give up after this; what arrived is kept"       \
	}
#define GC_UNSAID              UINT64_MAX
#define COMMAND_TIMEOUT_MAX_MS (30ull * 24 * 3600 * 1000)

/* The global options of a call. */
static inline const struct context *command_context(const struct call *call)
{
	return &((const struct settings *)call->settings)->context;
}

/* Each is defined beside its function. */
extern const struct verb command_pull, command_fetch;
extern const struct verb command_status, command_abort, command_reset;
extern const struct verb command_events, command_stats, command_metrics, command_doctor;
extern const struct verb command_gc, command_check;
extern const struct verb command_ls, command_images, command_inspect, command_cat, command_extract;
extern const struct verb command_tag, command_rm;
extern const struct verb command_login, command_logout;
extern const struct verb command_up;

#endif
