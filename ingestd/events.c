/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/events.h"

/* System */
#include <errno.h>
#include <stdlib.h>

struct events {
	struct ctl *ctl;
};

int events_new(struct events **ret_events)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	*ret_events = e;
	return 0;
}

void events_free(struct events *e)
{
	free(e);
}

void events_use(struct events *e, struct ctl *ctl)
{
	e->ctl = ctl;
}

void events_publish(struct events *e, struct transfer *t)
{
	struct transfer_texts texts;
	struct message m;

	if (!e->ctl)
		return;
	transfer_tell(t, &texts, &m);
	ctl_publish(e->ctl, m.ref, &m);
}
