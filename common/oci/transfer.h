/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary of transfers: refs, states, and the classes of failures. It goes over the wire and to disk.
 */
#ifndef SLUICE_OCI_TRANSFER_H
#define SLUICE_OCI_TRANSFER_H

#include "common/oci/descriptor.h"
#include "common/oci/source.h"

#define REF_MAX       1024 /* bytes; printable ASCII without spaces */
#define VALIDATOR_MAX 512

/* The note of a transfer that has not been requested since ingestd started. */
#define TRANSFER_UNASKED "idle; run the same command to resume"

/* The numbers go over the wire. */
enum transfer_state {
	TRANSFER_QUEUED = 1,    /* accepted; its turn comes */
	TRANSFER_FETCHING = 2,  /* ordered from fetchd; data grows */
	TRANSFER_SEALED = 3,    /* data complete; being synced, verified, named */
	TRANSFER_COMMITTED = 4, /* a name in blobs/, no ingest directory */
	TRANSFER_WAITING = 5,   /* rests: for space, for a retry time, for a peer, for a new request; `why` says */
	TRANSFER_FAILED = 6,    /* rests: `why` says; a new pull resumes from the bytes that are there */
};

/* Why something failed, and so what a person or a program can do. The numbers go over the wire and to disk. */
enum fail_class {
	FAIL_NONE = 0,
	FAIL_AGAIN = 1,       /* the network or the server, for now: what arrived is kept. Exit code 75 */
	FAIL_NOT_FOUND = 2,   /* 404, 410. 66 */
	FAIL_DENIED = 3,      /* 401, 403. 77 */
	FAIL_BAD_DATA = 4,    /* a wrong digest or size, a broken answer. 65 */
	FAIL_UNAVAILABLE = 5, /* cannot connect, cannot resolve, TLS. 69 */
	FAIL_CHANGED = 6,     /* the content has changed since the transfer began: start over */
	FAIL_IO = 7,          /* errno and path in the text. 74 */
	FAIL_SPACE = 8,       /* disk full, quota. 75 */
	FAIL_USAGE = 9,       /* an invalid source or ref. 64 */
	FAIL_MISSING = 10,    /* commitd: the sealed bytes are not where the seal says. 75 */
	FAIL_CLASS_MAX = 10,
};

/* "queued", "fetching", ... for status and logs. */
const char *transfer_state_name(enum transfer_state s);

/* "not_found", "bad_data", ...: for programs. */
const char *fail_class_name(enum fail_class c);

/* The exit code of sysexits(3) for a class. */
int fail_exit_code(enum fail_class c);

/* Whether a ref is valid: 1 to REF_MAX bytes of printable ASCII, no space. A ref that contains ':' after "sha256" or
 * "sha512" must be a whole digest. */
int ref_check(struct span ref, struct reason *why);

/*
 * The ref of content that is requested from `source`: the digest that it must have, if that is known; else the source
 * of a tag, or the URL, of whose query and fragment, which may be a secret, only a hash is kept. So whoever requests by one ref wants
 * the same, and nobody can bring something else under it. `expected` may be NULL. -EINVAL with a reason: not a source,
 * or one with another digest than `expected`.
 */
int ref_of_source(struct span source, const struct digest *expected, char ret_ref[static REF_MAX + 1],
		  struct reason *why);

#endif
