/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of the stages, each defined once: `sluice metrics` and `sluice stats` show them. A stage counts only on
 * the thread of its event loop, in its own memory, without locks or system calls; it reports the counters on request
 * (STATS), or, in the case of fetchd, which takes no requests, now and then (COUNTS on `chunks`).
 *
 *   total    only grows, from the start of the process
 *   gauge    the present value; refreshed before it is reported
 *   timer    how long something took: a histogram of TIMER_BUCKETS, then the sum in milliseconds
 */
#ifndef SLUICE_WIRE_COUNTERS_H
#define SLUICE_WIRE_COUNTERS_H

#include "common/wire/message.h"
#include "common/wire/stage.h"

#define TIMER_BUCKETS   10    /* the last one has no upper bound */
#define COUNTS_EVERY_MS 2000u /* fetchd sends its counters at most this often, and only after a change */
#define TIMER(name)     name, name##_SUM = name + TIMER_BUCKETS

enum counter {
	/* fetchd */
	COUNT_FETCHED_BYTES,
	COUNT_WASTED_BYTES,
	COUNT_REQUESTS,
	COUNT_RETRIES_ADDRESS,
	COUNT_RETRIES_CONNECTION,
	COUNT_RETRIES_TLS,
	COUNT_RETRIES_BROKEN,
	COUNT_RETRIES_STALLED,
	COUNT_RETRIES_BUSY,
	COUNT_RETRIES_STATUS,
	COUNT_RETRIES_SHORT,
	COUNT_RETRIES_OTHER,
	COUNT_RANGES_REFUSED,
	COUNT_MIRRORS_LEFT,
	COUNT_FETCHES_DONE,
	COUNT_FETCHES_FAILED,
	COUNT_PAUSES_PIPE,
	COUNT_PAUSES_BANDWIDTH,
	COUNT_REFUSED_ORDERS,
	COUNT_FETCHD_SAW_INGESTD,
	COUNT_FETCHES_BUSY,
	COUNT_FETCHES_IN_LINE,
	COUNT_FETCHES_WAITING,
	COUNT_BACKLOG_CHUNKS,
	COUNT_BREAKERS_OPENED,
	COUNT_BREAKERS_OPEN,
	/* ingestd */
	COUNT_RECEIVED_BYTES,
	COUNT_WRITTEN_BYTES,
	COUNT_REHASHED_BYTES,
	COUNT_DUPLICATE_BYTES,
	COUNT_ORDERS,
	COUNT_GAPS,
	COUNT_SILENT,
	COUNT_STARTED_OVER,
	COUNT_ENDED_COMMITTED,
	COUNT_ENDED_FAILED,
	TIMER(COUNT_CHECKPOINT_TIME),
	TIMER(COUNT_SEAL_TIME),
	TIMER(COUNT_RESERVE_TIME),
	COUNT_REFUSED_CHUNKS,
	COUNT_REFUSED_RECEIPTS,
	COUNT_REFUSED_INGEST_CTL,
	COUNT_INGESTD_SAW_FETCHD,
	COUNT_INGESTD_SAW_COMMITD,
	COUNT_INGESTS_QUEUED,
	COUNT_INGESTS_FETCHING,
	COUNT_INGESTS_SEALED,
	COUNT_INGESTS_FAILED,
	COUNT_INGESTS_FOR_SPACE,
	COUNT_INGESTS_FOR_LOCK,
	COUNT_INGESTS_FOR_TIME,
	COUNT_INGESTS_FOR_ASKER,
	COUNT_RATE,
	COUNT_BACKLOG_ORDERS,
	COUNT_BACKLOG_SEALS,
	COUNT_PEERS_ORDERS,
	COUNT_PEERS_CHUNKS,
	COUNT_PEERS_RECEIPTS,
	COUNT_INGESTD_WRITES,
	COUNT_SPACE_FREE,
	COUNT_SPACE_SIZE,
	COUNT_INODES_FREE,
	COUNT_INODES_SIZE,
	COUNT_INGESTS_COLLECTED,
	COUNT_INGESTS_COLLECTED_BYTES,
	/* commitd */
	COUNT_COMMITS,
	COUNT_COMMITTED_BYTES,
	COUNT_REJECTED_DATA,
	COUNT_REJECTED_MISSING,
	COUNT_REJECTED_IO,
	COUNT_REJECTED_SPACE,
	COUNT_REJECTED_OTHER,
	TIMER(COUNT_BATCH_TIME),
	COUNT_READ_BACK_BYTES,
	TIMER(COUNT_READ_BACK_TIME),
	COUNT_NAMES_SET,
	COUNT_NAMES_REMOVED,
	COUNT_REFUSED_SEALS,
	COUNT_REFUSED_COMMIT_CTL,
	COUNT_COMMITD_SAW_INGESTD,
	COUNT_SEALS_IN_HAND,
	COUNT_BACKLOG_RECEIPTS,
	COUNT_PEERS_SEALS,
	COUNT_COMMITD_WRITES,
	COUNT_GC_RUNS,
	COUNT_GC_REMOVED,
	COUNT_GC_REMOVED_BYTES,
	COUNT_LEASES,
	COUNT_INDEX_WRITES,
	COUNT_CHECKED_BYTES,
	COUNT_QUARANTINED,
	COUNTERS
};

enum counter_kind { COUNTER_TOTAL = 1, COUNTER_GAUGE, COUNTER_TIMER };

struct counter_row {
	enum counter_kind kind; /* 0: a slot of the timer before it */
	const char *name;       /* of the family; "_total" is appended for a total */
	const char *labels;     /* as written between the braces, or NULL */
	const char *help;
};

extern const struct counter_row counter_rows[COUNTERS];

/* The upper bounds of a timer's buckets in milliseconds, except the last, which has none. */
extern const uint64_t timer_bounds_ms[TIMER_BUCKETS - 1];

/* The counters of this process. */
extern uint64_t counter_values[COUNTERS];

static inline void count_add(enum counter c, uint64_t n)
{
	counter_values[c] += n;
}

static inline void count_set(enum counter c, uint64_t value)
{
	counter_values[c] = value;
}

/* Add a duration to a timer: to its bucket and its sum. */
void count_time(enum counter timer, uint64_t took_ms);

/* The counters of a stage: `ret_len` of them from the returned one on. */
enum counter counters_of(enum stage_id stage, size_t *ret_len);

/* Our own COUNTS message. Its views are valid as long as `out` is. */
void counters_tell(const struct stage_self *self, uint8_t out[static COUNTS_MAX], struct message *ret_counts);

/* Store the counters of a COUNTS message in `values`; those that a sender of another version lacks stay as they are. */
void counters_decode(enum stage_id stage, struct span counts, uint64_t values[static COUNTERS]);

#endif
