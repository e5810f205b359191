/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a transfer, step by step:
 *
 *   start ─► order ─► (OPENED, CHUNK …, END) ─► complete ─► seal ─► SEALED … COMMITTED ─► done
 *     │        ▲                                    │                     │
 *     │        ├── RESOLVED, of a tag, with content that is stored ─────────► done
 *     │        └── start over (Truncate(0), once) ◄─┴──── wrong digest ◄──┘ REJECTED
 *     └► wait, fail: idle
 *
 * A step is a function that returns the next one. Steps that need exclusive use of the ingest wait for the transfer's
 * job (transfer.h). Every function runs on the loop, does not block, and leaves the transfer in a phase from which
 * start recovers after a kill.
 */
#ifndef SLUICE_INGESTD_FLOW_H
#define SLUICE_INGESTD_FLOW_H

#include "ingestd/events.h"
#include "ingestd/logins.h"
#include "ingestd/orders.h"
#include "ingestd/seals.h"
#include "ingestd/settings.h"

#define RECENT_MAX 1024 /* committed transfers that are remembered */

/* What the steps work with. The caller fills it in; everything is borrowed. */
struct flow {
	const struct settings *settings;
	const struct ingest_home *home;
	struct transfers *transfers;
	struct workers *workers;
	struct orders *orders;    /* to fetchd */
	struct seals *seals;      /* to commitd */
	struct events *events;    /* to subscribers */
	uint64_t attempt;         /* the highest so far, over all transfers */
	struct policies policies; /* of requests */
	struct logins logins;
	bool start_due; /* a queued transfer may start: turn.c checks at the end of the turn */
};

/* Do a step and what follows from it, now or after the transfer's job. A later call replaces a waiting step. */
void flow_do(struct flow *f, struct transfer *t, enum step step);

/*
 * Call off the work of fetchd and commitd on an open transfer, then do the step. Later messages of this attempt are
 * stale.
 */
void flow_halt(struct flow *f, struct transfer *t, enum step step);

/* Change the phase; log and publish it if the visible state changes. */
void flow_enter(struct flow *f, struct transfer *t, enum phase phase);

/* The next step of an open ingest: complete it, or order the rest. */
void flow_go_on(struct flow *f, struct transfer *t);

/* Fail until there is a new request; the bytes are kept. */
void flow_fail(struct flow *f, struct transfer *t, enum fail_class class, const char *text);

/* fetchd gave up: go on with the next source, at the same offset, or fail. */
void flow_source_failed(struct flow *f, struct transfer *t, enum fail_class class, const char *text);

/* A write failed with -errno: "cannot VERB …". Waits if the disk is full; anything else is tried once more. */
void flow_trouble(struct flow *f, struct transfer *t, int r, const char *verb);

/*
 * The bytes are wrong: drop them, and start over once, or fail with `class`. So wrong bytes never block a ref.
 */
void flow_start_over(struct flow *f, struct transfer *t, enum fail_class class, const char *text);

/* Wait for space; the ingest is open, or could not be created. */
void flow_wait_for_space(struct flow *f, struct transfer *t, const char *text);

/*
 * A transfer may wait for space only because of a size that a server or fetchd reported. If that was wrong, it would
 * wait for ever, so the size is learned again; `size` is that of a new request, or SIZE_UNKNOWN.
 */
void flow_doubt_size(struct flow *f, struct transfer *t, uint64_t size);

/* There seems to be space again: reserve it, then queue the transfer, which has no job. */
void flow_space_is_back(struct flow *f, struct transfer *t);

/* Reserve the space for the missing bytes, if that is worth a job and the transfer has none. */
void flow_reserve(struct flow *f, struct transfer *t);

/* Write a durable checkpoint if enough bytes have arrived or enough time has passed since the last one. */
void flow_checkpoint_if_due(struct flow *f, struct transfer *t, uint64_t now_ms);

/* The content is stored under this digest: remove the ingest. */
void flow_committed(struct flow *f, struct transfer *t, const struct digest *digest);

/*
 * Whether content is stored durably; `ret_size`: how much. Not while a transfer of it is sealed: its name may exist but
 * not be synced yet, also from before a restart.
 */
bool flow_is_stored(const struct flow *f, const struct digest *d, uint64_t *ret_size);

/* Whether all bytes have arrived, if their number is known. */
bool flow_is_complete(const struct ingest *in);

#endif
