/*
 * NAME
 *	ingestd - write and hash what fetchd gets
 *
 * SYNOPSIS
 *	ingestd [--store DIR] [--runtime-dir DIR] [options]
 *	ingestd put [--raw] [--digest D] [--size N] REF
 *	ingestd offset REF
 *
 * DESCRIPTION
 *	The only writer of STORE/ingest. It takes requests from sluice, orders the bytes from fetchd, appends them to
 *	the ingest's data, keeps a running digest over exactly what the file accepted, and saves both so that a restart
 *	resumes where the last one stopped. A complete ingest whose digest matches is synced, made read-only and handed
 *	to commitd as a seal; on commitd's receipt its directory goes.
 *
 *	The ingest file is the only truth: whatever was in a pipe when somebody died is asked for again from its size.
 *	ingestd opens no network socket and gives no name in STORE/blobs.
 *
 * FILES
 *	STORE/ingest/<id>/	transfer, data, checkpoint, lock (common/store/layout.h, record.h, ingestd/disk/checkpoint.h)
 *	RUNTIME/pipes/orders, chunks, receipts	bound here; RUNTIME/pipes/seals is commitd's
 *	RUNTIME/ingest.ctl, ingest.events	bound here
 *	RUNTIME/ingestd.lock	held while the daemon runs
 *
 * DIAGNOSTICS
 *	One line on stderr for each change of a transfer's state; with their reason where it waits or failed. Exit
 *	codes are those of sysexits(3).
 */

/* System */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/log.h"
#include "common/base/process.h"

/* ingestd */
#include "ingestd/serve.h"
#include "ingestd/tool.h"

static const struct verb {
	const char *name; /* NULL: the daemon */
	const char *usage;
	const struct opt *options;
	int operands;
} verbs[] = {
    {"put", "ingestd put [OPTION...] REF", settings_put, 1},
    {"offset", "ingestd offset [OPTION...] REF", settings_offset, 1},
    {NULL,
     "ingestd [OPTION...]              serve: write and hash what arrives\n"
     "       ingestd put [OPTION...] REF      write and hash standard input\n"
     "       ingestd offset [OPTION...] REF   print where it goes on from",
     settings_daemon, 0},
};

static int run_verb(const struct verb *verb, char **operands)
{
	if (!verb->name)
		return serve_run(&settings);
	return strcmp(verb->name, "put") == 0 ? put_run(&settings, operands[0]) : offset_run(&settings, operands[0]);
}

static const struct verb *find_verb(int argc, char **argv)
{
	const struct verb *verb = verbs;

	while (verb->name && (argc < 2 || strcmp(argv[1], verb->name) != 0))
		verb++;
	return verb;
}

/* The options of the verb, from the environment and the command line; an exit code, or -1 to go on. */
static int read_options(const struct verb *verb, int *argc, char **argv)
{
	struct reason why;
	enum log_level level;

	if (opt_defaults(verb->options, NULL, &why) < 0 || opt_environment(verb->options, NULL, &why) < 0 ||
	    opt_command_line(verb->options, NULL, *argc, argv, argc, &why) < 0) {
		log_error("%s", why.text);
		return EX_USAGE;
	}
	if (settings.help) {
		(void)printf("usage: %s\n\n", verb->usage);
		opt_print_help(verb->options, stdout);
		return EX_OK;
	}
	if (settings.version) {
		(void)printf("ingestd %s\n", SLUICE_VERSION);
		return EX_OK;
	}
	if (log_level_parse(settings.log_level, &level) < 0) {
		log_error("'%s' is no log level: error, warning, notice, info or debug", settings.log_level);
		return EX_USAGE;
	}
	log_set_level(level);
	return -1;
}

int main(int argc, char **argv)
{
	const struct verb *verb = find_verb(argc, argv);
	int skip = verb->name ? 2 : 1;

	process_init("ingestd");
	argc -= skip;
	argv += skip;
	int code = read_options(verb, &argc, argv);
	if (code >= 0)
		return code;
	if (argc != verb->operands) {
		log_error("%s; usage: %s", argc > verb->operands ? "too many operands" : "REF is missing", verb->usage);
		return EX_USAGE;
	}
	return run_verb(verb, argv);
}
