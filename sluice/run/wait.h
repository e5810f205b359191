/*
 * A set of blobs that a command wants stored: asks ingestd for each, follows them, and says when one is there.
 *
 *   NEW      nobody has been asked; one that is stored already becomes DONE without asking
 *   ASKED    ingestd has it in hand
 *   DONE     stored: whole and verified. `digest` is known
 *   FAILED   `fail_class` and `why` say why; the others go on
 *
 * At most WAIT_WINDOW blobs are ASKED at a time. Events are hints; a blob is DONE when it is in the store, and FAILED
 * when an answer of ingestd says so, or somebody aborted it. A stage that was restarted is asked again.
 */
#ifndef SLUICE_SLUICE_RUN_WAIT_H
#define SLUICE_SLUICE_RUN_WAIT_H

/* OCI */
#include "common/oci/transfer.h"
#include "common/store/layout.h"

/* Sluice */
#include "sluice/run/client.h"
#include "sluice/show/progress.h"

#define WAIT_WINDOW    256u
#define WAIT_WANTS_MAX 16384u /* blobs of one command */
#define WAIT_POLL_MS   500u
#define WAIT_POLL_MIN  50u /* at first: a small blob is there in no time */

enum want_state {
	WANT_NEW,
	WANT_ASKED,
	WANT_DONE,
	WANT_FAILED,
};

struct want {
	char *ref;    /* owned, as is the next */
	char *source; /* where from */
	bool has_digest;
	struct digest digest;                /* expected; or learned, once it is DONE */
	bool expects;                        /* the digest was known from the start */
	uint64_t size;                       /* or SIZE_UNKNOWN */
	char media_type[MEDIA_TYPE_MAX + 1]; /* as described, else as served; may be empty */
	unsigned role;                       /* the caller's */
	unsigned depth;                      /* the caller's */
	struct platform platform;            /* the caller's */
	bool has_platform;

	enum want_state state;
	enum fail_class fail_class;
	char *why;         /* owned; NULL unless FAILED */
	bool told;         /* the caller has heard that it is DONE */
	bool arrived;      /* some of its bytes are kept, whether it was finished or not */
	bool ask_again;    /* ingestd does not have it in hand any more */
	bool orphaned;     /* the ingestd that was asked is gone */
	unsigned asks;     /* how often ingestd was asked for it */
	uint64_t ask_ms;   /* not before this */
	uint64_t poll_ms;  /* when to look again */
	uint64_t pause_ms; /* between two looks; grows to WAIT_POLL_MS */
	size_t shown;      /* its number in the progress */
};

struct wait;

struct wait_hooks {
	/* `want` is DONE; may add others. 0, or an exit code with a reason: the whole command ends. */
	int (*done)(void *self, struct wait *w, size_t want, struct reason *why);
	void *self;
};

/* Borrows all of it. */
int wait_new(struct client *c, struct layout *l, struct progress *p, const struct wait_hooks *hooks,
	     struct wait **ret_wait);
void wait_free(struct wait *w);

/*
 * Want one more, as `like` describes it: ref, source, digest, size, media type, role, depth, platform; all is copied. A
 * second one with the same ref is the first: `ret_want` is its number and 1 is returned. 0: new. -ENOMEM; -E2BIG over
 * WAIT_WANTS_MAX.
 */
int wait_add(struct wait *w, const struct want *like, size_t *ret_want);

/* Borrowed until the next wait_add(). */
size_t wait_len(const struct wait *w);
const struct want *wait_at(const struct wait *w, size_t want);

/* The caller found a blob that is DONE to be of no use. */
void wait_fail(struct wait *w, size_t want, enum fail_class fail_class, const char *why);

/*
 * Go on until every want is DONE or FAILED. 0, or an exit code with a reason: interrupted, no stage answers, or what a
 * hook said. Which ones FAILED is for the caller to look at.
 */
int wait_run(struct wait *w, struct reason *why);

#endif
