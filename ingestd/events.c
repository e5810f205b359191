#include "ingestd/events.h"

/* System */
#include <errno.h>
#include <stdlib.h>

/* Wire */
#include "common/wire/pipe.h"

struct events {
	struct pipe *pipe;
};

int events_new(const char *runtime_dir, struct events **ret_events)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	int r = pipe_open(runtime_dir, PIPE_INGEST_EVENTS, PIPE_PUBLISH, &e->pipe);
	if (r < 0) {
		free(e);
		return r;
	}
	*ret_events = e;
	return 0;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	pipe_close(e->pipe);
	free(e);
}

void events_publish(struct events *e, struct transfer *t)
{
	struct transfer_texts texts;
	struct message m;

	transfer_tell(t, &texts, &m);
	(void)pipe_send(e->pipe, &m);
}
