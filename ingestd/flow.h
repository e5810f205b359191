/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a transfer, step by step:
 *
 *   start ─► order ─► (OPENED, CHUNK …, END) ─► complete ─► seal ─► SEALED … COMMITTED ─► done
 *     │        ▲                                    │                     │
 *     │        ├── RESOLVED, of a tag, with content that is stored ─────────► done
 *     │        └── start over (Truncate(0), once) ◄─┴──── wrong digest ◄──┘ REJECTED
 *     └► wait, fail: rest
 *
 * A step is a function that returns the next one. Steps that need the ingest for themselves wait for the transfer's job
 * (transfer.h). Every function runs on the loop, does not block, and leaves the transfer in a phase from which a killed
 * daemon recovers by start.
 */
#ifndef SLUICE_INGESTD_FLOW_H
#define SLUICE_INGESTD_FLOW_H

#include "ingestd/events.h"
#include "ingestd/orders.h"
#include "ingestd/seals.h"
#include "ingestd/settings.h"

#define RECENT_MAX 1024 /* committed transfers that are remembered */

/* What the steps work with. The caller fills it; all is borrowed. */
struct flow {
	const struct settings *settings;
	const struct ingest_home *home;
	struct transfers *transfers;
	struct workers *workers;
	struct orders *orders; /* to fetchd */
	struct seals *seals;   /* to commitd */
	struct events *events; /* to subscribers */
	uint64_t attempt;      /* the highest so far, over all transfers */
	bool start_due;        /* a queued transfer may start: for turn.c, at the end of the turn */
};

/* Do a step and what follows from it, now or when the transfer's job is back. A later call replaces what waits. */
void flow_do(struct flow *f, struct transfer *t, enum step step);

/*
 * Stop the work of fetchd and commitd on an open transfer, then do the step. Later messages of this attempt are stale.
 */
void flow_halt(struct flow *f, struct transfer *t, enum step step);

/* Change the phase; tell the log and the events, unless others see no change. */
void flow_enter(struct flow *f, struct transfer *t, enum phase phase);

/* Do what comes next for an open ingest: complete it, or order the rest. */
void flow_go_on(struct flow *f, struct transfer *t);

/* Rest until there is a new request; the bytes stay. */
void flow_fail(struct flow *f, struct transfer *t, enum fail_class class, const char *text);

/* A write failed with -errno: "cannot VERB …". A full disk is waited out, anything else is tried once more. */
void flow_trouble(struct flow *f, struct transfer *t, int r, const char *verb);

/*
 * The bytes are wrong: drop them, and try once more from zero, or fail with `class`. So wrong bytes never block a ref.
 */
void flow_start_over(struct flow *f, struct transfer *t, enum fail_class class, const char *text);

/* Rest until there is space; the ingest is open, or could not be made. */
void flow_wait_for_space(struct flow *f, struct transfer *t, const char *text);

/*
 * A transfer may wait for space only because of a size that nobody asked for and a server, or fetchd, has said. One that
 * was not true would have it wait for ever, so it is asked for anew; `size` is what a new request says, or SIZE_UNKNOWN.
 */
void flow_doubt_size(struct flow *f, struct transfer *t, uint64_t size);

/* There seems to be space again: reserve it, then queue the transfer. It has no job. */
void flow_space_is_back(struct flow *f, struct transfer *t);

/* Reserve the space for what is still to come, if that is worth a job and there is none. */
void flow_reserve(struct flow *f, struct transfer *t);

/* A durable checkpoint, if enough has come in or enough time has gone since the last one. */
void flow_checkpoint_if_due(struct flow *f, struct transfer *t, uint64_t now_ms);

/* The content is in the store under this digest: the ingest goes. */
void flow_committed(struct flow *f, struct transfer *t, const struct digest *digest);

/* Whether all bytes are there, as far as their number is known. */
bool flow_is_complete(const struct ingest *in);

#endif
