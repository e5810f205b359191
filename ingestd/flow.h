/*
 * What happens to a transfer, step by step:
 *
 *   start ─► order ─► (OPENED, CHUNK …, END) ─► complete ─► seal ─► SEALED … COMMITTED ─► done
 *     │        ▲                                    │                     │
 *     │        ├── RESOLVED, of a tag, with content that is stored ─────────► done
 *     │        └── restart (Truncate(0), once) ◄────┴──── wrong digest ◄──┘ REJECTED
 *     └► wait, fail: rest
 *
 * Every function runs on the loop and leaves the task in a state from which a killed daemon recovers by start.
 */
#ifndef SLUICE_INGESTD_FLOW_H
#define SLUICE_INGESTD_FLOW_H

#include "ingestd/desk.h"

/*
 * Open the ingest of a task, if it is not open, and write into its record what is asked for: from then on the transfer
 * survives us. 0, or -errno with a reason; after -ENOSPC or -EDQUOT nothing of a new ingest stays.
 */
int flow_open(struct desk *desk, struct task *t, struct reason *why);

/* QUEUED, with room: open the ingest and do what comes next. */
void flow_start(struct desk *desk, struct task *t);

/* Run `step` now, or as soon as the task's sync job is finished; a later call takes the place of an earlier one. */
void flow_when_idle(struct desk *desk, struct task *t, task_step *step);

/* Messages of fetchd; of another attempt than the current one they are dropped, and fetchd is told to stop. */
void flow_resolved(struct desk *desk, struct task *t, const struct message *m);
void flow_opened(struct desk *desk, struct task *t, const struct message *m);
void flow_chunk(struct desk *desk, struct task *t, const struct message *m);
void flow_end(struct desk *desk, struct task *t, const struct message *m);
void flow_fail(struct desk *desk, struct task *t, const struct message *m);
void flow_beat(struct desk *desk, struct task *t, const struct message *m);

/* Receipts of commitd. */
void flow_committed(struct desk *desk, struct task *t, const struct message *m);
void flow_rejected(struct desk *desk, struct task *t, const struct message *m);

/* Ask fetchd (again), from our own offset, under a new attempt. */
void flow_order(struct desk *desk, struct task *t);

/* Stop what fetchd and commitd do for an open task. What of this attempt is still under way is not current any more. */
void flow_call_off(struct desk *desk, struct task *t);

/* Once a second or so for every open task: leases, checkpoints, space. */
void flow_tick(struct desk *desk, struct task *t, uint64_t now_ms);

/* Rest until there is space; the ingest is open, or could not be made. */
void flow_wait_for_space(struct desk *desk, struct task *t, const char *text);

/* For a task that waits for space, every tick: whether it is worth another try. */
void flow_space_tick(struct desk *desk, struct task *t, uint64_t now_ms);

/* Steps for flow_when_idle(). */
void flow_close(struct desk *desk, struct task *t);   /* close the ingest; the state is decided already */
void flow_remove(struct desk *desk, struct task *t);  /* remove the ingest and the task */
void flow_reset(struct desk *desk, struct task *t);   /* Truncate(0), then go on if it was under way */
void flow_suspend(struct desk *desk, struct task *t); /* a last durable checkpoint, then close */

/* Change the state: counts, the log, the event. */
void flow_set_state(struct desk *desk, struct task *t, enum transfer_state state);

#endif
