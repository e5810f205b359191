/*
 * One of the ranges of a transfer, and what they work on together. For range.c and ranges.c alone.
 */
#ifndef SLUICE_FETCHD_RANGE_H
#define SLUICE_FETCHD_RANGE_H

#include "fetchd/ranges.h"
#include "fetchd/steps.h"

/* What became of a request. */
enum outcome {
	OUTCOME_NONE,       /* no answer */
	OUTCOME_GOOD,       /* bytes came, maybe not all */
	OUTCOME_BUSY,       /* for now */
	OUTCOME_ELSEWHERE,  /* the transfer has rules for it */
	OUTCOME_MISHANDLED, /* not what was asked for */
	OUTCOME_CHANGED,    /* another version of the content */
};

/* A connection for the part of the same number. */
struct range {
	struct fetch *fetch;
	struct part *part;
	struct turn turn;
	struct exchange *exchange; /* NULL while none runs */
	bool ended;                /* since the last look */
	enum http_end end;
	enum outcome outcome;
	enum fail_class fail;
	uint16_t http_status;
	int error; /* an errno, or 0 */
	uint64_t retry_after_ms;
	struct reason why;
	uint64_t asked_ms;
	uint64_t not_before_ms; /* a part that failed is asked for again */
	struct backoff backoff;
	unsigned reopened;
};

#define PART_MS_UNKNOWN UINT64_MAX /* a fast path takes 0 ms for a part */

struct ranges {
	struct window *window;
	struct loop_timer look;            /* bytes at the head wait no longer */
	struct loop_timer poke;            /* something has changed */
	bool flush;                        /* bytes at the head have waited for long enough */
	char validator[VALIDATOR_MAX + 1]; /* of the stream's answer: all parts are of that version */
	uint64_t lone_since_ms;            /* UINT64_MAX while the stream is paused */
	uint64_t lead;                     /* how far ahead of the stream the first range begins, in bytes */
	unsigned overtakes, hand_overs;
	uint64_t passed;   /* parts, since the last hand-over */
	bool proven;       /* a range was answered rightly */
	bool spent;        /* one stream from now on */
	bool draining;     /* nothing is asked for any more; when none runs, `after` follows */
	size_t at_a_time;  /* ranges that the server puts up with */
	uint64_t part_ms;  /* what a part takes, smoothed; PART_MS_UNKNOWN: none is done */
	struct range *own; /* runs on the turn of the stream, which has none of its own to run */
	const struct fetch_step *after;
	size_t all_len;
	struct range all[];
};

/* Whether the stream has come to where the ranges are. */
bool ranges_spread(const struct fetch *f);

/* How many run. */
size_t ranges_running(const struct ranges *rs);

/* Ask for what its part misses. False: it has no turn with the host, or no memory. */
bool range_open(struct range *r);

/* The exchange has ended: what follows from that. */
void range_settle(struct range *r);

/* End its exchange, if one runs. The part stays. */
void range_cancel(struct range *r);

#endif
