/* SPDX-License-Identifier: Apache-2.0 */
/* Events about transfers, for subscribers on the ctl socket. They are only hints. */
#ifndef SLUICE_INGESTD_EVENTS_H
#define SLUICE_INGESTD_EVENTS_H

#include "common/wire/ctl.h"
#include "ingestd/transfer.h"

struct events;

/* 0 or -ENOMEM. Nothing is published before events_use(). */
int events_new(struct events **ret_events);
void events_free(struct events *e);

/* Publish on `ctl` from now on; borrowed. NULL: nowhere. */
void events_use(struct events *e, struct ctl *ctl);

/* Publish the RECORD of a transfer, if anybody subscribed. */
void events_publish(struct events *e, struct transfer *t);

#endif
