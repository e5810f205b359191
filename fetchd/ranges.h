/*
 * The ranges of a transfer: connections beside its own that fetch the next parts of a large blob at the same time. For
 * fetch.c and steps.c alone.
 *
 * A transfer begins as one stream, asked for as whole as it is wanted. While that stream is slower than what we could
 * take, one range ahead of it is tried. Only when its answer has proved right are there more, and only when the stream
 * has come to the first good one is it ended; from then on the window is passed on in order, and each range that is
 * done takes the next part (step_spread). So a server that mishandles ranges costs one request, and nothing that came.
 *
 * A range knows only its own hiccups: what broke is asked for again from where it stopped. Anything else (a URL that
 * expired, a login, a failure that stays, wrong answers) goes back to the transfer's one stream, which has rules for
 * it: the ranges that run bring their parts home, and the stream goes on at the first byte that is missing, up to the
 * parts that are there.
 */
#ifndef SLUICE_FETCHD_RANGES_H
#define SLUICE_FETCHD_RANGES_H

#include "fetchd/http/response.h"

#define RANGES_LONE_MS 100u              /* one stream alone, without a pause of ours, before a range is tried */
#define RANGES_OFF_MS  (10u * 60 * 1000) /* for so long no ranges are tried where they were mishandled */

struct fetch;
struct fetch_step;
struct ranges;

/* The stream's answer is good: perhaps there are ranges to come. `r` is it. */
void ranges_consider(struct fetch *f, const struct response *r);

/* The stream was paused by us, or goes on: what it is slow at is not the network. */
void ranges_stream_paused(struct fetch *f);
void ranges_stream_resumed(struct fetch *f);

/* Up to where the stream is needed: the first good part ahead, or SIZE_UNKNOWN. */
uint64_t ranges_wall(const struct fetch *f);

/* The window goes on from the transfer's offset. Returns the step that follows, or NULL: more will come. */
const struct fetch_step *ranges_advance(struct fetch *f);

/* The outlet takes more, or paused ranges may go on. */
void ranges_poke(struct fetch *f);
void ranges_resume(struct fetch *f);

/* Whether any range runs. */
bool ranges_run(const struct fetch *f);

/* End them and drop what is ahead. Nothing there is fine. */
void ranges_drop(struct fetch *f);
void ranges_free(struct fetch *f);

#endif
