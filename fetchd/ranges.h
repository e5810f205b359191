/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranges of a transfer: connections beside its own that fetch the next parts of a large blob at the same time.
 *
 * A transfer begins as one stream that requests all of the rest. While that stream is slower than we could take, one
 * range ahead of it is tried. Only when its answer has proved right are there more, and only when the stream has come
 * to the first good one is it ended; from then on they are alone: the window is passed on in order, and each range that
 * is done takes the next part. So a server that mishandles ranges costs one request, and nothing that came.
 *
 * A range retries only its own failures, from where it stopped. Anything else (a URL that expired, a login, a failure
 * that stays, wrong answers) goes back to the transfer's one stream, which has rules for it: the ranges that run bring
 * their parts home, and the stream resumes at the first byte that is missing, up to the parts that are there.
 *
 *   mode                who moves the offset      set by
 *   RANGES_ALONGSIDE    the stream                ranges_new(), RANGES_TO_STREAM and RANGES_FAILED
 *   RANGES_ALONE        the window, in order      ranges_go_alone()
 */
#ifndef SLUICE_FETCHD_RANGES_H
#define SLUICE_FETCHD_RANGES_H

#include "fetchd/range.h"

#define RANGES_LONE_MS 100u              /* one stream alone, without a pause of ours, before a range is tried */
#define RANGES_OFF_MS  (10u * 60 * 1000) /* a host that mishandled ranges is not asked for any for this long */

struct ranges;

/* What the ranges of a transfer work with. All is borrowed for their life. */
struct ranges_env {
	struct loop *loop;
	struct http *http;
	struct hosts *hosts;
	struct window_room *room;
	struct outlet *outlet;
	struct throttle *throttle;
	const struct origin *home;   /* whose turns are taken; the fields may change between two calls */
	const struct policy *policy; /* likewise */
	const char *ref, *shown;     /* for messages */

	/* Fill in a request for [first, last] of the content. What it points to is borrowed until the call is over. */
	void (*request)(void *self, uint64_t first, uint64_t last, struct http_ask *ret_ask);
	/* From the loop: ranges_advance() is due. */
	void (*due)(void *self);
	void *self;
};

/* How it stands with the stream. Borrowed for the call. */
struct ranges_view {
	const struct want *want; /* of the content; `offset` does not count */
	struct {
		bool runs;    /* there is one */
		bool good;    /* its answer was right, or the last one's: where the URL leads is known */
		bool flowing; /* bytes of it are taken, and it holds a turn */
	} stream;
};

/* What follows for the transfer. */
enum ranges_verdict {
	RANGES_WAIT,      /* nothing until `due` */
	RANGES_ALL,       /* alone: all of the content was passed on */
	RANGES_TO_STREAM, /* alone no longer: the stream is asked for again, from where the source says */
	RANGES_FAILED,    /* the same, behind a failure that counts for the transfer */
	RANGES_SINK,      /* the outlet is broken */
};

/* 0 or -ENOMEM. */
int ranges_new(const struct ranges_env *env, const struct range_settings *settings, struct ranges **ret_ranges);

/* With all that is ahead. NULL is fine. */
void ranges_free(struct ranges *rs);

/* End them and drop what is ahead. NULL is fine, here and below. */
void ranges_drop(struct ranges *rs);

/*
 * The stream's answer is good, and of the version `validator`, or empty. `checked`: a digest decides in the end, so that
 * parts whose version is not known may be mixed.
 */
void ranges_stream_begins(struct ranges *rs, const char *validator, bool checked);

/* The stream was paused by us, or resumes: what it is slow at is not the network. */
void ranges_stream_paused(struct ranges *rs);
void ranges_stream_resumed(struct ranges *rs);

/* The stream has come to ranges_wall(), and was ended. */
void ranges_go_alone(struct ranges *rs);

/* Up to where the stream is needed: the first good part ahead, or SIZE_UNKNOWN. */
uint64_t ranges_wall(const struct ranges *rs);

/* Look at all of them. `ret_failure` is filled in for RANGES_FAILED, `ret_error` (-errno) for RANGES_SINK. */
enum ranges_verdict ranges_advance(struct ranges *rs, const struct ranges_view *view, struct failure *ret_failure,
				   int *ret_error);

/* The outlet takes more; paused ranges may be resumed. */
void ranges_poke(struct ranges *rs);
void ranges_resume(struct ranges *rs);

#endif
