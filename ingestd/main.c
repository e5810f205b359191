/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NAME
 *	ingestd - write and hash what fetchd downloads
 *
 * SYNOPSIS
 *	ingestd [--store DIR] [--runtime-dir DIR] [options]
 *	ingestd put [--raw] [--digest D] [--size N] REF
 *	ingestd offset REF
 *
 * DESCRIPTION
 *	The only writer of STORE/ingest. It accepts requests from sluice, orders the bytes from fetchd, appends them to
 *	the ingest's data, keeps a running digest of exactly what the file accepted, and saves both so that a restart
 *	resumes where the last run stopped. A complete ingest whose digest matches is synced, made read-only and handed
 *	to commitd as a seal; on commitd's receipt its directory is removed.
 *
 *	The ingest file is the only truth: whatever was in a pipe when a process died is requested again, from the
 *	file's size on. ingestd opens no network socket and names nothing in STORE/blobs.
 *
 * FILES
 *	STORE/ingest/<id>/	transfer, data, checkpoint, lock (common/store/layout.h, record.h, ingestd/disk/checkpoint.h)
 *	RUNTIME/fetch/orders, RUNTIME/fetch/chunks, RUNTIME/ingestd/ctl	bound here
 *	RUNTIME/seal/seals, RUNTIME/seal/receipts	bound by commitd
 *	RUNTIME/ingestd/lock	held while the daemon runs
 *
 * DIAGNOSTICS
 *	One line on stderr for each change of a transfer's state, with the reason if it waits or failed. Exit codes are
 *	those of sysexits(3).
 */

/* OCI */
#include "common/oci/transfer.h"

/* ingestd */
#include "ingestd/serve.h"
#include "ingestd/tool.h"

#define SECOND_MS      UINT64_C(1000)
#define HOUR_MS        (3600 * SECOND_MS)
#define MIB            (UINT64_C(1) << 20)
#define CHECKPOINT_MIN (MIB / 16) /* less than an append, so that tests may have one after each */

#define AT(member)     .at = offsetof(struct settings, member)

/* clang-format off */
static const struct opt options[] = {
	{.name = "store", .kind = OPT_TEXT, AT(store), .def = "/var/lib/sluice", .env = "SLUICE_STORE", .arg = "DIR",
	 .help = "the store"},
	{.name = "boot-id", .kind = OPT_TEXT, AT(boot_id), .def = "", .env = "SLUICE_BOOT_ID", .arg = "ID",
	 .help = "the boot id, if /proc/sys is hidden"},
	PROGRAM_LOG_LEVEL(struct settings, program, "info", "SLUICE_LOG_LEVEL"),
	PROGRAM_OPTIONS(struct settings, program),
	{.name = NULL},
};

#define CHECKPOINT_ROWS \
	{.name = "checkpoint-bytes", .kind = OPT_BYTES, AT(checkpoint_bytes), .def = "64M", .min = CHECKPOINT_MIN, \
	 .max = 1024 * 1024 * MIB, .arg = "BYTES", .help = "write a durable checkpoint every BYTES"}, \
	{.name = "checkpoint-interval", .kind = OPT_TIME_MS, AT(checkpoint_interval_ms), .def = "10s", .min = 100, \
	 .max = HOUR_MS, .arg = "TIME", .help = "write a durable checkpoint every TIME"}

static const struct opt daemon_options[] = {
	{.name = "runtime-dir", .kind = OPT_TEXT, AT(runtime_dir), .def = "/run/sluice", .env = "SLUICE_RUNTIME_DIR",
	 .arg = "DIR", .help = "directory of the sockets"},
	{.name = "max-active", .kind = OPT_COUNT, AT(max_active), .def = "8", .min = 1, .max = 256,
	 .env = "SLUICE_MAX_ACTIVE", .arg = "N", .help = "transfers to fetch at once"},
	CHECKPOINT_ROWS,
	{.name = "lease", .kind = OPT_TIME_MS, AT(lease_ms), .def = "30s", .min = 2 * SECOND_MS, .max = HOUR_MS,
	 .arg = "TIME", .help = "order a silent transfer again after TIME"},
	{.name = "ingest-max-bytes", .kind = OPT_BYTES, AT(ingest_max_bytes), .def = "0", .max = INT64_MAX,
	 .env = "SLUICE_INGEST_MAX_BYTES", .arg = "BYTES",
	 .help = "space for unfinished transfers; 0: any"},
	{.name = "no-resume", .kind = OPT_FLAG, AT(no_resume), .help = "do not resume unfinished transfers at start"},
	{.name = NULL},
};

static const struct opt put_options[] = {
	{.name = "raw", .kind = OPT_FLAG, AT(raw), .help = "read plain bytes, not frames"},
	{.name = "offset", .kind = OPT_BYTES, AT(offset), .def = "0", .max = INT64_MAX, .arg = "N",
	 .help = "offset of the first byte, with --raw"},
	{.name = "digest", .kind = OPT_TEXT, AT(digest), .arg = "DIGEST", .help = "expected digest"},
	{.name = "size", .kind = OPT_BYTES, AT(size), .max = INT64_MAX, .arg = "N", .help = "expected size"},
	CHECKPOINT_ROWS,
	{.name = NULL},
};
/* clang-format on */

static int run_daemon(const struct call *call)
{
	return serve_run(call->settings);
}

static int run_put(const struct call *call)
{
	return put_run(call->settings, call->argv[0]);
}

static int run_offset(const struct call *call)
{
	return offset_run(call->settings, call->argv[0]);
}

static const struct verb verbs[] = {
    {.usage = "[OPTION...]",
     .summary = "serve: write and hash what arrives",
     .options = daemon_options,
     .run = run_daemon},
    {.name = "put",
     .usage = "[OPTION...] REF",
     .summary = "write and hash standard input",
     .options = put_options,
     .operands_min = 1,
     .operands_max = 1,
     .run = run_put},
    {.name = "offset",
     .usage = "[OPTION...] REF",
     .summary = "print the offset to resume from",
     .operands_min = 1,
     .operands_max = 1,
     .run = run_offset},
};

int main(int argc, char **argv)
{
	static const struct program ingestd = {.name = "ingestd", .options = options, VERBS(verbs)};
	struct settings settings = {.size = SIZE_UNKNOWN};

	return program_main(&ingestd, &settings, argc, argv);
}
