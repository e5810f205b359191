/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranges of a transfer: connections beside its own that fetch the next parts of a large blob at the same time.
 *
 * A transfer starts as one stream that requests everything that is missing. While the stream is not held up by us, one
 * range ahead of it is tried. Only after its answer was correct are there more, and only when the stream has reached
 * the first good one does it end; from then on the ranges are alone: the window is passed on in order, and each range
 * that is done takes the next part. So a server that mishandles ranges costs one request, and nothing that arrived is
 * lost.
 *
 * The length of ranges fits the path (fit.h), unless it is configured: the path's latency is that of the quickest answer,
 * its rate that of the stream and of the ranges that were not held up by us. Ranges that are longer than their share of
 * the window are held when it is full, until bytes before them have been passed on.
 *
 * A range retries only its own failures, from where it stopped. Anything else (an expired URL, a login, a permanent
 * failure, wrong answers) goes back to the transfer's single stream, which has rules for it: running ranges finish
 * their parts, and the stream resumes at the first missing byte and goes up to the parts that have arrived.
 *
 *   mode                who moves the offset      set by
 *   RANGES_ALONGSIDE    the stream                ranges_new(), RANGES_TO_STREAM and RANGES_FAILED
 *   RANGES_ALONE        the window, in order      ranges_go_alone()
 */
#ifndef SLUICE_FETCHD_RANGES_H
#define SLUICE_FETCHD_RANGES_H

#include "fetchd/range.h"

#define RANGES_LONE_MS 100u /* the stream runs alone this long, without being paused by us, before a range is tried */
#define RANGES_OFF_MS  (10u * 60 * 1000) /* a host that mishandled ranges gets no requests for them for this long */

struct ranges;

/* What the ranges of a transfer work with. Everything is borrowed for their life. */
struct ranges_env {
	struct loop *loop;
	struct http *http;
	struct hosts *hosts;
	struct window_room *room;
	struct outlet *outlet;
	struct throttle *throttle;
	const struct origin *home;   /* where turns are taken; the fields may change between two calls */
	const struct policy *policy; /* likewise */
	const char *ref, *shown;     /* for messages */

	/* Fill in a request for [first, last] of the content. What it points to is borrowed for the call. */
	void (*request)(void *self, uint64_t first, uint64_t last, struct http_ask *ret_ask);
	/* From the loop: ranges_advance() is due. */
	void (*due)(void *self);
	void *self;
};

/* The state of the stream. Borrowed for the call. */
struct ranges_view {
	const struct want *want; /* of the content; `offset` does not count */
	struct {
		bool runs;    /* a request is running */
		bool good;    /* its answer, or the last one, was good, so we know where the URL leads */
		bool flowing; /* its bytes are being accepted, and it holds a turn */
	} stream;
};

/* What follows for the transfer. */
enum ranges_verdict {
	RANGES_WAIT,      /* nothing until `due` */
	RANGES_ALL,       /* alone: everything was passed on */
	RANGES_TO_STREAM, /* no longer alone: request the stream again, starting from the source */
	RANGES_FAILED,    /* the same, after a failure that counts for the transfer */
	RANGES_SINK,      /* the outlet is broken */
};

/* 0 or -ENOMEM. */
int ranges_new(const struct ranges_env *env, const struct range_settings *settings, struct ranges **ret_ranges);

/* Also drops the bytes ahead. NULL is fine. */
void ranges_free(struct ranges *rs);

/* End the ranges and drop the bytes ahead. NULL is fine, here and below. */
void ranges_drop(struct ranges *rs);

/*
 * The stream's answer is good and took `answer_ms`, of version `validator`, or empty if unknown. `checked`: a digest
 * decides in the end, so parts of unknown version may be mixed.
 */
void ranges_stream_begins(struct ranges *rs, uint64_t answer_ms, const char *validator, bool checked);

/* We paused or resumed the stream: if it was slow, the network was not the reason. */
void ranges_stream_paused(struct ranges *rs);
void ranges_stream_resumed(struct ranges *rs);

/* The stream has reached ranges_wall() and was ended. */
void ranges_go_alone(struct ranges *rs);

/* Up to where the stream is needed: the first good part ahead, or SIZE_UNKNOWN. */
uint64_t ranges_wall(const struct ranges *rs);

/* Do what is due for all ranges. `ret_failure` is filled in for RANGES_FAILED, `ret_error` (-errno) for RANGES_SINK. */
enum ranges_verdict ranges_advance(struct ranges *rs, const struct ranges_view *view, struct failure *ret_failure,
				   int *ret_error);

/* The outlet accepts more; paused ranges may be resumed. */
void ranges_poke(struct ranges *rs);
void ranges_resume(struct ranges *rs);

#endif
