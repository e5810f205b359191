/*
 * A transfer in the daemon's hands, and the table of them. Data only; what happens to a task is in flow.h.
 *
 * state        ingest        meaning
 * QUEUED       closed        its turn comes
 * FETCHING     open          fetchd has the order, or will get it as soon as it is there (order_due)
 * SEALED       open          complete: being synced, then in commitd's hands (seal_due until it was sent)
 * WAITING      open          for space
 *              closed        for space to make it in, for another process that has its lock, for bytes by hand, for
 *                            somebody to ask
 * FAILED       closed        `note` says why
 * COMMITTED    closed        kept for a while, so that whoever asked by tag learns the digest
 */
#ifndef SLUICE_INGESTD_TASK_H
#define SLUICE_INGESTD_TASK_H

#include "common/wire/message.h"
#include "ingestd/disk/sync.h"

struct desk;
struct task;

typedef void task_step(struct desk *desk, struct task *t);

struct task {
	struct sync_job sync; /* first, so that a finished job leads back here */
	bool syncing;         /* `sync` is with the workers: the ingest must stay open and as it is */
	task_step *when_idle; /* what to do when it comes back, or NULL */
	struct desk *desk;
	char *ref;
	uint64_t turn; /* the order of asking */
	enum transfer_state state;
	struct ingest *in; /* owned while open */

	/* What somebody asked for in this life of the daemon; survives Truncate(0). */
	bool has_asked_digest;
	struct digest asked_digest;
	uint64_t asked_size; /* SIZE_UNKNOWN if nobody said */
	char *asked_source;  /* owned; until the record has it, then NULL */

	bool resolved; /* a manifest by tag: what the tag names was learned in this life of the transfer */
	bool order_due, seal_due;
	bool reserving;             /* FETCHING, and the order goes out once its space is reserved */
	bool space_wait;            /* WAITING for space */
	bool lock_wait;             /* WAITING for another process's lock */
	enum fail_class over_class; /* why it starts over */
	bool rolled_back;           /* one write or sync has failed already */
	bool resealed;              /* commitd did not find once what was sealed */
	unsigned space_tries;       /* in vain, without any progress, since there seemed to be space */
	uint64_t space_ms;          /* not to be tried before; monotonic */
	uint64_t space_offset;      /* where the last try failed */
	uint64_t submitted_ms;      /* the sync job that runs, or the last one */
	uint64_t heard_ms;          /* the last chunk or beat, or the order; monotonic */
	uint64_t checkpoint_ms;
	uint64_t event_ms; /* when progress was last published, at which offset, how fast it was */
	uint64_t event_offset;
	uint64_t rate;

	/* What status tells; refreshed from the ingest while that is open. */
	uint64_t offset, size, started_s, updated_s, orders, rehashed, until_s;
	bool has_digest;
	struct digest digest;
	char media_type[MEDIA_TYPE_MAX + 1];
	enum fail_class fail_class;
	char *note; /* owned; NULL when there is nothing to say */
};

struct tasks {
	struct task **by_ref; /* owned, sorted by the bytes of the ref */
	size_t len, room;
	uint64_t turn;
};

/* The task of a ref, or NULL. */
struct task *tasks_find(const struct tasks *ts, struct span ref);

/* The first task behind `ref` in byte order; an empty ref: the first of all. NULL at the end. */
struct task *tasks_after(const struct tasks *ts, struct span ref);

/* A new task, QUEUED and last in turn. NULL when memory is out. The table owns it. */
struct task *tasks_add(struct tasks *ts, struct desk *desk, struct span ref);

/* Drop a task that is closed. */
void tasks_remove(struct tasks *ts, struct task *t);

/* The oldest task in that state, or NULL. */
struct task *tasks_oldest(const struct tasks *ts, enum transfer_state state);

/* Close what is open and free all. */
void tasks_release(struct tasks *ts);

/* Replace the note. `text` may be NULL. */
void task_note(struct task *t, const char *text);

/* Keep what somebody asks for; `expected` may be NULL. 0 or -ENOMEM. */
int task_ask(struct task *t, struct span source, const struct digest *expected, uint64_t size);

/* Put what was asked for into the record of the open ingest. */
void task_apply_asked(struct task *t);

/* Refresh what status tells from the open ingest. */
void task_refresh(struct task *t);

/* Texts that the views of a RECORD look into. */
struct record_texts {
	char digest[DIGEST_TEXT_SIZE];
};

/* How fast its bytes come in now: what was measured last, for as long as that is not old. */
uint64_t task_rate(const struct task *t);

/* The RECORD of a task. The views hold as long as the task and `texts` stay as they are. */
void task_record(struct task *t, struct record_texts *texts, struct message *ret_record);

#endif
