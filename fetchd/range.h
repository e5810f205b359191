/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One range of a transfer: a connection that fetches one part of the window. It judges the answers and retries its own
 * failures; what follows for the transfer it returns as a verdict.
 *
 *   state          exchange   part
 *   RANGE_IDLE     NULL       free, missing or whole
 *   RANGE_RUNNING  runs       asked or coming
 *   RANGE_ENDED    NULL       as the exchange left it: range_settle() is due
 */
#ifndef SLUICE_FETCHD_RANGE_H
#define SLUICE_FETCHD_RANGE_H

#include "fetchd/http/failure.h"
#include "fetchd/http/judge.h"
#include "fetchd/retry.h"
#include "fetchd/throttle.h"
#include "fetchd/window.h"

#define RANGE_RETRIES 3u /* of a part, before the transfer's own rules count */

/* What the ranges of a transfer share. Borrowed by each. */
struct range_group {
	struct http *http;
	struct window *window;
	struct throttle *throttle;
	const struct policy *policy;       /* of the host; the fields may change between two calls */
	const struct outlet *outlet;       /* how far the stream, or what is passed on, has come */
	bool alone;                        /* the stream has ended */
	char validator[VALIDATOR_MAX + 1]; /* of the stream's answer: all parts are of that version; empty: not known */
	void (*changed)(void *self);       /* from the loop: something has to be looked at */
	void *self;
};

enum range_state {
	RANGE_IDLE,
	RANGE_RUNNING,
	RANGE_ENDED,
};

/* What the answer was. */
enum range_answer {
	RANGE_UNANSWERED,
	RANGE_GOOD,       /* bytes came, maybe not all */
	RANGE_BUSY,       /* for now */
	RANGE_ELSEWHERE,  /* the transfer has rules for it: a login, a redirect, a refusal */
	RANGE_MISHANDLED, /* not what was asked for */
	RANGE_CHANGED,    /* another version of the content */
};

struct range {
	struct range_group *group;
	struct part *part;
	struct turn turn;
	bool on_stream_turn; /* it runs on the turn of the stream, which has none of its own to run */
	enum range_state state;
	struct exchange *exchange;
	struct want want; /* of the last request */
	enum range_answer answer;
	struct failure failure;
	uint64_t asked_ms;
	uint64_t not_before_ms; /* a part that failed is asked for again */
	struct retry retry;
	unsigned reopened;
};

/* What follows for the transfer. */
enum range_verdict {
	RANGE_PASSED,    /* the stream was here first: nothing */
	RANGE_DONE,      /* the part is whole */
	RANGE_AGAIN,     /* it will be asked for again */
	RANGE_FAILED,    /* as often as it may: `failure` counts for the transfer */
	RANGE_TO_STREAM, /* the transfer has rules for what the server said */
	RANGE_OFF, /* one stream from here on: `failure.why`; where ranges were mishandled, for other transfers too */
};

/* It takes a part that nobody has fetched anything of. */
void range_begin(struct range *r);

/*
 * Ask for what the part misses; it holds a turn, or is on the stream's. Bytes `first` and `last` of the request are
 * filled in here. False: no memory; the turn is given back.
 */
bool range_ask(struct range *r, struct http_ask *ask, const struct want *want);

/* The exchange has ended: RANGE_IDLE follows, and the turn is given back. `random` as in retry_failure(). */
enum range_verdict range_settle(struct range *r, uint32_t random);

/* End its exchange, if one runs, and give the turn back. The part stays. */
void range_cancel(struct range *r);

/* It is far slower than the others: another connection is tried. */
void range_reopen(struct range *r);

/* Drop the part, too. */
void range_drop(struct range *r);

#endif
