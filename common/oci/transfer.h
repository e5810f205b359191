/*
 * The record of a transfer: what is asked for, from where, and how far it got. On disk it is the text file `transfer`
 * of an ingest directory, one key=value a line, keys without a value left out:
 *
 *   ref=sha256:…                  what it is asked for under
 *   source=blob://…               where from
 *   digest=sha256:…               what it must hash to
 *   size=N                        bytes in all
 *   media_type=… validator=…      as the server said
 *   started=2026-01-31T12:34:56Z
 *   attempt=N                     the number of the last order to fetchd; only grows
 *   orders=N                      how many orders there were
 *   restarts=N                    how often it went back to zero because of wrong or changed content
 *   sealed=sha256:…               all bytes are there and synced, and this is their digest
 *   failed=N error=…              why it rests: the number of its fail_class, and a line for people
 *   end=1                         the record is whole
 *
 * A change appends a whole record, and the last whole one counts: an append that was torn puts nothing at risk.
 */
#ifndef SLUICE_OCI_TRANSFER_H
#define SLUICE_OCI_TRANSFER_H

#include "common/oci/descriptor.h"
#include "common/oci/source.h"

#define REF_MAX           1024 /* bytes; printable ASCII without spaces */
#define VALIDATOR_MAX     512
#define TRANSFER_FILE_MAX (64u << 10) /* bytes; a file that would grow over it is begun anew */
#define SIZE_UNKNOWN      UINT64_MAX

/* Why a transfer waits that nobody has asked for since its daemon started: whoever wants it has to say so again. */
#define TRANSFER_UNASKED "for somebody to ask for it again"

enum transfer_state {                         /* the numbers go over the wire */
		      TRANSFER_QUEUED = 1,    /* accepted; its turn comes */
		      TRANSFER_FETCHING = 2,  /* ordered from fetchd; data grows */
		      TRANSFER_SEALED = 3,    /* data complete; being synced, verified, named */
		      TRANSFER_COMMITTED = 4, /* a name in blobs/, no ingest directory */
		      TRANSFER_WAITING =
			  5, /* rests: for space, for a retry time, for a peer, for somebody to ask; `why` says */
		      TRANSFER_FAILED = 6, /* rests: `why` says; a new pull resumes from the bytes that are there */
};

/* Why something failed, and so what a person or a program can do. The numbers go over the wire and to disk. */
enum fail_class {
	FAIL_NONE = 0,
	FAIL_AGAIN = 1,       /* the network or the server, for now: what arrived is kept. Exit code 75 */
	FAIL_NOT_FOUND = 2,   /* 404, 410. 66 */
	FAIL_DENIED = 3,      /* 401, 403. 77 */
	FAIL_BAD_DATA = 4,    /* a wrong digest or size, a broken answer. 65 */
	FAIL_UNAVAILABLE = 5, /* cannot connect, cannot resolve, TLS. 69 */
	FAIL_CHANGED = 6,     /* the content is not what the bytes so far came from: start over */
	FAIL_IO = 7,          /* errno and path in the text. 74 */
	FAIL_SPACE = 8,       /* disk full, quota. 75 */
	FAIL_USAGE = 9,       /* a source or a ref that nobody can serve. 64 */
	FAIL_MISSING = 10,    /* commitd: the sealed bytes are not where the seal says. 75 */
	FAIL_CLASS_MAX = 10,
};

struct transfer {
	char ref[REF_MAX + 1];
	char source[SOURCE_MAX + 1]; /* empty: bytes come by hand (ingestd put) */
	bool has_expected;
	struct digest expected;
	uint64_t size; /* SIZE_UNKNOWN until somebody says */
	char media_type[MEDIA_TYPE_MAX + 1];
	char validator[VALIDATOR_MAX + 1]; /* a strong ETag or a Last-Modified, for If-Range */
	uint64_t started_s;                /* wall clock */
	uint64_t attempt;
	uint64_t orders;
	uint32_t restarts;
	bool has_sealed;
	struct digest sealed;
	enum fail_class failed; /* FAIL_NONE unless it rests */
	struct reason why;
};

/* "queued", "fetching", ... for status and logs. */
const char *transfer_state_name(enum transfer_state s);

/* "not_found", "bad_data", ...: for programs. */
const char *fail_class_name(enum fail_class c);

/* The exit code of sysexits(3) for a class. */
int fail_exit_code(enum fail_class c);

/* Whether a ref is one: 1 to REF_MAX bytes of printable ASCII, no space. A ref that contains ':' after "sha256" or
 * "sha512" must be a whole digest. */
int ref_check(struct span ref, struct reason *why);

/* All keys empty, unknown or zero. */
void transfer_init(struct transfer *t);

/* How many bytes of a file's text are whole records; what is behind them was torn. 0: there is none. */
size_t transfer_whole_len(struct span text);

/*
 * Read the last whole record of a file's text. -EINVAL with a reason: there is none, no ref, an unknown key, a value
 * out of bounds, a NUL; a ref that is a digest beside another expected digest. Only on 0 `ret_transfer` is filled.
 */
int transfer_parse(struct span text, struct transfer *ret_transfer, struct reason *why);

/* Append a whole record as text to `out`. 0 or -ENOMEM. */
int transfer_format(const struct transfer *t, struct buf *out);

#endif
