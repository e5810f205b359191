/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One blob that a command wants stored: what it is, and what ingestd and the store have said about it. Decisions only;
 * the caller passes the time, and wait.c sends what is due.
 *
 * state      meaning                                                    at `due_ms`
 * NEW        not requested yet                                          -
 * FOLLOWED   ingestd is working on it                                   check it with STATUS, once an event says that
 *                                                                       it ended; until then it is not due
 * ORPHANED   the ingestd that had it is gone, its successor may know    check it with STATUS, now
 * LOST       ingestd is not working on it any more                      request it again: GET
 * STORED     complete and verified; the caller is to be told            -
 * DONE       the caller was told                                        -
 * FAILED     `fail_class` and `why` say why; bytes may be kept          -
 *
 * News about it, and the state that follows:
 *
 *               NEW        FOLLOWED       ORPHANED   LOST
 * IN_HAND       FOLLOWED   FOLLOWED       FOLLOWED   FOLLOWED
 * WAITING       FOLLOWED   FOLLOWED       LOST       FOLLOWED     for another's request; ours must be repeated
 * IDLE          LOST       LOST           LOST       LOST         until somebody requests it
 * COMMITTED     LOST       LOST           LOST       LOST         yet it is not in the store
 * UNKNOWN       FAILED     FAILED [1]     LOST       FAILED       ingestd has no such transfer
 * PROGRESS      NEW        FOLLOWED       ORPHANED   LOST         by an event; due as before
 * ENDED         NEW        FOLLOWED [2]   ORPHANED   LOST         by an event, which is a hint
 * RESTARTED     NEW        ORPHANED       ORPHANED   ORPHANED     there is another ingestd
 * STORED        STORED     STORED         STORED     STORED
 * FAILED        FAILED     FAILED         FAILED     FAILED
 *
 * [1] It was aborted, and requesting it again would undo that. Without a known digest it may instead have been stored, too
 *     long ago for us to learn the digest: then LOST, up to BLOB_REQUESTS_BY_TAG times, unless the last event said that it
 *     failed.
 * [2] To be checked now.
 *
 * LOST is due now, but after a request with a growing delay, so that no answer makes us loop.
 */
#ifndef SLUICE_SLUICE_RUN_BLOB_H
#define SLUICE_SLUICE_RUN_BLOB_H

/* System */
#include <stdbool.h>

/* OCI */
#include "common/oci/descriptor.h"

/* Wire */
#include "common/wire/message.h"

#define BLOB_NOT_DUE         UINT64_MAX
#define BLOB_AGAIN_STEP_MS   200u /* delay of each request after the first */
#define BLOB_AGAIN_MAX_MS    5000u
#define BLOB_REQUESTS_BY_TAG 3u

enum blob_state {
	BLOB_NEW,
	BLOB_FOLLOWED,
	BLOB_ORPHANED,
	BLOB_LOST,
	BLOB_STORED,
	BLOB_DONE,
	BLOB_FAILED,
};
#define BLOB_STATES 7

enum blob_heard {
	BLOB_HEARD_IN_HAND,
	BLOB_HEARD_WAITING,
	BLOB_HEARD_IDLE,
	BLOB_HEARD_COMMITTED,
	BLOB_HEARD_UNKNOWN,
	BLOB_HEARD_PROGRESS,
	BLOB_HEARD_ENDED,
	BLOB_HEARD_RESTARTED,
	BLOB_HEARD_STORED,
	BLOB_HEARD_FAILED,
};

enum blob_digest {
	BLOB_DIGEST_UNKNOWN, /* by tag or by URL, until it is committed */
	BLOB_DIGEST_GIVEN,   /* it must hash to that */
	BLOB_DIGEST_LEARNED,
};

/* Where the asker does not know its size. */
enum blob_doubt {
	BLOB_DOUBT_NONE,
	BLOB_DOUBT_UNREAD, /* nothing says its size: it is to be read back, unless it was lately */
	BLOB_DOUBT_SIZE,   /* what is stored has another size than something says */
};

struct blob {
	char *ref;    /* owned, as is the next */
	char *source; /* where it comes from */
	struct descriptor
	    content; /* the meaning of its digest depends on `digest`; its media type is as described, else as served */
	enum blob_digest digest;
	unsigned role, depth;  /* the caller's */
	bool held;             /* a lease keeps it */
	enum blob_doubt doubt; /* about what is stored before it is requested */
	bool was_checked;      /* commitd has looked whether what is stored is damaged */
	bool left_out;         /* a foreign layer that its source does not have: DONE without being STORED */

	enum blob_state state;
	enum fail_class fail_class;
	char *why;         /* owned; NULL unless FAILED */
	bool arrived;      /* some of its bytes are kept, whether it is complete or not */
	unsigned requests; /* how often it was requested from ingestd */
	uint64_t due_ms;   /* see above; monotonic, as is the next */
	uint64_t heard_ms; /* when there was last news about it */
	size_t bar;        /* its number in the progress display */
	bool failed_last;  /* so said the last event about it: if it is UNKNOWN then, it was aborted, not stored */
};

/* Whether ingestd works on it, or should again: FOLLOWED, ORPHANED or LOST. */
bool blob_is_open(const struct blob *b);

/* The news in an answer to a GET, or with `look` to a STATUS. Never PROGRESS, ENDED, RESTARTED or STORED. */
enum blob_heard blob_heard_of(const struct message *answer, bool look);

/*
 * Process news about a blob that is NEW or open, and set when it is due. The caller has counted the request, if it was
 * one, and for COMMITTED or UNKNOWN has checked the store first. FAILED: sets neither class nor why.
 */
void blob_hear(struct blob *b, enum blob_heard heard, uint64_t now_ms);

/* Learn about its content from a RECORD: the digest, once it is committed, and the media type. */
void blob_learn(struct blob *b, const struct message *record);

void blob_release(struct blob *b);

#endif
