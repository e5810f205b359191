/*
 * The desk of the daemon: the table of transfers, who is next, and the clock that looks after all of them. Runs on the
 * event loop; nothing here blocks on the network or waits for the disk (what does is a sync job).
 */
#ifndef SLUICE_INGESTD_DESK_H
#define SLUICE_INGESTD_DESK_H

#include <ev.h>

#include "ingestd/settings.h"
#include "ingestd/task.h"

struct orders;
struct seals;
struct control;

struct desk {
	const struct settings *settings;
	struct ingest_home home;
	struct loop *our_loop;
	struct ev_loop *loop; /* below it */
	struct workers *workers;
	struct orders *orders;   /* towards fetchd */
	struct seals *seals;     /* towards commitd */
	struct control *control; /* towards sluice */
	struct tasks tasks;
	int active;       /* tasks in FETCHING */
	int recent;       /* tasks in COMMITTED */
	uint64_t attempt; /* the highest so far, over all transfers */
	bool stopping;
	ev_timer tick;
};

/*
 * Take up what is on disk: every ingest becomes a task; what is complete goes on to its commit, what is not is queued,
 * or with --no-resume waits for somebody to ask. Directories that hold nothing of use are removed.
 */
void desk_recover(struct desk *desk);

/* Start the clock, and as many queued tasks as may be active. */
void desk_open(struct desk *desk);

/* Start queued tasks as long as there is room. */
void desk_schedule(struct desk *desk);

/*
 * GET: start, join or resume a transfer. 0: `ret_task` is it; NULL there: the content is stored already, `ret_size`
 * long. -errno with a class and a reason.
 */
int desk_get(struct desk *desk, const struct message *get, struct task **ret_task, uint64_t *ret_size,
	     enum fail_class *ret_class, struct reason *why);

/*
 * Whether content is stored for good. While a transfer of it is with commitd it is not: the name that is there may not
 * be synced yet.
 */
bool desk_is_stored(const struct desk *desk, const struct digest *d, uint64_t *ret_size);

/*
 * ABORT: the ingest goes, bytes and all, and so does what stands in it and is not ours. -ENOENT: there is none. Another
 * -errno with a reason.
 */
int desk_abort(struct desk *desk, struct span ref, struct reason *why);

/*
 * RESET: drop the bytes; a transfer that is under way starts over. -ENOENT; -EBUSY when it is sealed; another -errno.
 * With a reason.
 */
int desk_reset(struct desk *desk, struct span ref, struct reason *why);

/* An ingest was closed: the last one ends a desk that is stopping. */
void desk_closed(struct desk *desk);

/* Stop orders, make everything durable, close; ends the loop when that is done. */
void desk_stop(struct desk *desk);

void desk_release(struct desk *desk);

#endif
