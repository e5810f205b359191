/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of transfers, by ref and by turn.
 */
#ifndef SLUICE_INGESTD_TRANSFERS_H
#define SLUICE_INGESTD_TRANSFERS_H

#include "ingestd/transfer.h"

#define TRANSFER_STATES (TRANSFER_FAILED + 1)

struct transfers {
	struct transfer **by_ref; /* owned, sorted by the bytes of the ref */
	size_t len, room;
	uint64_t turn;                    /* the last one given */
	size_t of_state[TRANSFER_STATES]; /* how many are in each state */
};

/* The transfer of a ref, or NULL. */
struct transfer *transfers_find(const struct transfers *ts, struct span ref);

/* The first transfer after `ref` in byte order; an empty ref: the first of all. NULL at the end. */
struct transfer *transfers_after(const struct transfers *ts, struct span ref);

/* A new transfer, QUEUED and last in turn. NULL: out of memory. The table owns it. */
struct transfer *transfers_add(struct transfers *ts, struct flow *flow, struct span ref);

/* How many unfinished transfers were first requested by a user. */
size_t transfers_of_user(const struct transfers *ts, uid_t uid);

/* Give the transfer the last turn. */
void transfers_to_end(struct transfers *ts, struct transfer *t);

/* Drop a transfer that has no job. */
void transfers_remove(struct transfers *ts, struct transfer *t);

/* The transfer in that state whose turn comes first, or NULL. */
struct transfer *transfers_oldest(const struct transfers *ts, enum transfer_state state);

/* Whether any ingest is open. */
bool transfers_any_open(const struct transfers *ts);

/* Refresh the gauges about transfers (counters.h). */
void transfers_count(const struct transfers *ts);

/* Close all ingests and free everything. No transfer may have a job. */
void transfers_release(struct transfers *ts);

#endif
