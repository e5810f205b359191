/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens by time and at the end of each turn of the loop: leases, checkpoints, waits; the start of what is
 * queued; and the end of the daemon.
 */
#ifndef SLUICE_INGESTD_TURN_H
#define SLUICE_INGESTD_TURN_H

#include "ingestd/flow.h"

struct loop;
struct turn;

/* Begin, on transfers that may be queued already. `f` is borrowed. 0 or -ENOMEM. */
int turn_new(struct loop *loop, struct flow *f, struct turn **ret_turn);
void turn_free(struct turn *turn);

/*
 * Start nothing more, call off what is under way, make it durable and close it. Ends the loop when all is closed. No
 * messages are taken any more.
 */
void turn_stop(struct turn *turn);

#endif
