/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The single stream of a transfer: a request, the judgement of its answer, and its body, which goes to the outlet in
 * order. It returns what follows and never acts itself: its owner makes the requests and handles the exchange's hooks.
 *
 *   state            exchange   what is known
 *   STREAM_IDLE      NULL       nothing
 *   STREAM_ASKED     runs       `want`
 *   STREAM_TAKING    runs       the answer is good, and its body goes into the outlet
 *   STREAM_DRAINING  runs       the body is unwanted; reading a short one keeps the connection, and it may give a reason
 *   STREAM_BROKEN    NULL       it ended without an answer: `failure`
 *   STREAM_OVER      NULL       it ended after an answer: `judgement` and other data of the answer, and `failure`
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
/* A server may cap its ranges; if one has at least this many bytes, the next is requested at once. */
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
	struct buf sent;            /* secrets of the request, which a refusal may quote (refusal.h); wiped */
	struct failure failure;     /* status, Retry-After, end, errno and message of the exchange; no class */

	/* From the answer; empty if missing there. */
	struct challenge challenge; /* of a 401 */
	struct buf location;        /* of a redirect */
	char media_type[MEDIA_TYPE_MAX + 1];
	char digest[DIGEST_TEXT_SIZE];
	char validator[VALIDATOR_MAX + 1];
};

/* What follows when the exchange is over. */
enum stream_verdict {
	STREAM_ALL,       /* the content is complete */
	STREAM_AT_WALL,   /* it has reached the ranges */
	STREAM_NEXT,      /* the same request for the following bytes: the server caps its ranges */
	STREAM_NARROW,    /* the same, now that judgement.size is known */
	STREAM_GET,       /* the HEAD did not tell; send a GET */
	STREAM_COMPLETE,  /* there is nothing after the offset; judgement.size is the total */
	STREAM_RESOLVED,  /* `digest` names the content */
	STREAM_REDIRECT,  /* to `location` */
	STREAM_CHALLENGE, /* 401 */
	STREAM_FORBIDDEN, /* a refusal; another pass may help */
	STREAM_NO_RANGE,  /* a range within the content was refused; requesting everything may help */
	STREAM_WRONG,     /* not an answer to the request; another one may be right */
	STREAM_RETRY,     /* a temporary failure */
	STREAM_GIVE_UP,   /* a permanent failure */
};

/* Drop everything without calling hooks. May be called for a stream that is all zero. */
void stream_reset(struct stream *s);
void stream_release(struct stream *s);

/* Send a request. `hooks` are those of the exchange and must call the three functions below. 0 or -ENOMEM. */
int stream_ask(struct stream *s, struct http *http, const struct http_ask *ask, const struct want *want,
	       const struct http_hooks *hooks, void *self);

/* The header is complete: go to STREAM_TAKING or STREAM_DRAINING. False: end the exchange. */
bool stream_head(struct stream *s, const struct response *r);

/* The result of stream_body(). */
struct stream_piece {
	enum body_answer answer;
	uint64_t fresh; /* bytes that went into the outlet */
	int error;      /* the outlet is broken: -errno, or 0 */
};

/* A piece of the body; nothing after `wall` is accepted. */
struct stream_piece stream_body(struct stream *s, struct outlet *o, struct throttle *t, const struct policy *p,
				uint64_t wall, const void *data, size_t len);

/* The exchange has ended. */
void stream_end(struct stream *s, enum http_end end, int error, const struct reason *why);

/*
 * What follows, if the outlet has reached `offset`, the content has `size` bytes or SIZE_UNKNOWN, and ranges start at
 * `wall`. `ret_failure` is filled in, with a class for STREAM_RETRY, STREAM_GIVE_UP, STREAM_CHALLENGE,
 * STREAM_FORBIDDEN, STREAM_NO_RANGE and STREAM_WRONG.
 */
enum stream_verdict stream_settle(const struct stream *s, uint64_t offset, uint64_t size, uint64_t wall,
				  struct failure *ret_failure);

/* Whether an exchange runs; whether its answer, or the last one, was good; whether bytes are accepted now. */
bool stream_runs(const struct stream *s);
bool stream_is_good(const struct stream *s);
bool stream_is_flowing(const struct stream *s);

#endif
