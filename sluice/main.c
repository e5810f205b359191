/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NAME
 *	sluice - pull container images and files, never fetching or hashing the same bytes twice
 *
 * SYNOPSIS
 *	sluice [OPTION...] COMMAND [OPTION...] [OPERAND...]
 *
 * DESCRIPTION
 *	The command line of Sluice. It sends requests to the daemons ingestd and commitd, shows their progress, and shows
 *	and names stored content. It opens no network socket and never writes to the store. If no daemons serve the
 *	store, pull, fetch, abort, reset, extract, tag, rm, gc and check start them for as long as they run.
 *
 *	pull REFERENCE		get an image, and name it when it is complete
 *	fetch URL		get a file
 *	status [REF...]		show transfers
 *	abort, reset REF...	drop a transfer; discard what arrived and keep the transfer
 *	events			follow what happens
 *	doctor			check the installation and suggest fixes
 *	stats, metrics		show what the stages have counted, for people and for Prometheus
 *	ls, images, inspect, cat	show what is stored
 *	extract NAME DIR	put the files of an artifact into a directory
 *	tag, rm			name an image or a file, remove names
 *	check [NAME...]		read stored content back, and fetch again what is damaged
 *	login, logout HOST	check and keep, or forget, credentials for a registry
 *	up			run the three stages in the foreground
 *
 * OPTIONS
 *	--store DIR, --runtime-dir DIR, --config FILE, --json, -q, -v, --help, --version; before or after the command.
 *
 * FILES
 *	/var/lib/sluice, ~/.local/share/sluice	the store, of root and of others
 *	RUNTIME/ingestd/ctl, RUNTIME/commitd/ctl	the sockets of the daemons; where RUNTIME is, see places.h
 *	RUNTIME/users, up.lock, log		of stages that a command started; see stages.h
 *
 * DIAGNOSTICS
 *	One line on stderr, and an exit code of sysexits(3): 64 usage, 65 bad data, 66 not found, 69 unavailable, 73 and
 *	74 cannot create and I/O, 75 try again, 77 not allowed, 78 configuration. An interrupted command dies of the
 *	signal, after a line that says what is kept.
 */

/* System */
#include <string.h>

/* Base */
#include "common/base/log.h"

/* OCI */
#include "common/oci/descriptor.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/run/interrupt.h"

static const struct verb *const commands[] = {
    &command_pull,   &command_fetch,   &command_status, &command_abort,   &command_reset,   &command_ls,
    &command_images, &command_inspect, &command_cat,    &command_extract, &command_tag,     &command_rm,
    &command_gc,     &command_check,   &command_events, &command_stats,   &command_metrics, &command_doctor,
    &command_login,  &command_logout,  &command_up,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct opt options[] = {
    {.name = "store",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, context.store),
     .min = 1,
     .max = 4095,
     .env = "SLUICE_STORE",
     .arg = "DIR",
     .help = "the store (SLUICE_STORE)"},
    {.name = "runtime-dir",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, context.runtime_dir),
     .min = 1,
     .max = 4095,
     .env = "SLUICE_RUNTIME_DIR",
     .arg = "DIR",
     .help = "where the sockets are (SLUICE_RUNTIME_DIR)"},
    {.name = "config",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, context.config),
     .min = 1,
     .max = 4095,
     .env = "SLUICE_CONFIG",
     .arg = "FILE",
     .help = "for fetchd, if started here (SLUICE_CONFIG)"},
    {.name = "json",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, context.json),
     .def = "no",
     .help = "write JSON: one object per line, the result last"},
    {.name = "quiet",
     .letter = 'q',
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, context.quiet),
     .def = "no",
     .help = "no progress, only results"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, context.verbose),
     .def = "no",
     .help = "log more, also from the stages"},
    PROGRAM_OPTIONS(struct settings, context.program),
    {.name = NULL},
};

static int begin(const struct call *call)
{
	struct context *ctx = &((struct settings *)call->settings)->context;
	struct reason why;

	if (ctx->verbose)
		log_set_level(LOG_LEVEL_INFO);
	int code = places_find(ctx->store, ctx->runtime_dir, &ctx->places, &why);
	if (code != 0)
		log_error("%s", why.text);
	return code;
}

static int end(const struct call *call, int code)
{
	places_release(&((struct settings *)call->settings)->context.places);
	if (code == EXIT_INTERRUPTED)
		interrupt_die();
	return code;
}

int main(int argc, char **argv)
{
	static struct verb verbs[COMMANDS];
	const struct program sluice = {.name = "sluice", .options = options, VERBS(verbs), .begin = begin, .end = end};
	struct settings settings = {.fetch_size = SIZE_UNKNOWN,
				    .gc_grace_ms = GC_UNSAID,
				    .gc_older_ms = GC_UNSAID,
				    .gc_free = SIZE_UNKNOWN,
				    .policy = {.retries = POLICY_UNSAID}};

	for (size_t i = 0; i < COMMANDS; i++)
		verbs[i] = *commands[i];
	return program_main(&sluice, &settings, argc, argv);
}
