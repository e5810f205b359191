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
 *	STORE/commit/ID
 *		where it is until it has its name; nobody else may enter
 *	RUNTIME/seal/seals, RUNTIME/seal/receipts, RUNTIME/commitd/ctl
 *		the sockets that it binds
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
