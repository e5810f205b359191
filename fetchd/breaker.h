/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The breaker of an origin: a dead server costs one time-out, and not one for each object. It opens after a failure that
 * is the origin's own and took time, or that left no connection at all. While it is open, requests that could as well go
 * to another source do so; when its time is over, one of them is the probe. Requests without another source are made as
 * always. Any answer in time closes it. Pure: the caller passes the time.
 *
 *   BREAKER_CLOSED   `failures` is 0
 *   BREAKER_OPEN     `failures` in succession; the next probe may begin at `until_ms`
 *
 * Whoever asks holds an admission until the request has an outcome. Its `epoch` tells whether the breaker has changed
 * since: of eight requests that fail together, one counts.
 */
#ifndef SLUICE_FETCHD_BREAKER_H
#define SLUICE_FETCHD_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "fetchd/http/failure.h"

#define BREAKER_FACTOR      10u              /* it is open this many times as long as the failure took, ... */
#define BREAKER_OPEN_MIN_MS (10u * 1000)     /* ... at least this long, ... */
#define BREAKER_OPEN_MAX_MS (5u * 60 * 1000) /* ... at most this long, and twice as long after each further failure */
#define BREAKER_SLOW_MS     3000u            /* an error or an end that comes this late has cost time */
#define BREAKER_PROOF_BYTES (64u << 10)      /* so many bytes of a body show that the origin works */

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,
};

/* All zero: closed. Times are monotonic. */
struct breaker {
	enum breaker_state state;
	unsigned failures;
	uint64_t epoch;     /* grows with each change */
	uint64_t until_ms;  /* while it is open */
	uint64_t answer_ms; /* the last answer, or bytes of one */
	unsigned held;      /* admissions */
	unsigned probes;    /* among them: 0 or 1 */
};

struct admission {
	struct breaker *breaker; /* NULL: idle */
	uint64_t epoch;
	bool probes; /* others go elsewhere until it has a result */
};

/* What a failure or an answer means. */
enum breaker_change {
	BREAKER_SAME,
	BREAKER_OPENED,
	BREAKER_STAYS_OPEN, /* another failure */
	BREAKER_RECOVERED,
};

/* Whether it would admit a request now that could as well go elsewhere. */
bool breaker_admits(const struct breaker *b, uint64_t now_ms);

/* The configuration was reloaded: close it. Failures of running requests do not count. */
void breaker_forget(struct breaker *b);

/*
 * A request is to be sent; `others`: another source would do. False: go there, and it is idle. Replaces an earlier
 * admission; a probe that asks the same origin again remains one.
 */
bool admission_ask(struct admission *a, struct breaker *b, bool others, uint64_t now_ms);

/*
 * The request has failed after `lost_ms` without progress, which counts, shows that the origin answers, or neither. It
 * is idle afterwards. Idle is fine, here and below.
 */
enum breaker_change admission_failed(struct admission *a, const struct failure *f, uint64_t lost_ms, uint64_t now_ms);

/* The origin has answered in time. The admission stays. */
enum breaker_change admission_answered(struct admission *a, uint64_t now_ms);

/* The request is over, or will never be made. */
void admission_end(struct admission *a);

#endif
