/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transfer in the daemon: its data, and the only functions that change its phase; what happens to it is in flow.h. Longer
 * than 150 lines because of the table of phases.
 *
 * A phase is finer than the state that others see, which follows from it:
 *
 *   phase      state      ingest   job                  then (`after`)       other valid fields
 *   QUEUED     queued     any      checkpoint           close                turn
 *   RESERVING  fetching   open     reserve              order
 *   ORDER_DUE  fetching   open     checkpoint, reserve  resolved, complete   heard_ms
 *   ORDERED    fetching   open     checkpoint, reserve  resolved, complete   heard_ms, until_s, rate
 *   SEALING    sealed     open     seal                 note the seal
 *   SEAL_DUE   sealed     open     none                                      heard_ms
 *   SEAL_SENT  sealed     open     none                                      heard_ms
 *   HALTED     as before  open     any                  start over, roll back
 *   FOR_SPACE  waiting    any      checkpoint, reserve  requeue, resolved,   space_ms, space_tries, space_offset
 *                                                       complete
 *   FOR_LOCK   waiting    closed   none
 *   IDLE       waiting    closed*  any                  close
 *   FAILED     failed     closed*  any                  close                fail_class
 *   COMMITTED  committed  closed   none                                      digest
 *
 *   any      open or closed; a job runs only while the ingest is open
 *   closed*  open until its job has finished, then closed
 *
 * Worker threads run a job; until it has finished, the ingest must stay open and its data unchanged. `after` is what to do
 * then: STEP_NONE, a step from the table, or, in any phase with an open ingest except those of an order or a seal, one of
 * the steps that end the use of the ingest (close, suspend, remove, reset); phases of an order or a seal are HALTED first.
 * HALTED means called off: neither fetchd nor commitd works on it, and `after` says what comes next.
 *
 *   QUEUED     waits for its turn
 *   RESERVING  reserves the space for the missing bytes, before requesting them from a server
 *   ORDER_DUE  the order is sent as soon as fetchd accepts it; ORDERED: fetchd has it
 *   SEALING    complete; its bytes are being synced
 *   SEAL_DUE   the seal is sent as soon as commitd accepts it; SEAL_SENT: commitd has it
 *   FOR_SPACE  waits for space, for its bytes or to create the ingest
 *   FOR_LOCK   waits for another process that holds the ingest's lock
 *   IDLE       waits for a request, or for 'ingestd put' to feed it
 *   FAILED     `note` says why; its bytes are kept
 *   COMMITTED  kept for a while, so that a client that asked by tag learns the digest
 */
#ifndef SLUICE_INGESTD_TRANSFER_H
#define SLUICE_INGESTD_TRANSFER_H

#include <sys/types.h>

#include "common/base/log.h"
#include "common/wire/message.h"
#include "ingestd/disk/sync.h"

enum phase {
	PHASE_QUEUED,
	PHASE_RESERVING,
	PHASE_ORDER_DUE,
	PHASE_ORDERED,
	PHASE_SEALING,
	PHASE_SEAL_DUE,
	PHASE_SEAL_SENT,
	PHASE_HALTED,
	PHASE_FOR_SPACE,
	PHASE_FOR_LOCK,
	PHASE_IDLE,
	PHASE_FAILED,
	PHASE_COMMITTED,
	PHASES
};

/* What flow.c can do to a transfer without a job, or after it. */
enum step {
	STEP_NONE,
	STEP_ORDER,      /* ask fetchd for what is missing */
	STEP_RESOLVED,   /* the tag's digest is known: order it, unless it is stored */
	STEP_COMPLETE,   /* check the bytes, then seal them */
	STEP_NOTE_SEAL,  /* the bytes are synced: write that into the record and tell commitd */
	STEP_REQUEUE,    /* there is space again */
	STEP_ROLL_BACK,  /* go back to the last durable checkpoint, then continue */
	STEP_START_OVER, /* drop the bytes; start over once, or fail */
	STEP_CLOSE,      /* close the ingest; the phase is decided already */
	STEP_SUSPEND,    /* a last durable checkpoint, then close */
	STEP_REMOVE,     /* remove the ingest and the transfer */
	STEP_RESET,      /* drop the bytes; then continue if it was active, else close */
	STEPS
};

struct flow;

struct transfer {
	struct sync_job
	    job; /* first, so that a finished job can be cast to its transfer; of kind SYNC_NONE if there is none */
	struct flow *flow;
	char *ref;
	enum phase phase;
	enum transfer_state state; /* what others see */
	enum step after;
	size_t *of_state;  /* owned by the table: how many transfers are in each state */
	uint64_t turn;     /* the order of requests */
	struct ingest *in; /* owned while open */

	/* Who requested it first since the daemon started. */
	bool has_asker;
	uid_t asker;

	/* The last request since the daemon started; survives Truncate(0). */
	bool has_asked_digest;
	struct digest asked_digest;
	uint64_t asked_size; /* SIZE_UNKNOWN if not in the request */
	char *asked_source;  /* owned; until the record has it, then NULL */

	/* The current attempt; these decide what fetchd may send (chunks.h). */
	bool asks_digest; /* its order asks to resolve a tag */
	bool opened;      /* OPENED has arrived */
	bool is_unsaid;   /* a BEAT brought news that is not published yet */

	/* Since its last start. */
	bool resolved;                 /* a manifest by tag: what the tag names is known */
	bool rolled_back;              /* a write or a sync has failed once */
	bool sealed_again;             /* commitd once did not find what was sealed */
	enum fail_class restart_class; /* why it starts over */

	unsigned space_tries;  /* failed tries without progress since space seemed to be back */
	uint64_t space_ms;     /* do not try before; monotonic */
	uint64_t space_offset; /* where the last try failed */
	uint64_t job_ms;       /* when the job was submitted; monotonic, as are those below */
	uint64_t heard_ms;     /* when the peer that works on it last sent a message, or was last sent one */
	uint64_t checkpoint_ms;
	uint64_t beat_ms;       /* when what fetchd waits for was last published */
	struct log_limit beats; /* of lines about that */
	uint64_t event_ms;      /* when progress was last published, at which offset, how fast it was */
	uint64_t event_offset;
	uint64_t rate;

	/* Shown by status; refreshed from the ingest while that is open. */
	uint64_t offset, size, started_s, updated_s, orders, rehashed;
	uint64_t until_s; /* until when fetchd waits; 0: it does not wait, or does not know */
	bool has_digest;
	struct digest digest;
	char media_type[MEDIA_TYPE_MAX + 1];
	enum fail_class fail_class;
	char *note; /* owned, may be NULL */
};

/* A new transfer, QUEUED. NULL: out of memory. It counts itself in `of_state`, which must outlive it. */
struct transfer *transfer_new(struct flow *flow, struct span ref, size_t *of_state);

/* Close its ingest and free it. It must have no job. NULL is fine. */
void transfer_free(struct transfer *t);

/*
 * Change the phase. A step that waits for the job is dropped if the new phase does not allow it. Asserts what the table
 * says about ingest and job.
 */
void transfer_enter(struct transfer *t, enum phase phase);

/* Whether it has a job. */
bool transfer_is_busy(const struct transfer *t);

/* Take a snapshot of the open ingest for a job that the caller submits; `after` follows if it succeeds. */
void transfer_begin_job(struct transfer *t, enum sync_kind kind, enum step after);

/* Change what follows its job. The phase must allow it. */
void transfer_set_after(struct transfer *t, enum step after);

/* The job has finished. Returns the step that follows. */
enum step transfer_end_job(struct transfer *t);

/* Assert the whole table, at the end of a step: nothing is left half done. */
void transfer_check(const struct transfer *t);

/* Whether fetchd has an order for it, or will get one: messages of the current attempt count. */
bool transfer_is_ordered(const struct transfer *t);

/* Whether it continues without another request. */
bool transfer_is_under_way(const struct transfer *t);

/* Replace the note. `text` may be NULL. */
void transfer_note(struct transfer *t, const char *text);

/* Keep a request's parameters; `expected` may be NULL. 0 or -ENOMEM. */
int transfer_ask(struct transfer *t, struct span source, const struct digest *expected, uint64_t size);

/* Note who requests it, unless somebody has already: it counts as that user's. */
void transfer_note_asker(struct transfer *t, uid_t uid);

/* Put the size and the digest of the last request into the record of the open ingest. */
void transfer_apply_asked(struct transfer *t);

/* Refresh what status tells from the open ingest. */
void transfer_refresh(struct transfer *t);

/* How many bytes come in a second: as measured last, unless that is too long ago. */
uint64_t transfer_rate(const struct transfer *t);

/* Texts that the views of a RECORD look into. */
struct transfer_texts {
	char digest[DIGEST_TEXT_SIZE];
};

/* The RECORD of a transfer. The views hold as long as the transfer and `texts` stay as they are. */
void transfer_tell(struct transfer *t, struct transfer_texts *texts, struct message *ret_record);

#endif
