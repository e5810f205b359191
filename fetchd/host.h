/*
 * What is known of the origins that are talked to: how many exchanges run with each, and whether it ever answered.
 * Shared rate limits will live here.
 */
#ifndef SLUICE_FETCHD_HOST_H
#define SLUICE_FETCHD_HOST_H

#include "fetchd/url.h"

#define HOSTS_MAX 128 /* origins remembered; the idle ones give way to new ones */

struct hosts;

/*
 * A transfer's turn with a host. Idle: all zero but `go` and `self`. Waiting: in the host's line. Holding: it counts
 * as one of the host's connections until turn_end().
 */
struct turn {
	void (*go)(void *self); /* called when a waiting turn has become a holding one */
	void *self;
	struct host *host; /* NULL while idle */
	bool holding;
	struct turn *next; /* in the line */
};

struct host {
	struct origin origin;
	unsigned holding;
	bool used;
	bool answered; /* some HTTP response ever came from it */
	struct turn *first, **last;
};

int hosts_new(struct hosts **ret_hosts);
void hosts_free(struct hosts *hs);

/*
 * Take a turn with the host of `origin`, of which `limit` may be held at a time. 1: holding. 0: waiting, `go` will be
 * called. -EAGAIN: more than HOSTS_MAX origins in use. `turn->host` is set on 0 and 1.
 */
int turn_begin(struct hosts *hs, const struct origin *origin, uint64_t limit, struct turn *t);

/* Give it back, in any state; idle is fine. The first in line takes over, its `go` called from here. */
void turn_end(struct turn *t);

#endif
