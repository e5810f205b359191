/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to transfers, as it happens, for those who subscribed on the ctl socket. A hint and never the truth.
 */
#ifndef SLUICE_INGESTD_EVENTS_H
#define SLUICE_INGESTD_EVENTS_H

#include "common/wire/ctl.h"
#include "ingestd/transfer.h"

struct events;

/* 0 or -ENOMEM. Nobody hears anything before events_use(). */
int events_new(struct events **ret_events);
void events_free(struct events *e);

/* Where they go from now on; borrowed. NULL: nowhere. */
void events_use(struct events *e, struct ctl *ctl);

/* Publish the RECORD of a transfer. Nobody may be listening. */
void events_publish(struct events *e, struct transfer *t);

#endif
