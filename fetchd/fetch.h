/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transfer: from an order to END or FAIL in its outlet, over any number of requests. Its steps are in fetch.c.
 */
#ifndef SLUICE_FETCHD_FETCH_H
#define SLUICE_FETCHD_FETCH_H

#include "fetchd/fetcher.h"

struct fetch;

/* What to fetch. Borrowed for the call. */
struct fetch_order {
	struct span ref;
	uint64_t attempt;
	struct span source;
	struct span policy;    /* of the source (common/wire/source_policy.h), or empty */
	uint64_t offset;       /* bytes that have arrived already */
	uint64_t size;         /* or SIZE_UNKNOWN */
	struct span expected;  /* a digest, or empty */
	struct span validator; /* of the bytes that have arrived, or empty */
	bool checked;          /* the bytes will be compared with a digest, even if `expected` is empty */
	uint32_t suspects; /* from earlier tries, as of fetch_served(): those that sent wrong bytes are asked last */
	bool resolve;      /* for a manifest by tag without `expected`: send only RESOLVED, if possible */
};

struct fetch_hooks {
	/* The last message has been sent, or never will be: free the transfer. */
	void (*done)(void *self, struct fetch *f);
};

/* The order is copied. 0, -ENOMEM, or -EINVAL: its policy is malformed. The caller owns the transfer and starts it with fetch_start(). */
int fetch_new(struct fetcher *env, const struct fetch_order *order, const struct fetch_hooks *hooks, void *self,
	      struct fetch **ret_fetch);

/* Start; `done` may be called from within. */
void fetch_start(struct fetch *f);

/* In any state; nothing more is sent. NULL is fine. */
void fetch_free(struct fetch *f);

/* Send a BEAT, unless a message was sent within the last BEAT_EVERY_MS. */
void fetch_beat(struct fetch *f);

/* Count it as busy, in line or waiting (counters.h). */
void fetch_count(const struct fetch *f);

/* In `done`: FAIL_NONE after END, else the class of the FAIL. */
enum fail_class fetch_outcome(const struct fetch *f);

/* Who has sent bytes, or a digest, so far: bits for the registry's mirrors and the registry itself. */
uint32_t fetch_served(const struct fetch *f);

#define FETCH_ALL_MIRRORS UINT32_C(0xff) /* among them */

/* In `done`: 0, or the -errno that made the sink useless; then neither END nor FAIL was sent. */
int fetch_sink_error(const struct fetch *f);

#endif
