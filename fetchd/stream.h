/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one stream of a transfer: a request, the judgement over its answer, and its body, in order into the outlet. It
 * returns what follows and never acts itself: its owner makes the requests and hears the exchange.
 *
 *   state            exchange   what is told
 *   STREAM_IDLE      NULL       nothing
 *   STREAM_ASKED     runs       `want`
 *   STREAM_TAKING    runs       the answer is right, its body goes into the outlet
 *   STREAM_DRAINING  runs       the body is not wanted; reading a short one keeps the connection, and may tell why
 *   STREAM_BROKEN    NULL       it ended without an answer: `failure`
 *   STREAM_OVER      NULL       it ended behind an answer: `judgement` and what else the answer said, and `failure`
 *
 *   IDLE ─► ASKED ─► TAKING or DRAINING ─► OVER ─► (the next request) ASKED
 *              └───► BROKEN ───────────────────────────┘
 */
#ifndef SLUICE_FETCHD_STREAM_H
#define SLUICE_FETCHD_STREAM_H

#include "fetchd/http/failure.h"
#include "fetchd/http/judge.h"
#include "fetchd/sink.h"
#include "fetchd/throttle.h"

#define UNWANTED_MAX (64u << 10) /* bytes of the body of a redirect or an error, to keep the connection */
/* A server may cap its ranges; one that brings at least this much is asked for the next at once. */
#define SHORT_RANGE_MIN (1u << 20)

enum stream_state {
	STREAM_IDLE,
	STREAM_ASKED,
	STREAM_TAKING,
	STREAM_DRAINING,
	STREAM_BROKEN,
	STREAM_OVER,
};

struct stream {
	enum stream_state state;
	struct exchange *exchange;
	struct want want;           /* of the last request */
	bool head_only;             /* it was a HEAD, to learn a digest */
	struct judgement judgement; /* `skip` counts down */
	uint64_t unwanted_bytes;    /* of a body that is drained */
	struct buf refusal;         /* of the body of a refusal, up to one byte more than REFUSAL_BODY_MAX */
	struct failure failure;     /* status, Retry-After, end, errno and words of the exchange; no class */

	/* Of the answer; empty where it says nothing. */
	struct challenge challenge; /* of a 401 */
	struct buf location;        /* of a redirect */
	char media_type[MEDIA_TYPE_MAX + 1];
	char digest[DIGEST_TEXT_SIZE];
	char validator[VALIDATOR_MAX + 1];
};

/* What follows when the exchange is over. */
enum stream_verdict {
	STREAM_ALL,       /* the content is there */
	STREAM_AT_WALL,   /* it has come to where the ranges are */
	STREAM_NEXT,      /* the same request, for what follows: a server that caps its ranges */
	STREAM_NARROW,    /* the same, now that judgement.size is known */
	STREAM_GET,       /* a HEAD did not tell: a GET will */
	STREAM_COMPLETE,  /* there is nothing behind the offset; judgement.size is all */
	STREAM_RESOLVED,  /* `digest` names the content */
	STREAM_REDIRECT,  /* to `location` */
	STREAM_CHALLENGE, /* 401 */
	STREAM_FORBIDDEN, /* a refusal that a pass may change */
	STREAM_NO_RANGE,  /* a range within the content was refused; all of it may do */
	STREAM_RETRY,     /* a failure that may pass */
	STREAM_GIVE_UP,   /* a failure that stays */
};

/* Drop what is there, without a word to the hooks. Fit for a stream of zeros. */
void stream_reset(struct stream *s);
void stream_release(struct stream *s);

/* Ask. `hooks` hear the exchange, and pass what they hear on to the three below. 0 or -ENOMEM. */
int stream_ask(struct stream *s, struct http *http, const struct http_ask *ask, const struct want *want,
	       const struct http_hooks *hooks, void *self);

/* The head is whole: STREAM_TAKING or STREAM_DRAINING follows. False: end the exchange. */
bool stream_head(struct stream *s, const struct response *r);

/* What became of a piece of the body. */
struct stream_piece {
	enum body_answer answer;
	uint64_t fresh; /* bytes that went into the outlet */
	int error;      /* the outlet is broken: -errno, or 0 */
};

/* A piece of the body; nothing behind `wall` is taken. */
struct stream_piece stream_body(struct stream *s, struct outlet *o, struct throttle *t, const struct policy *p,
				uint64_t wall, const void *data, size_t len);

/* The exchange has ended. */
void stream_end(struct stream *s, enum http_end end, int error, const struct reason *why);

/*
 * What follows, where the outlet has come to `offset`, the content has `size` bytes or SIZE_UNKNOWN, and ranges begin at
 * `wall`. `ret_failure` is filled in, with a class for STREAM_RETRY, STREAM_GIVE_UP, STREAM_CHALLENGE, STREAM_FORBIDDEN
 * and STREAM_NO_RANGE.
 */
enum stream_verdict stream_settle(const struct stream *s, uint64_t offset, uint64_t size, uint64_t wall,
				  struct failure *ret_failure);

/* Whether an exchange runs; whether its answer, or the last one's, was right; whether bytes are taken now. */
bool stream_runs(const struct stream *s);
bool stream_is_good(const struct stream *s);
bool stream_is_flowing(const struct stream *s);

#endif
