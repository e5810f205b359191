/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work at certain times and at the end of each turn of the loop: leases, checkpoints, waits; starting queued transfers;
 * and stopping the daemon.
 */
#ifndef SLUICE_INGESTD_TURN_H
#define SLUICE_INGESTD_TURN_H

#include "ingestd/flow.h"

struct loop;
struct turn;

/* Start; transfers may be queued already. `f` is borrowed. 0 or -ENOMEM. */
int turn_new(struct loop *loop, struct flow *f, struct turn **ret_turn);
void turn_free(struct turn *turn);

/*
 * Stop: start nothing more, cancel running transfers, make them durable and close them. Ends the loop when all are
 * closed. The caller has stopped receiving messages.
 */
void turn_stop(struct turn *turn);

#endif
