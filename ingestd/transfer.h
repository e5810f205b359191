/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transfer in the daemon: its data, and the only functions that write to it; what happens to it is in flow.h. Longer
 * than 150 lines because of the table of phases.
 *
 * A phase is finer than the state that others see, which follows from it:
 *
 *   phase      state      ingest   job                  then (`after`)       marks
 *   QUEUED     queued     any      checkpoint, reserve  close                resolved, rolled back
 *   RESERVING  fetching   open     reserve, always      order                resolved, of the start
 *   ORDER_DUE  fetching   open     checkpoint, reserve  resolved, complete   all
 *   ORDERED    fetching   open     checkpoint, reserve  resolved, complete   all
 *   SEALING    sealed     open     seal, always         note the seal        resolved, of the start
 *   SEAL_DUE   sealed     open     none                                      resolved, of the start
 *   SEAL_SENT  sealed     open     none                                      resolved, of the start
 *   HALTED     as before  closed*  any                  start over, roll back resolved, of the start
 *   FOR_SPACE  waiting    any      checkpoint, reserve  requeue, resolved,   resolved, of the start
 *                                                       complete
 *   FOR_LOCK   waiting    closed   none                                      none
 *   IDLE       waiting    closed*  checkpoint, reserve  close                none
 *   FAILED     failed     closed*  checkpoint, reserve  close                none
 *   COMMITTED  committed  closed   none                                      none
 *
 *   any      open or closed; a job runs only while the ingest is open
 *   closed*  open until its job has finished, then closed; something must follow the job
 *
 * Worker threads run a job; until it has finished, the ingest must stay open and its data unchanged. `after` is what to
 * do then: STEP_NONE, a step from the table, or, in any phase that may have a job, except those of a reservation, an
 * order or a seal, one of the steps that end the use of the ingest (close, suspend, remove, reset); those phases are
 * HALTED first. HALTED means called off: neither fetchd nor commitd works on it, and `after` says what comes next.
 *
 * A new phase drops the marks that it does not allow. Likewise these fields are 0 or NULL in all phases but:
 *
 *   heard_ms        ORDER_DUE, ORDERED, SEAL_DUE, SEAL_SENT
 *   until_s         ORDER_DUE, ORDERED, HALTED
 *   rate            RESERVING, ORDER_DUE, ORDERED, HALTED
 *   restart_class   HALTED
 *   space_ms        FOR_SPACE, never 0 there
 *   fail_class      FAILED, never FAIL_NONE there
 *   asked_source    QUEUED, FOR_SPACE, FOR_LOCK, IDLE, FAILED, COMMITTED; elsewhere the record has it
 *
 * COMMITTED has a digest, and the record of SEAL_DUE and SEAL_SENT says what is sealed. The other fields are valid in
 * every phase. Each function below that gives a transfer a phase, a job, a step or a mark, or that hears of its peer,
 * asserts what holds within a step. transfer_check() asserts all of it: at the end of each step and of what else flow.h
 * offers, when a job begins, and in each tick.
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
#include "ingestd/disk/open.h"
#include "ingestd/disk/sync.h"
#include "ingestd/policies.h"

#define SOURCES_MAX 16 /* of one transfer */

/* How long a transfer that nobody asks for rests before it is removed (collect.h): one with bytes, one without. */
#define TRANSFER_KEEP_S       (14 * 86400u)
#define TRANSFER_KEEP_EMPTY_S 86400u

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

/* What holds besides the phase: bits, each independent of the others. */
enum mark {
	/* Of the current attempt; these decide what fetchd may send (chunks.h). */
	MARK_ASKS_DIGEST = 1, /* its order asks to resolve a tag */
	MARK_OPENED = 2,      /* OPENED has arrived */
	MARK_UNSAID = 4,      /* fetchd brought news that is not published yet */
	MARKS_OF_ATTEMPT = MARK_ASKS_DIGEST | MARK_OPENED | MARK_UNSAID,

	/* Since the last request. */
	MARK_RESOLVED = 8, /* a manifest by tag: what the tag names is known */

	/* Since the last start. */
	MARK_ROLLED_BACK = 16,  /* a write or a sync has failed once */
	MARK_SEALED_AGAIN = 32, /* commitd once did not find what was sealed */
	MARKS_OF_START = MARK_ROLLED_BACK | MARK_SEALED_AGAIN,
};

struct flow;

/* A source that the content can be fetched from, and its policy. Both owned. */
struct asked_source {
	char *source;
	struct policy *policy; /* NULL: nothing was said */
};

/* Only transfer.c writes to it, except to `beats` and to what a job's own functions write (sync.h, workers.h). */
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

	/*
	 * Where it is fetched from, and where else it can be: sources that were requested since the last start of the
	 * daemon, in that order. None, and no policy, once it has failed, rests or is committed.
	 */
	struct asked_source current; /* its `source` NULL: nobody requested it since the daemon started */
	struct asked_source others[SOURCES_MAX - 1];
	size_t others_len;

	unsigned marks;                /* enum mark */
	enum fail_class restart_class; /* why it starts over */

	unsigned space_tries;  /* failed tries without progress since space seemed to be back */
	uint64_t space_ms;     /* do not try before; monotonic */
	uint64_t space_offset; /* where the last try failed */
	uint64_t job_ms;       /* when the job was submitted; monotonic, as are those below */
	uint64_t heard_ms;     /* when the peer that works on it last sent a message, or was last sent one */
	uint64_t checkpoint_ms;
	uint64_t news_ms;       /* when news from fetchd was last published */
	struct log_limit beats; /* of lines about that; log_limit_pass() writes it */
	uint64_t
	    phase_s; /* when it came to its phase; seconds since boot, so that a clock that jumps changes nothing */
	uint64_t rested_s;     /* for how long it had been in it at that time, when an earlier process left it */
	uint64_t phase_wall_s; /* the same as `phase_s` by the wall clock, only to be shown */
	uint64_t event_ms;     /* when progress was last published, at which offset, how fast it was */
	uint64_t event_offset;
	uint64_t rate;

	/* Shown by status; refreshed from the ingest while that is open. */
	uint64_t offset, size, started_s, updated_s, orders, rehashed;
	uint64_t until_s; /* until when fetchd waits; 0: it does not wait, or does not know */
	bool has_digest;
	struct digest digest;
	bool is_sealed; /* with `digest`, as its record says */
	char media_type[MEDIA_TYPE_MAX + 1];
	enum fail_class fail_class;
	char *note; /* owned, may be NULL */
};

/* A new transfer, QUEUED. NULL: out of memory. It counts itself in `of_state`, which must outlive it. */
struct transfer *transfer_new(struct flow *flow, struct span ref, size_t *of_state);

/* Close its ingest and free it. It must have no job. NULL is fine. */
void transfer_free(struct transfer *t);

/*
 * Change the phase. A step that waits for the job, marks and fields are dropped if the new phase does not allow them.
 * Asserts what the table says.
 */
void transfer_enter(struct transfer *t, enum phase phase);

/* Assert all that the tables say: nothing is left half done. */
void transfer_check(const struct transfer *t);

/* ── its ingest ── */

/* Open its ingest, if it is closed; `make` and result as in ingest_open(). Blocks. The caller sees to it that it is closed
 * again unless the phase lets it stay open. */
int transfer_open(struct transfer *t, const struct ingest_home *home, enum ingest_make make, struct reason *why);

/* Close its ingest; nothing to do if it is closed. It must have no job. */
void transfer_close(struct transfer *t);

/* Remove its ingest; 0 if it is closed, else as ingest_remove(). It is closed in any case. It must have no job. */
int transfer_remove_ingest(struct transfer *t);

/* ── its job ── */

/* Whether it has a job. */
bool transfer_is_busy(const struct transfer *t);

/* Take a snapshot of the open ingest for a job that the caller submits; `after` follows if it succeeds. */
void transfer_begin_job(struct transfer *t, enum sync_kind kind, enum step after);

/* Change what follows its job. The phase must allow it. */
void transfer_set_after(struct transfer *t, enum step after);

/* The job has finished. Returns the step that follows. */
enum step transfer_end_job(struct transfer *t);

/* ── its marks, and what is known of its peer ── */

/* Whether it has all of these marks. */
bool transfer_has(const struct transfer *t, unsigned marks);

/* Add these marks. The phase must allow them. */
void transfer_mark(struct transfer *t, unsigned marks);

/* Remove these marks. */
void transfer_unmark(struct transfer *t, unsigned marks);

/* An order or a seal is due: count its peer as heard from, and time the next checkpoint from now. */
void transfer_await(struct transfer *t);

/* Its peer is alive, and waits until `until_s`; 0: it does not wait, or does not know. */
void transfer_heard(struct transfer *t, uint64_t until_s);

/* fetchd waits, and `text` says for what. True: this is news, and now is the time to publish it. */
bool transfer_beat(struct transfer *t, uint64_t until_s, const char *text);

/*
 * There is news from fetchd. True: now is the time to publish it, which is at most as often as progress; what comes
 * sooner is published with the next BEAT or progress.
 */
bool transfer_news(struct transfer *t);

/* Bytes have arrived: measure how fast. True: it is time to publish that. */
bool transfer_progress(struct transfer *t);

/* ── its course; the caller changes the phase ── */

/* It has its turn: forget what the last start left, and measure from here. Its ingest is open. */
void transfer_begin(struct transfer *t);

/* It starts over for this reason, which is not FAIL_NONE. It is halted next. */
void transfer_restart(struct transfer *t, enum fail_class class, const char *text);

/* Return and forget why it starts over. */
enum fail_class transfer_take_restart(struct transfer *t);

/* It fails for this reason, which is not FAIL_NONE. It enters FAILED next. */
void transfer_fail(struct transfer *t, enum fail_class class, const char *text);

/* It waits for space; each try without progress doubles the pause. It enters FOR_SPACE next. */
void transfer_pause(struct transfer *t, const char *text);

/* There is still no space: the next pause is a short one. */
void transfer_forget_tries(struct transfer *t);

/* All of it is stored under this digest. It enters COMMITTED next. */
void transfer_commit(struct transfer *t, const struct digest *digest);

/* What a record says that an earlier process left, with so many bytes. */
void transfer_recover(struct transfer *t, const struct record *record, uint64_t offset);

/* It has been in its phase for so long, through earlier processes. */
void transfer_rested(struct transfer *t, uint64_t age_s);

/* Something that status tells has changed just now. */
void transfer_touch(struct transfer *t);

/* Its place among those that wait for their turn; transfers.h. */
void transfer_set_turn(struct transfer *t, uint64_t turn);

/* ── what is known of it ── */

/* Whether fetchd has an order for it, or will get one: messages of the current attempt count. */
bool transfer_is_ordered(const struct transfer *t);

/* Whether commitd may be giving its content this digest's name at the moment. */
bool transfer_is_being_named(const struct transfer *t, const struct digest *d);

/* Whether it continues without another request. */
bool transfer_is_under_way(const struct transfer *t);

/* For how many seconds it has been in its phase, as long as the machine ran. */
uint64_t transfer_age_s(const struct transfer *t);

/* Whether it rests until somebody asks for it: nothing works on it, and nothing will. */
bool transfer_rests(const struct transfer *t);

/* Replace the note. `text` may be NULL. */
void transfer_note(struct transfer *t, const char *text);

/* Keep a request's parameters; `policy` and `expected` may be NULL. 0 or -ENOMEM. */
int transfer_ask(struct transfer *t, struct span source, struct policy *policy, const struct digest *expected,
		 uint64_t size);

/*
 * Another request for what is under way: if the current source fails, this one is next. A source that it has already,
 * with that policy, is not added, and one beyond SOURCES_MAX is left out.
 */
void transfer_offer(struct transfer *t, struct span source, struct policy *policy);

/* Take the next source, also into the record of the open ingest. False: there is none. */
bool transfer_next_source(struct transfer *t);

/* Note in the record of the open ingest what its source needs besides the configuration. */
void transfer_note_policy(struct transfer *t);

/* It has ended, or rests: forget all sources, and what policies they have. */
void transfer_forget_sources(struct transfer *t);

/* Note who requests it, unless somebody has already: it counts as that user's. */
void transfer_note_asker(struct transfer *t, uid_t uid);

/* The record of the open ingest has what was requested: forget the source. */
void transfer_asked_is_noted(struct transfer *t);

/* What it was thought to have is wrong: this is the size of the content, or SIZE_UNKNOWN. Its ingest is open. */
void transfer_set_size(struct transfer *t, uint64_t size);

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
