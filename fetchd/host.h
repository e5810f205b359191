/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about each origin: how many exchanges run with it, whether it ever answered, whether it answers now,
 * whether it serves ranges, and how fast it may send to us. Breakers are for each lane (http.h), the rest is for all.
 */
#ifndef SLUICE_FETCHD_HOST_H
#define SLUICE_FETCHD_HOST_H

#include <sys/queue.h>

#include "fetchd/breaker.h"
#include "fetchd/bucket.h"
#include "fetchd/http/url.h"

#define HOSTS_MAX 128 /* origins remembered; new ones replace idle ones */

struct hosts;

/*
 * A transfer's turn with a host. Idle: all zero but `go` and `self`. Waiting: in the host's line. Holding: it counts
 * as one of the host's connections until turn_end().
 */
struct turn {
	void (*go)(void *self); /* called when a waiting turn becomes a holding one */
	void *self;
	struct host *host; /* NULL while idle */
	bool holding;
	TAILQ_ENTRY(turn) link; /* in the line */
};

struct host {
	struct origin origin;
	uint64_t lane; /* if it is not 0, only the breaker is used */
	unsigned holding;
	bool used;
	bool answered; /* it has sent an HTTP response */
	struct breaker breaker;
	uint64_t ranges_off_till_ms; /* monotonic: it mishandled ranges */
	struct bucket bucket;        /* of all bytes received on its turns */
	TAILQ_HEAD(, turn) line;     /* the one that has waited longest is first */
};

int hosts_new(struct hosts **ret_hosts);
void hosts_free(struct hosts *hs);

/*
 * Take a turn with the host of `origin`, of which at most `limit` may be held at a time. 1: holding. 0: waiting, and
 * `go` will be called. -EAGAIN: more than HOSTS_MAX origins are in use. `turn->host` is set on 0 and 1.
 */
int turn_begin(struct hosts *hs, const struct origin *origin, uint64_t limit, struct turn *t);

/* The same without waiting, for an optional connection. False: the host's limit is reached, or others wait. */
bool turn_try(struct hosts *hs, const struct origin *origin, uint64_t limit, struct turn *t);

/* It mishandles ranges: request none before `till_ms` (monotonic). Forgotten with the host. */
void host_ranges_off(struct hosts *hs, const struct origin *origin, uint64_t till_ms);
bool host_ranges_allowed(struct hosts *hs, const struct origin *origin, uint64_t now_ms);

/*
 * Its breaker for requests of this lane (http.h): that TLS fails under somebody's terms says nothing about others'. An
 * origin whose breaker is in use is kept. NULL: more than HOSTS_MAX are in use.
 */
struct breaker *host_breaker(struct hosts *hs, const struct origin *origin, uint64_t lane);

/* breaker_admits(), also for an origin of which nothing is known. */
bool host_admits(struct hosts *hs, const struct origin *origin, uint64_t lane, uint64_t now_ms);

/* How many have an open breaker. */
unsigned hosts_open(const struct hosts *hs);

/* The configuration was reloaded: close all breakers. */
void hosts_forget(struct hosts *hs);

/* An HTTP response arrived, so the host exists. To be called only while the turn is holding. */
void turn_note_answer(struct turn *t);
bool host_has_answered(struct hosts *hs, const struct origin *origin);

/* Give the turn back, in any state; idle is fine. The first in line takes over, and its `go` is called from here. */
void turn_end(struct turn *t);

#endif
