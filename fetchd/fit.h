/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a range should be on a path. Pure.
 *
 * A range costs an idle connection for the time of its answer, so it should last a multiple of that. Longer ones gain
 * nothing, and arrive further ahead of their turn: what the window has no room for has to wait in the kernel, which has
 * room for what arrives in one or two answers.
 */
#ifndef SLUICE_FETCHD_FIT_H
#define SLUICE_FETCHD_FIT_H

#include <stdint.h>

#define FIT_SIZE_MIN       (384u << 10) /* bytes of a range, and its share of the window */
#define FIT_SIZE_MAX       (16u << 20)
#define FIT_LONG_SHARE     (1152u << 10) /* bytes of the window for each range, if they are longer */
#define FIT_ANSWERS        7u            /* a range should last so many times as long as its answer takes */
#define FIT_LATENCY_MAX_MS 500u          /* a longer one is not that of the path */

/* A path, as measured. */
struct fit_path {
	uint64_t latency_ms; /* until the first byte of an answer */
	uint64_t rate;       /* of one connection, in bytes per second */
};

/* The bytes of a range, a multiple of `unit`. */
uint64_t fit_size(const struct fit_path *p, uint64_t unit);

#endif
