/*
 * The numbers of ingestd that are not counted as things happen but looked up when somebody asks for them.
 */
#ifndef SLUICE_INGESTD_TALLY_H
#define SLUICE_INGESTD_TALLY_H

#include "ingestd/desk.h"

/* Refresh all gauges of ingestd (counters.h). Walks all tasks, and asks the file system how full it is. */
void tally_refresh(const struct desk *desk);

#endif
