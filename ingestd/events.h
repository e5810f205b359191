/*
 * The pipe of events: what happens to transfers, as it happens, for whoever listens. A hint and never the truth.
 */
#ifndef SLUICE_INGESTD_EVENTS_H
#define SLUICE_INGESTD_EVENTS_H

#include "ingestd/transfer.h"

struct events;

/* Bind `ingest.events` in the runtime directory. 0 or -errno. */
int events_new(const char *runtime_dir, struct events **ret_events);
void events_free(struct events *e);

/* Publish the RECORD of a transfer. Nobody may be listening. */
void events_publish(struct events *e, struct transfer *t);

#endif
