/*
 * NAME
 *	commitd - the stage of Sluice that gives blobs their names
 *
 * SYNOPSIS
 *	commitd [options]
 *	commitd [options] commit
 *
 * DESCRIPTION
 *	commitd is the only process that gives a name under blobs/ and the only one that writes index.json. ingestd
 *	tells it that an ingest is sealed: all bytes there, read-only and on disk. commitd reads the bytes back where
 *	that is asked for, moves them to their name without replacing anything, waits until the name is on disk, and
 *	only then sends a receipt. It opens no network socket and never writes to an ingest's data.
 *
 *	Without a verb it is a daemon, until SIGTERM. It may be killed and started at any time: what has no receipt is
 *	sent again by ingestd, and every commit can be gone through again from any point.
 *
 *	commit	takes seals from standard input, as `ingestd put` prints them, and prints the digest of each blob that
 *		is committed, a line each. The ingest is removed afterwards. It may run beside the daemons.
 *
 * OPTIONS
 *	--store DIR
 *		The store. SLUICE_STORE in the environment, else /var/lib/sluice. It is made if it is not there.
 *	--runtime-dir DIR
 *		Where the pipes are. SLUICE_RUNTIME_DIR in the environment, else /run/sluice.
 *	--verify when-asked|always
 *		Which blobs are read back from the disk and hashed before they are named: those whose record has a gap
 *		(a restart that found it not to match, a reboot), or all of them.
 *	--log-level error|warning|notice|info|debug
 *
 * FILES
 *	STORE/blobs/sha256, STORE/blobs/sha512, STORE/index.json, STORE/oci-layout
 *		written by commitd alone
 *	STORE/ingest/ID/data
 *		moved away from there
 *	RUNTIME/pipes/seals, RUNTIME/pipes/receipts, RUNTIME/commit.ctl, RUNTIME/commit.events
 *		the pipes
 *
 * DIAGNOSTICS
 *	Messages go to standard error. Exit codes are those of sysexits(3): 64 usage; 65 a wrong digest, or standard
 *	input brings no seals; 73 the store cannot be made; 74 an I/O error; 75 another commitd serves the store, no
 *	space, or no seal arrived: trying again is right; 78 the store or the runtime directory cannot serve.
 *
 * SEE ALSO
 *	fetchd(1), ingestd(1), sluice(1)
 */

/* System */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/log.h"
#include "common/base/opt.h"
#include "common/base/process.h"

/* Own */
#include "commitd/serve.h"
#include "commitd/tool.h"

#define VERIFY_WHEN_ASKED "when-asked"
#define VERIFY_ALWAYS     "always"

static const char *store, *runtime_dir, *verify, *log_level;
static bool help, version;

static const struct opt options[] = {
    {.name = "store",
     .kind = OPT_TEXT,
     .var = &store,
     .def = "/var/lib/sluice",
     .env = "SLUICE_STORE",
     .arg = "DIR",
     .help = "the store"},
    {.name = "runtime-dir",
     .kind = OPT_TEXT,
     .var = &runtime_dir,
     .def = "/run/sluice",
     .env = "SLUICE_RUNTIME_DIR",
     .arg = "DIR",
     .help = "where the pipes are"},
    {.name = "verify",
     .kind = OPT_TEXT,
     .var = &verify,
     .def = VERIFY_WHEN_ASKED,
     .arg = VERIFY_WHEN_ASKED "|" VERIFY_ALWAYS,
     .help = "read back before naming"},
    {.name = "log-level",
     .kind = OPT_TEXT,
     .var = &log_level,
     .def = "notice",
     .arg = "LEVEL",
     .help = "error, warning, notice, info or debug"},
    {.name = "help", .letter = 'h', .kind = OPT_FLAG, .var = &help, .help = "show this and stop"},
    {.name = "version", .kind = OPT_FLAG, .var = &version, .help = "show the version and stop"},
    {.name = NULL},
};

static int usage_error(const char *text)
{
	log_error("%s", text);
	return EX_USAGE;
}

static int show_help(void)
{
	(void)printf("usage: commitd [OPTION...]          serve: name what ingestd sealed\n"
		     "       commitd [OPTION...] commit   take seals on standard input, print digests\n\n");
	opt_print_help(options, stdout);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int show_version(void)
{
	(void)printf("commitd %s\n", SLUICE_VERSION);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int run(int operands_len, char **operands)
{
	enum log_level level;
	if (help)
		return show_help();
	if (version)
		return show_version();
	if (log_level_parse(log_level, &level) < 0)
		return usage_error("the log level is one of error, warning, notice, info, debug");
	log_set_level(level);
	bool always = strcmp(verify, VERIFY_ALWAYS) == 0;
	if (!always && strcmp(verify, VERIFY_WHEN_ASKED) != 0)
		return usage_error("--verify is " VERIFY_WHEN_ASKED " or " VERIFY_ALWAYS);
	if (operands_len == 0)
		return serve_run(
		    &(struct serve_options){.store = store, .runtime_dir = runtime_dir, .verify_always = always});
	if (operands_len == 1 && strcmp(operands[0], "commit") == 0)
		return tool_commit(store, always, STDIN_FILENO, STDOUT_FILENO);
	return usage_error("the only verb is 'commit'; see commitd --help");
}

int main(int argc, char **argv)
{
	struct reason why;
	int operands_len = 0;
	process_init("commitd");
	if (opt_defaults(options, &why) < 0 || opt_environment(options, &why) < 0 ||
	    opt_command_line(options, argc - 1, argv + 1, &operands_len, &why) < 0)
		return usage_error(why.text);
	return run(operands_len, argv + 1);
}
