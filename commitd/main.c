/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NAME
 *	commitd - the stage of Sluice that gives blobs their names
 *
 * SYNOPSIS
 *	commitd [options]
 *	commitd commit [options]
 *
 * DESCRIPTION
 *	commitd is the only process that names blobs under blobs/ and the only one that writes index.json. ingestd tells
 *	it that an ingest is sealed: complete, read-only and on disk. commitd reads the bytes back if necessary, moves
 *	the file to its name without replacing anything, waits until the name is on disk, and only then sends a receipt.
 *	It opens no network socket and never writes to an ingest's data.
 *
 *	Without a verb it is a daemon, until SIGTERM. It may be killed and started at any time: ingestd sends every seal
 *	without a receipt again, and every commit can be repeated from any point.
 *
 *	commit	reads seals from standard input, as printed by `ingestd put`, and prints the digest of each committed
 *		blob, one per line. The ingest is then removed. It may run beside the daemons.
 *
 * OPTIONS
 *	--store DIR
 *		The store. Default: SLUICE_STORE, else /var/lib/sluice. It is created if it does not exist.
 *	--runtime-dir DIR
 *		The directory of the sockets. Default: SLUICE_RUNTIME_DIR, else /run/sluice.
 *	--verify when-asked|always
 *		Which blobs to read back from the disk and hash before they are named: those marked as doubtful (a
 *		restart found a record that did not match, or a reboot), or all of them.
 *	--log-level error|warning|notice|info|debug
 *
 * FILES
 *	STORE/blobs/sha256, STORE/blobs/sha512, STORE/index.json, STORE/oci-layout
 *		written only by commitd
 *	STORE/ingest/ID/data
 *		moved away from there
 *	STORE/commit/ID
 *		where it is until it has its name; nobody else may enter
 *	RUNTIME/seal/seals, RUNTIME/seal/receipts, RUNTIME/commitd/ctl
 *		the sockets that it binds
 *
 * DIAGNOSTICS
 *	Messages go to standard error. Exit codes are those of sysexits(3): 64 usage; 65 a wrong digest, or standard
 *	input is not a stream of seals; 73 the store cannot be created; 74 an I/O error; 75 another commitd serves the
 *	store, no space, or no seal arrived: try again; 78 the store or the runtime directory cannot be used.
 *
 * SEE ALSO
 *	fetchd(1), ingestd(1), sluice(1)
 */

/* System */
#include <unistd.h>

/* Own */
#include "commitd/serve.h"
#include "commitd/settings.h"
#include "commitd/tool.h"

static const char *const verify_names[] = {"when-asked", "always", NULL};

static const struct opt options[] = {
    {.name = "store",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, store),
     .def = "/var/lib/sluice",
     .env = "SLUICE_STORE",
     .arg = "DIR",
     .help = "the store"},
    {.name = "runtime-dir",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, runtime_dir),
     .def = "/run/sluice",
     .env = "SLUICE_RUNTIME_DIR",
     .arg = "DIR",
     .help = "directory of the sockets"},
    {.name = "verify",
     .kind = OPT_CHOICE,
     .at = offsetof(struct settings, verify),
     .def = "when-asked",
     .choices = verify_names,
     .arg = "when-asked|always",
     .help = "read back before naming"},
    PROGRAM_LOG_LEVEL(struct settings, program, "notice", NULL),
    PROGRAM_OPTIONS(struct settings, program),
    {.name = NULL},
};

static int run_daemon(const struct call *call)
{
	return serve_run(call->settings);
}

static int run_commit(const struct call *call)
{
	return tool_commit(call->settings, STDIN_FILENO, STDOUT_FILENO);
}

static const struct verb verbs[] = {
    {.usage = "[OPTION...]", .summary = "serve: name what ingestd sealed", .run = run_daemon},
    {.name = "commit", .usage = "[OPTION...]", .summary = "read seals from stdin, print digests", .run = run_commit},
};

int main(int argc, char **argv)
{
	static const struct program commitd = {.name = "commitd", .options = options, VERBS(verbs)};
	struct settings settings = {0};
	return program_main(&commitd, &settings, argc, argv);
}
