/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one process knows of another across restarts: incarnations.
 */
#ifndef SLUICE_WIRE_PEER_H
#define SLUICE_WIRE_PEER_H

#include <stdbool.h>
#include <stdint.h>

struct peer {
	uint64_t self;      /* our incarnation, never 0 */
	uint64_t other;     /* the last one heard of, 0 at first */
	uint64_t started_s; /* wall clock: when we were made */
	uint64_t restarts;  /* how often the other one was found to be a new one */
	bool greeted;       /* the other side has named `self` in a HELLO of its present incarnation */
};

/* A fresh incarnation of our own. 0 or -errno of getrandom(2). */
int peer_init(struct peer *p);

/*
 * Take a HELLO. True: the other side is a new incarnation, so all that the former one had in hand is lost.
 * `named` is the incarnation that it believes us to be.
 */
bool peer_hello(struct peer *p, uint64_t incarnation, uint64_t named);

#endif
