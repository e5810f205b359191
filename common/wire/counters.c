/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/counters.h"

/* System */
#include <assert.h>

/* Base */
#include "common/base/be.h"
#include "common/base/clock.h"
#include "common/base/version.h"

#define NUMBER_BYTES 8

static_assert((COUNTERS)*NUMBER_BYTES <= COUNTS_MAX, "the numbers of a stage fit a message");

uint64_t counter_values[COUNTERS];

const uint64_t timer_bounds_ms[TIMER_BUCKETS - 1] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000};

/* Families of several rows: name and help. */
#define RETRIES     "sluice_fetchd_retries", "Failed attempts that were retried"
#define REFUSED     "sluice_refused_messages", "Messages that were refused: malformed, or not for this pipe"
#define SAW         "sluice_peer_restarts", "How often a peer was found to have restarted"
#define BACKLOG     "sluice_pipe_backlog", "Messages waiting to be sent on the pipe"
#define PEERS       "sluice_pipe_peers", "Processes connected to the pipe"
#define INGESTS     "sluice_ingests", "Transfers that are not finished"
#define REJECTED    "sluice_commitd_rejected", "Seals that were rejected"
#define WRITES      "sluice_store_writable", "Whether the stage can write to its directory in the store: 1 or 0"
#define SYNCS       "sluice_ingestd_sync_seconds", "How long ingestd's syncs and reservations took"
#define FETCH_ENDS  "sluice_fetchd_ended", "Transfers that ended"
#define INGEST_ENDS "sluice_ingestd_ended", "Transfers that ended"
#define NAMES       "sluice_commitd_names", "Changes to the names of images"
#define PAUSES      "sluice_fetchd_pauses", "How often fetchd paused a transfer because the pipe or a limit was full"
#define FETCHES     "sluice_fetchd_transfers", "Transfers that fetchd is working on"

/* Name, help and labels of a family that has one row; or one of those above, and labels. */
#define TOTAL(...) ROW(COUNTER_TOTAL, __VA_ARGS__)
#define GAUGE(...) ROW(COUNTER_GAUGE, __VA_ARGS__)
#define CLOCK(...) ROW(COUNTER_TIMER, __VA_ARGS__)
#define ROW(...)   ROW_OF(__VA_ARGS__)
#define ROW_OF(kind_, name_, help_, labels_)                                                                           \
	{                                                                                                              \
		.kind = (kind_), .name = (name_), .labels = (labels_), .help = (help_)                                 \
	}

const struct counter_row counter_rows[COUNTERS] = {
    [COUNT_FETCHED_BYTES] =
	TOTAL("sluice_fetchd_received_bytes", "Bytes of content from servers that were passed on", NULL),
    [COUNT_WASTED_BYTES] = TOTAL("sluice_fetchd_wasted_bytes", "Bytes from servers that were discarded", NULL),
    [COUNT_REQUESTS] = TOTAL("sluice_fetchd_requests", "Requests for content", NULL),
    [COUNT_RETRIES_ADDRESS] = TOTAL(RETRIES, "reason=\"address\""),
    [COUNT_RETRIES_CONNECTION] = TOTAL(RETRIES, "reason=\"connection\""),
    [COUNT_RETRIES_TLS] = TOTAL(RETRIES, "reason=\"tls\""),
    [COUNT_RETRIES_BROKEN] = TOTAL(RETRIES, "reason=\"broken_off\""),
    [COUNT_RETRIES_STALLED] = TOTAL(RETRIES, "reason=\"stalled\""),
    [COUNT_RETRIES_BUSY] = TOTAL(RETRIES, "reason=\"busy\""),
    [COUNT_RETRIES_STATUS] = TOTAL(RETRIES, "reason=\"status\""),
    [COUNT_RETRIES_SHORT] = TOTAL(RETRIES, "reason=\"short_body\""),
    [COUNT_RETRIES_OTHER] = TOTAL(RETRIES, "reason=\"other\""),
    [COUNT_RANGES_REFUSED] =
	TOTAL("sluice_fetchd_ranges_refused", "Ranges within the content that a server refused", NULL),
    [COUNT_MIRRORS_LEFT] = TOTAL("sluice_fetchd_mirrors_left", "Mirrors that were abandoned for the next", NULL),
    [COUNT_FETCHES_DONE] = TOTAL(FETCH_ENDS, "outcome=\"done\""),
    [COUNT_FETCHES_FAILED] = TOTAL(FETCH_ENDS, "outcome=\"failed\""),
    [COUNT_PAUSES_PIPE] = TOTAL(PAUSES, "reason=\"pipe\""),
    [COUNT_PAUSES_BANDWIDTH] = TOTAL(PAUSES, "reason=\"bandwidth\""),
    [COUNT_REFUSED_ORDERS] = TOTAL(REFUSED, "stage=\"fetchd\",pipe=\"orders\""),
    [COUNT_FETCHD_SAW_INGESTD] = TOTAL(SAW, "stage=\"fetchd\",peer=\"ingestd\""),
    [COUNT_FETCHES_BUSY] = GAUGE(FETCHES, "state=\"busy\""),
    [COUNT_FETCHES_IN_LINE] = GAUGE(FETCHES, "state=\"in_line\""),
    [COUNT_FETCHES_WAITING] = GAUGE(FETCHES, "state=\"waiting\""),
    [COUNT_BACKLOG_CHUNKS] = GAUGE(BACKLOG, "pipe=\"chunks\""),
    [COUNT_BREAKERS_OPENED] =
	TOTAL("sluice_fetchd_breaker_opened", "How often a server was found to be unavailable", NULL),
    [COUNT_BREAKERS_OPEN] = GAUGE("sluice_fetchd_breakers_open", "Servers that are unavailable now", NULL),

    [COUNT_RECEIVED_BYTES] = TOTAL("sluice_ingestd_received_bytes", "Bytes of content from fetchd", NULL),
    [COUNT_WRITTEN_BYTES] = TOTAL("sluice_ingestd_written_bytes", "Bytes of content written and hashed", NULL),
    [COUNT_REHASHED_BYTES] = TOTAL("sluice_ingestd_rehashed_bytes", "Bytes hashed again after a restart", NULL),
    [COUNT_DUPLICATE_BYTES] = TOTAL("sluice_ingestd_duplicate_bytes", "Duplicate bytes from fetchd", NULL),
    [COUNT_ORDERS] = TOTAL("sluice_ingestd_orders", "Orders to fetchd", NULL),
    [COUNT_GAPS] = TOTAL("sluice_ingestd_gaps", "Gaps in the content that were ordered again", NULL),
    [COUNT_SILENT] = TOTAL("sluice_ingestd_silent", "Transfers that were silent for too long, and ordered again", NULL),
    [COUNT_STARTED_OVER] = TOTAL("sluice_ingestd_started_over", "Transfers that started over", NULL),
    [COUNT_ENDED_COMMITTED] = TOTAL(INGEST_ENDS, "outcome=\"committed\""),
    [COUNT_ENDED_FAILED] = TOTAL(INGEST_ENDS, "outcome=\"failed\""),
    [COUNT_CHECKPOINT_TIME] = CLOCK(SYNCS, "kind=\"checkpoint\""),
    [COUNT_SEAL_TIME] = CLOCK(SYNCS, "kind=\"seal\""),
    [COUNT_RESERVE_TIME] = CLOCK(SYNCS, "kind=\"reserve\""),
    [COUNT_REFUSED_CHUNKS] = TOTAL(REFUSED, "stage=\"ingestd\",pipe=\"chunks\""),
    [COUNT_REFUSED_RECEIPTS] = TOTAL(REFUSED, "stage=\"ingestd\",pipe=\"receipts\""),
    [COUNT_REFUSED_INGEST_CTL] = TOTAL(REFUSED, "stage=\"ingestd\",pipe=\"ingest.ctl\""),
    [COUNT_INGESTD_SAW_FETCHD] = TOTAL(SAW, "stage=\"ingestd\",peer=\"fetchd\""),
    [COUNT_INGESTD_SAW_COMMITD] = TOTAL(SAW, "stage=\"ingestd\",peer=\"commitd\""),
    [COUNT_INGESTS_QUEUED] = GAUGE(INGESTS, "state=\"queued\",why=\"\""),
    [COUNT_INGESTS_FETCHING] = GAUGE(INGESTS, "state=\"fetching\",why=\"\""),
    [COUNT_INGESTS_SEALED] = GAUGE(INGESTS, "state=\"sealed\",why=\"\""),
    [COUNT_INGESTS_FAILED] = GAUGE(INGESTS, "state=\"failed\",why=\"\""),
    [COUNT_INGESTS_FOR_SPACE] = GAUGE(INGESTS, "state=\"waiting\",why=\"space\""),
    [COUNT_INGESTS_FOR_LOCK] = GAUGE(INGESTS, "state=\"waiting\",why=\"lock\""),
    [COUNT_INGESTS_FOR_TIME] = GAUGE(INGESTS, "state=\"waiting\",why=\"retry\""),
    [COUNT_INGESTS_FOR_ASKER] = GAUGE(INGESTS, "state=\"waiting\",why=\"asker\""),
    [COUNT_RATE] = GAUGE("sluice_ingestd_rate_bytes", "Bytes per second arriving now, in all transfers", NULL),
    [COUNT_BACKLOG_ORDERS] = GAUGE(BACKLOG, "pipe=\"orders\""),
    [COUNT_BACKLOG_SEALS] = GAUGE(BACKLOG, "pipe=\"seals\""),
    [COUNT_PEERS_ORDERS] = GAUGE(PEERS, "pipe=\"orders\""),
    [COUNT_PEERS_CHUNKS] = GAUGE(PEERS, "pipe=\"chunks\""),
    [COUNT_PEERS_RECEIPTS] = GAUGE(PEERS, "pipe=\"receipts\""),
    [COUNT_INGESTD_WRITES] = GAUGE(WRITES, "stage=\"ingestd\""),
    [COUNT_SPACE_FREE] = GAUGE("sluice_store_free_bytes", "Bytes free on the store's file system", NULL),
    [COUNT_SPACE_SIZE] = GAUGE("sluice_store_size_bytes", "The size of the store's file system", NULL),
    [COUNT_INODES_FREE] = GAUGE("sluice_store_free_inodes", "Inodes free on the store's file system", NULL),
    [COUNT_INODES_SIZE] = GAUGE("sluice_store_inodes", "Inodes of the store's file system, 0 if unlimited", NULL),
    [COUNT_INGESTS_COLLECTED] = TOTAL("sluice_ingestd_gc_removed_transfers",
				      "Transfers that gc removed, or that were kept for long enough", NULL),
    [COUNT_INGESTS_COLLECTED_BYTES] =
	TOTAL("sluice_ingestd_gc_removed_bytes", "Bytes on disk of the transfers that gc removed", NULL),

    [COUNT_COMMITS] = TOTAL("sluice_commitd_commits", "Blobs that got their name", NULL),
    [COUNT_COMMITTED_BYTES] = TOTAL("sluice_commitd_committed_bytes", "Bytes of blobs that got their name", NULL),
    [COUNT_REJECTED_DATA] = TOTAL(REJECTED, "class=\"bad_data\""),
    [COUNT_REJECTED_MISSING] = TOTAL(REJECTED, "class=\"missing\""),
    [COUNT_REJECTED_IO] = TOTAL(REJECTED, "class=\"io\""),
    [COUNT_REJECTED_SPACE] = TOTAL(REJECTED, "class=\"space\""),
    [COUNT_REJECTED_OTHER] = TOTAL(REJECTED, "class=\"other\""),
    [COUNT_BATCH_TIME] =
	CLOCK("sluice_commitd_batch_seconds", "How long a batch of commits took, syncs included", NULL),
    [COUNT_READ_BACK_BYTES] = TOTAL("sluice_commitd_read_back_bytes", "Bytes read back before naming", NULL),
    [COUNT_READ_BACK_TIME] = CLOCK("sluice_commitd_read_back_seconds", "How long reading a blob back took", NULL),
    [COUNT_NAMES_SET] = TOTAL(NAMES, "change=\"set\""),
    [COUNT_NAMES_REMOVED] = TOTAL(NAMES, "change=\"removed\""),
    [COUNT_REFUSED_SEALS] = TOTAL(REFUSED, "stage=\"commitd\",pipe=\"seals\""),
    [COUNT_REFUSED_COMMIT_CTL] = TOTAL(REFUSED, "stage=\"commitd\",pipe=\"commit.ctl\""),
    [COUNT_COMMITD_SAW_INGESTD] = TOTAL(SAW, "stage=\"commitd\",peer=\"ingestd\""),
    [COUNT_SEALS_IN_HAND] = GAUGE("sluice_commitd_seals", "Seals that commitd has not answered yet", NULL),
    [COUNT_BACKLOG_RECEIPTS] = GAUGE(BACKLOG, "pipe=\"receipts\""),
    [COUNT_PEERS_SEALS] = GAUGE(PEERS, "pipe=\"seals\""),
    [COUNT_COMMITD_WRITES] = GAUGE(WRITES, "stage=\"commitd\""),
    [COUNT_GC_RUNS] = TOTAL("sluice_commitd_gc_runs", "Runs of gc, except dry ones", NULL),
    [COUNT_GC_REMOVED] = TOTAL("sluice_commitd_gc_removed_blobs", "Blobs that gc removed", NULL),
    [COUNT_GC_REMOVED_BYTES] = TOTAL("sluice_commitd_gc_removed_bytes", "Bytes of the blobs that gc removed", NULL),
    [COUNT_CHECKED_BYTES] = TOTAL("sluice_commitd_checked_bytes", "Bytes of blobs that were read to check them", NULL),
    [COUNT_QUARANTINED] =
	TOTAL("sluice_commitd_quarantined_blobs", "Damaged blobs that were moved to quarantine", NULL),
    [COUNT_LEASES] = GAUGE("sluice_commitd_leases", "Leases, which keep content without a name", NULL),
    [COUNT_INDEX_WRITES] = TOTAL("sluice_commitd_index_writes", "How often index.json was written", NULL),
};

void count_time(enum counter timer, uint64_t took_ms)
{
	unsigned bucket = 0;

	assert(counter_rows[timer].kind == COUNTER_TIMER);
	while (bucket < TIMER_BUCKETS - 1 && took_ms > timer_bounds_ms[bucket])
		bucket++;
	counter_values[timer + bucket]++;
	counter_values[timer + TIMER_BUCKETS] += took_ms;
}

enum counter counters_of(enum stage_id stage, size_t *ret_len)
{
	static const enum counter first[] = {
	    [STAGE_FETCHD] = 0,
	    [STAGE_INGESTD] = COUNT_RECEIVED_BYTES,
	    [STAGE_COMMITD] = COUNT_COMMITS,
	    [STAGE_COMMITD + 1] = COUNTERS,
	};
	*ret_len = (size_t)(first[stage + 1] - first[stage]);
	return first[stage];
}

void counters_tell(const struct stage_self *self, uint8_t out[static COUNTS_MAX], struct message *ret_counts)
{
	size_t len;
	enum counter first = counters_of(self->stage, &len);

	for (size_t i = 0; i < len; i++)
		be_put(out + i * NUMBER_BYTES, counter_values[first + i], NUMBER_BYTES);
	*ret_counts = (struct message){
	    .type = MSG_COUNTS,
	    .stage = (uint8_t)self->stage,
	    .incarnation = self->incarnation,
	    .started_s = self->started_s,
	    .updated_s = clock_wall_s(),
	    .version = span_str(SLUICE_VERSION),
	    .counts = span_of(out, len * NUMBER_BYTES),
	};
}

void counters_decode(enum stage_id stage, struct span counts, uint64_t values[static COUNTERS])
{
	size_t len;
	enum counter first = counters_of(stage, &len);

	for (size_t i = 0; i < len && (i + 1) * NUMBER_BYTES <= counts.len; i++)
		values[first + i] = be_get(counts.data + i * NUMBER_BYTES, NUMBER_BYTES);
}
