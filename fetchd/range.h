/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One range of a transfer: a connection that fetches one part of the window. It judges the answers and retries its own
 * failures; its verdict says what follows for the transfer.
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

#define RANGE_RETRIES 3u /* for a part, before the transfer's own rules apply */

/* What the ranges of a transfer share. Borrowed by each. */
struct range_group {
	struct http *http;
	struct window *window;
	struct throttle *throttle;
	const struct policy *policy; /* the host's; the fields may change between two calls */
	const struct outlet *outlet; /* the position of the stream, or of what was passed on */
	bool alone;                  /* the stream has ended */
	char
	    validator[VALIDATOR_MAX + 1]; /* of the stream's answer: all parts must have that version; empty: unknown */
	void (*changed)(void *self);      /* called from the loop: the ranges need attention */
	void *self;
};

enum range_state {
	RANGE_IDLE,
	RANGE_RUNNING,
	RANGE_ENDED,
};

/* The kind of answer. */
enum range_answer {
	RANGE_UNANSWERED,
	RANGE_GOOD,       /* bytes arrived, maybe not all */
	RANGE_BUSY,       /* the server is busy */
	RANGE_ELSEWHERE,  /* for the transfer to handle: a login, a redirect, a refusal */
	RANGE_MISHANDLED, /* not what was requested */
	RANGE_CHANGED,    /* another version of the content */
};

struct range {
	struct range_group *group;
	struct part *part;
	struct turn turn;
	bool on_stream_turn; /* it uses the turn of the stream, which is not running */
	enum range_state state;
	struct exchange *exchange;
	struct want want; /* to the last request */
	enum range_answer answer;
	struct failure failure;
	uint64_t asked_ms, asked_at; /* when, and from where in the content */
	uint64_t since_ms;           /* since then it has not been held */
	uint64_t answer_ms;          /* how long the answer took, once there is one */
	bool was_held;               /* since it was requested */
	uint64_t not_before_ms;      /* to request a failed part again */
	struct retry retry;
	unsigned reopened;
};

/* What follows for the transfer. */
enum range_verdict {
	RANGE_PASSED,    /* nothing: the stream got there first */
	RANGE_DONE,      /* the part is complete */
	RANGE_AGAIN,     /* it will be requested again */
	RANGE_FAILED,    /* no tries are left: `failure` counts for the transfer */
	RANGE_TO_STREAM, /* the transfer must handle the answer */
	RANGE_OFF, /* use one stream from now on: `failure.why`; if ranges were mishandled, for other transfers too */
};

/* Take a part of which nothing has been fetched. */
void range_begin(struct range *r);

/*
 * Request what the part lacks; it holds a turn or uses the stream's. Fills in `first` and `last` of the request. False:
 * no memory, and the turn is given back.
 */
bool range_ask(struct range *r, struct http_ask *ask, const struct want *want);

/* After the end of the exchange: go to RANGE_IDLE and give the turn back. `random` as in retry_failure(). */
enum range_verdict range_settle(struct range *r, uint32_t random);

/* End its exchange, if one is running, and give the turn back. The part stays. */
void range_cancel(struct range *r);

/* If its part is held and has room by now, resume the exchange. Not from a hook. */
void range_go_on(struct range *r);

/* It is far slower than the others: try a new connection. */
void range_reopen(struct range *r);

/* The same, and drop the part too. */
void range_drop(struct range *r);

#endif
