/*
 * The side of ingestd that faces people: requests on ingest.ctl, and the event stream.
 */
#ifndef SLUICE_INGESTD_CONTROL_H
#define SLUICE_INGESTD_CONTROL_H

#include "ingestd/desk.h"

struct control;

/* Bind `ingest.ctl` and `ingest.events` and watch them on the desk's loop. 0 or -errno. */
int control_new(struct desk *desk, struct control **ret_control);
void control_free(struct control *c);

/* Publish the RECORD of a task. A hint: nobody may be listening. NULL `c`: nothing happens. */
void control_publish(struct control *c, struct task *t);

#endif
