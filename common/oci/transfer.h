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

/* The note of a transfer that nobody has requested since ingestd started. */
#define TRANSFER_UNASKED "idle; run the same command to resume"

/* The numbers go over the wire. */
enum transfer_state {
	TRANSFER_QUEUED = 1,    /* accepted; waits for its turn */
	TRANSFER_FETCHING = 2,  /* ordered from fetchd; data grows */
	TRANSFER_SEALED = 3,    /* data complete; being synced, verified, named */
	TRANSFER_COMMITTED = 4, /* a name in blobs/, no ingest directory */
	TRANSFER_WAITING = 5,   /* for space, a retry time, a peer or a new request: see `why` */
	TRANSFER_FAILED = 6,    /* see `why`; a new pull resumes from the bytes that are kept */
};

/* Why something failed, as a guide to what to do about it. The numbers go over the wire and to disk. */
enum fail_class {
	FAIL_NONE = 0,
	FAIL_AGAIN = 1,       /* a temporary failure of network or server: what arrived is kept. Exit code 75 */
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

/* Whether a ref is valid: 1 to REF_MAX bytes of printable ASCII without spaces. A ref that starts with "sha256:" or
 * "sha512:" must be a complete digest. */
int ref_check(struct span ref, struct reason *why);

/*
 * The ref of content requested from `source`: its expected digest, if that is known; else the source of a tag, or the
 * URL, with its query and fragment, which may be secret, replaced by a hash. So all who use a ref want the same
 * content, and nobody can plant other content under it. `expected` may be NULL. -EINVAL with a reason: not a source, or
 * its digest is not `expected`.
 */
int ref_of_source(struct span source, const struct digest *expected, char ret_ref[static REF_MAX + 1],
		  struct reason *why);

#endif
