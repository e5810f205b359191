#include "ingestd/settings.h"

/* System */
#include <stddef.h>

/* OCI */
#include "common/oci/transfer.h"

struct settings settings = {.size = SIZE_UNKNOWN};

#define SECOND_MS      UINT64_C(1000)
#define HOUR_MS        (3600 * SECOND_MS)
#define MIB            (UINT64_C(1) << 20)
#define CHECKPOINT_MIN (MIB / 16) /* less than an append, so that tests may have one after each */

/* clang-format off */
#define STORE_ROW \
	{.name = "store", .kind = OPT_TEXT, .var = &settings.store, .def = "/var/lib/sluice", .env = "SLUICE_STORE", \
	 .arg = "DIR", .help = "the store"}
#define COMMON_ROWS \
	{.name = "boot-id", .kind = OPT_TEXT, .var = &settings.boot_id, .def = "", .env = "SLUICE_BOOT_ID", \
	 .arg = "ID", .help = "the boot id, if /proc/sys is hidden"}, \
	{.name = "log-level", .kind = OPT_TEXT, .var = &settings.log_level, .def = "info", .env = "SLUICE_LOG_LEVEL", \
	 .arg = "LEVEL", .help = "error, warning, notice, info or debug"}, \
	{.name = "help", .letter = 'h', .kind = OPT_FLAG, .var = &settings.help, .help = "show this and stop"}, \
	{.name = "version", .kind = OPT_FLAG, .var = &settings.version, .help = "show the version and stop"}, \
	{.name = NULL}
#define CHECKPOINT_ROWS \
	{.name = "checkpoint-bytes", .kind = OPT_BYTES, .var = &settings.checkpoint_bytes, .def = "64M", \
	 .min = CHECKPOINT_MIN, .max = 1024 * 1024 * MIB, .arg = "BYTES", .help = "write a durable checkpoint every BYTES"}, \
	{.name = "checkpoint-interval", .kind = OPT_TIME_MS, .var = &settings.checkpoint_interval_ms, .def = "10s", \
	 .min = 100, .max = HOUR_MS, .arg = "TIME", .help = "write a durable checkpoint every TIME"}

const struct opt settings_daemon[] = {
	STORE_ROW,
	{.name = "runtime-dir", .kind = OPT_TEXT, .var = &settings.runtime_dir, .def = "/run/sluice",
	 .env = "SLUICE_RUNTIME_DIR", .arg = "DIR", .help = "where the pipes are"},
	{.name = "max-active", .kind = OPT_COUNT, .var = &settings.max_active, .def = "8", .min = 1, .max = 256,
	 .env = "SLUICE_MAX_ACTIVE", .arg = "N", .help = "transfers to fetch at once"},
	CHECKPOINT_ROWS,
	{.name = "lease", .kind = OPT_TIME_MS, .var = &settings.lease_ms, .def = "30s", .min = 2 * SECOND_MS, .max = HOUR_MS,
	 .arg = "TIME", .help = "order a silent transfer again after TIME"},
	{.name = "no-resume", .kind = OPT_FLAG, .var = &settings.no_resume,
	 .help = "do not resume unfinished transfers at start"},
	COMMON_ROWS,
};

const struct opt settings_put[] = {
	STORE_ROW,
	{.name = "raw", .kind = OPT_FLAG, .var = &settings.raw, .help = "read plain bytes, not frames"},
	{.name = "offset", .kind = OPT_BYTES, .var = &settings.offset, .def = "0", .max = INT64_MAX, .arg = "N",
	 .help = "offset of the first byte, with --raw"},
	{.name = "digest", .kind = OPT_TEXT, .var = &settings.digest, .arg = "DIGEST", .help = "expected digest"},
	{.name = "size", .kind = OPT_BYTES, .var = &settings.size, .max = INT64_MAX, .arg = "N",
	 .help = "expected size"},
	CHECKPOINT_ROWS,
	COMMON_ROWS,
};

const struct opt settings_offset[] = {
	STORE_ROW,
	COMMON_ROWS,
};
/* clang-format on */
