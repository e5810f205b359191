/*
 * The steps that the files of flow.h share.
 */
#ifndef SLUICE_INGESTD_FLOW_STEPS_H
#define SLUICE_INGESTD_FLOW_STEPS_H

#include "ingestd/flow.h"

/* Whether all bytes are there, as far as their number is known. */
bool step_is_complete(const struct ingest *in);

/* What comes next for an open ingest that nobody is working on: complete it, or order the rest. */
void step_go_on(struct desk *desk, struct task *t);

/* Whether there is enough to come, and nobody at work on it, that its space should be reserved. */
bool step_wants_reserve(const struct task *t);

/*
 * Where it is known how much is to come, reserve the space before anything is asked of a server, then order: what a
 * quota has no room for is not begun, and eats up no quota. False: there is nothing to reserve, or no room.
 */
bool step_reserve_first(struct desk *desk, struct task *t);

/* All bytes are there: check them, then seal. */
void step_complete(struct desk *desk, struct task *t);

/* Give a job to the workers; `next` runs when it has succeeded. The task is not syncing. */
void step_submit(struct desk *desk, struct task *t, enum sync_kind kind, task_step *next);

/* A durable checkpoint, if enough has come in or enough time has gone since the last one. */
void step_checkpoint_if_due(struct desk *desk, struct task *t, uint64_t now_ms);

/* Rest until somebody asks again; the bytes stay. */
void step_fail(struct desk *desk, struct task *t, enum fail_class class, const char *text);

/*
 * A write or a sync failed. After a sync the kernel may have dropped what it had taken, so the ingest goes back to its
 * durable checkpoint in any case; a full disk is waited out, and anything else is tried once more.
 */
void step_io_trouble(struct desk *desk, struct task *t, int r, const char *verb, bool from_sync);

/*
 * The bytes are not what was asked for: drop them, and try once from zero, or fail with `class`. A poisoned partial
 * wedges nobody.
 */
void step_start_over(struct desk *desk, struct task *t, enum fail_class class, const char *text);

/* Before an order: drop bytes of which nothing tells what they are a part of. 0 or -errno. */
int step_drop_what_is_of_no_use(struct task *t);

/* The content is in the store under this digest: the ingest goes. */
void step_committed(struct desk *desk, struct task *t, const struct digest *digest);

#endif
