/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message of the project, defined once. Longer than 150 lines because none is defined elsewhere.
 *
 * A transfer, from order to receipt:
 *
 *   sluice              ingestd                        fetchd                       commitd
 *     │ GET ─────────────► │                              │                            │
 *     │ ◄───────── RECORD  │ HELLO, FETCH ──── orders ──► │                            │
 *     │                    │ ◄── chunks ─── HELLO, OPENED │                            │
 *     │                    │ ◄── chunks ──── CHUNK, CHUNK │                            │
 *     │ ◄─ events ─ RECORD │ ◄── chunks ───── BEAT … END  │                            │
 *     │                    │ SEALED ──────────────────────┼────────────────── seals ─► │
 *     │                    │ ◄──────────────── receipts ──┼──── COMMITTED or REJECTED  │
 *     │ ◄─ events ─ RECORD │                              │                            │
 *     │ SET_NAME ──────────┼──────────────────────────────┼─────────────────── ctl ──► │
 *     │ ◄──────────────────┼──────────────────────────────┼──────────────────────── OK │
 *
 * Starting, in any order: fetchd calls ingestd (HELLO on `chunks`), and ingestd calls commitd (HELLO on `seals`), with
 * its own incarnation and the last one that it heard from its peer, 0 at first, and again every HELLO_AGAIN_MS until
 * the peer has answered with a HELLO that names it (on `orders`, on `receipts`). ingestd answers every HELLO with its
 * own and with all orders that fetchd should have, and once commitd has named it, sends all seals without a receipt:
 * what a dead incarnation had counts as lost, and so does what was sent into a dying pipe. On the HELLO of a new
 * ingestd, fetchd drops every transfer that the previous one ordered.
 *
 * Attempts grow over all transfers of an ingestd. Offsets drive everything: ingestd takes a CHUNK only under the
 * current attempt and at exactly its own offset; below that it is a duplicate and dropped, above that there is a gap,
 * and the rest is ordered again. A FETCH with a higher attempt replaces the transfer of that ref; one with the same
 * attempt is a repetition and changes nothing.
 *
 * Bytes: "SL", a version, a type, then the fields in the order of the table in codec.c, fixed-width big-endian; a text
 * is its length in two bytes and that many bytes; a payload is the rest. A pipe and a ctl socket carry a message as it
 * is; on stdin and stdout it is preceded by its length in four bytes (frame.h).
 *
 * Versions: HELLO, PING and PONG say which versions of the protocol their sender understands. These three and ERROR
 * keep their fields in all future versions: they are written as version 2 has them, and read whatever version they
 * carry, so that a peer of another version can be told so. We understand every message of a version within our range,
 * and write to a peer in the highest version that both understand.
 */
#ifndef SLUICE_WIRE_MESSAGE_H
#define SLUICE_WIRE_MESSAGE_H

#include "common/base/span.h"
#include "common/oci/transfer.h"

/* A build with -DWIRE_VERSION=3 is a later neighbour of ours, for tests. Only common/wire knows these numbers. */
#ifndef WIRE_VERSION
#define WIRE_VERSION 2 /* the highest version that we support, and the one that we write unless the peer lacks it */
#endif
#ifndef WIRE_TALK_MIN
#define WIRE_TALK_MIN 2 /* the lowest that we support */
#endif
#define WIRE_VERSION_MIN  1 /* the lowest that we read: saved frames */
#define WIRE_VERSION_KEPT 2 /* in which HELLO, PING, PONG and ERROR are written, now and in all versions to come */

/* Messages of 64 KiB to 256 KiB are fastest through a socket, and a killed process loses only a few of them. */
#define CHUNK_PAYLOAD_MAX (256u << 10)
#define TEXT_MAX          (REASON_MAX - 1)
#define HELLO_AGAIN_MS    100u
#define VERSION_TEXT_MAX  32          /* of a program's version */
#define BOOT_TEXT_MAX     32          /* a boot id in hex digits */
#define MEMBERS_MAX       (32u << 10) /* bytes */
#define COUNTS_MAX        2048        /* bytes; numbers of eight (counters.h) */
#define BEAT_EVERY_MS     2000u       /* a live transfer that sends no chunks sends BEAT this often */

enum message_type {
	/* orders: ingestd → fetchd; HELLO also fetchd → ingestd on chunks, and between ingestd and commitd */
	MSG_HELLO = 1,  /* incarnation, peer, lowest, highest, version */
	MSG_FETCH = 2,  /* ref, attempt, source, offset, size, expected, validator, restarts, policy; a tag without
			  `expected` is to be resolved first */
	MSG_CANCEL = 3, /* ref, attempt: stop; nothing more is sent for it */

	/* chunks: fetchd → ingestd */
	MSG_OPENED = 4,    /* ref, attempt, offset, size, digest, media_type, validator: a valid answer; bytes follow */
	MSG_CHUNK = 5,     /* ref, attempt, offset, payload */
	MSG_END = 6,       /* ref, attempt, size: the content is complete and has this size */
	MSG_FAIL = 7,      /* ref, attempt, fail_class, http_status, text: fetchd gave up */
	MSG_BEAT = 8,      /* ref, attempt, until_s, text: alive; what it waits for, and until when if known */
	MSG_RESOLVED = 25, /* ref, attempt, digest, media_type: what the tag names; the order ends with it. If HEAD does
			      not tell, fetchd sends the manifest instead, from OPENED on */

	/* seals: ingestd → commitd */
	MSG_SEALED = 9, /* ref, digest, size, provenance, ino, mtime_ns: all bytes are in the ingest's data, which is
			   this very file, read-only and synced; ino 0: the data has been moved already */

	/* receipts: commitd → ingestd */
	MSG_COMMITTED = 10, /* ref, digest: named, durably */
	MSG_REJECTED = 11,  /* ref, digest, fail_class, text */

	/* ingestd's ctl: sluice → ingestd */
	MSG_GET = 12,    /* ref, source, expected, size, policy: start, join or resume; answered by RECORD or ERROR */
	MSG_STATUS = 13, /* ref: RECORD, or ERROR with FAIL_NOT_FOUND */
	MSG_NEXT = 14,   /* ref, may be empty: the RECORD after it in byte order; at the end FAIL_NOT_FOUND */
	MSG_ABORT = 15,  /* ref: drop the ingest; OK even if there is none */
	MSG_LOGIN = 29,  /* name, policy: whether the registry at this host accepts the credentials; OK or ERROR */
	MSG_RESET = 16,  /* ref: drop its bytes and digest state, keep the ref; RECORD or ERROR */

	/* commitd's ctl: sluice → commitd */
	MSG_SET_NAME = 17, /* name, digest, media_type, size, platform: OK once durable; all content must be stored */
	MSG_REMOVE_NAME = 18, /* name: OK even if it does not exist */
	MSG_SET_FILE =
	    37, /* name, may be empty; digest, media_type, size of a stored file; text: its title; source: its
				 URL, without query and fragment. NAMED, with the manifest that wraps it, once durable */

	MSG_LEASE = 30, /* name, text, ref, ttl_s, members: take the lease of that ID for that purpose, extend or renew
			   it: OK once it is on disk. What it keeps and is stored now stays; what is absent may be
			   removed already. Without a text: only if there is one, else FAIL_NOT_FOUND. It ends with
			   RELEASE, or `ttl_s` after the last client that holds it has left or renewed it (lease.h) */
	MSG_RELEASE = 31, /* name: OK even if there is no such lease */

	MSG_CHECK =
	    36, /* digest, flags, age_s: read that blob back. OK: it is good, or was found so lately. ERROR: with
			   FAIL_BAD_DATA it was damaged, and is in quarantine/ now; FAIL_NOT_FOUND: it is missing;
			   FAIL_IO: it cannot be read, and stays. Without a digest, with CHECK_FLAG_FINISH: the round,
			   in which no blob is read twice, is complete */

	/* both: remove what nobody needs; of commitd content, of ingestd unfinished transfers */
	MSG_GC = 32,        /* flags, age_s, size: COLLECTED when it is done. FAIL_AGAIN: one is running */
	MSG_COLLECTED = 33, /* flags, removed, removed_bytes, waiting, waiting_bytes, leased_bytes, fail_class, text */
	MSG_GC_ITEM = 34,   /* number: the item of the last run, from 0; FAIL_NOT_FOUND: there are no more */
	MSG_ITEM = 35,      /* fate, digest, size, age_s, text */

	/* both ctl sockets */
	MSG_PING = 19, /* lowest, highest, version: answered with PONG */
	MSG_PONG = 20, /* incarnation, dev, ino, started, updated, version, boot, text, lowest, highest: which store it
			  serves; text: its path */
	MSG_SUBSCRIBE = 28, /* ref: events about it follow after the OK, or about all refs if it is empty. For commitd
			       the ref is a name */
	MSG_STATS = 26,     /* stage: answered with COUNTS, or ERROR with FAIL_UNAVAILABLE if fetchd is not connected */
	MSG_COUNTS = 27,    /* stage, incarnation, started, updated, version, counts: its counters; also on chunks */
	MSG_OK = 21,
	MSG_ERROR = 22, /* fail_class, text */

	/* answers and events of ingestd's ctl; `attempt` is the number of orders so far */
	MSG_RECORD = 23, /* ref, state, offset, size, digest, media_type, started, updated, attempt, rate, rehashed,
			    until, fail_class, text. With a fail_class, although not failed: it cannot
			    continue for now */

	/* events of commitd's ctl, and the answer to SET_FILE */
	MSG_NAMED = 24, /* name, digest: the name now refers to it; empty digest: the name was removed */
};
#define MESSAGE_TYPE_MAX 37

#define GC_GRACE_S       3600u /* the age_s of a GC, unless somebody asks for another */

enum gc_flag {                        /* bits of MSG_GC */
	       GC_FLAG_DRY_RUN = 1,   /* remove nothing, and say what would be */
	       GC_FLAG_ENDS_IDLE = 2, /* also end leases that were left, and have been idle for age_s */
	       GC_FLAG_MASK = 3,
};

enum check_flag {                      /* bits of MSG_CHECK */
		  CHECK_FLAG_ANEW = 1, /* apart from the round; within `age_s` it is not read */
		  CHECK_FLAG_FINISH = 2,
};

enum gc_fate {                 /* of an item */
	       GC_REMOVED = 1, /* or would be, in a dry run */
	       GC_WAITS,       /* unneeded, but not for long enough, or enough was removed */
	       GC_LEASED,      /* needed by this lease and by no name */
	       GC_FATES = GC_LEASED,
};

enum stage_id { STAGE_FETCHD = 1, STAGE_INGESTD, STAGE_COMMITD }; /* the numbers go over the wire */

enum provenance {                          /* how the bytes of a sealed ingest were written: bits */
		  PROVENANCE_MENDED = 1,   /* a restart found a record that did not match the file */
		  PROVENANCE_REBOOTED = 2, /* some bytes were written before a reboot */
		  PROVENANCE_MASK = 3,
};

/*
 * A decoded message. Spans are borrowed: from the caller when encoding, from the received bytes when decoded. A field
 * that the type does not have is empty or 0. Digests may be empty if unknown.
 */
struct message {
	enum message_type type;
	uint8_t protocol;        /* the version that it was written in; 0: write it in our highest */
	uint8_t lowest, highest; /* the versions that its sender understands */
	uint64_t incarnation;    /* unique per start of a process; never 0 */
	uint64_t peer;           /* the last incarnation heard from the peer, or 0 */
	struct span ref;
	uint64_t attempt;
	struct span source;
	uint64_t offset;      /* bytes from the start of the content */
	uint64_t size;        /* bytes in all, or SIZE_UNKNOWN */
	struct span policy;   /* of the source: source_policy.h; empty: nothing was said */
	struct span expected; /* a digest */
	struct span digest;   /* a digest */
	struct span media_type;
	struct span validator;
	struct span platform; /* "os/arch[/variant]", or empty */
	struct span name;     /* of an image or a file */
	uint8_t stage;        /* enum stage_id */
	uint8_t state;        /* enum transfer_state */
	uint8_t fail_class;   /* enum fail_class */
	uint8_t provenance;   /* bits of enum provenance */
	uint8_t restarts;     /* how often the bytes turned out wrong or had changed */
	uint16_t http_status; /* 0: there was no answer */
	uint64_t started_s;   /* wall clock, as are updated_s and until_s */
	uint64_t updated_s;
	uint64_t until_s;  /* 0: not known */
	uint64_t rate;     /* bytes per second, smoothed */
	uint64_t rehashed; /* bytes that restarts hashed again, over the life of the ingest */
	uint64_t dev, ino;
	uint64_t mtime_ns; /* of the sealed file: bytes written after the seal are not what was sealed */
	uint64_t ttl_s;
	struct span members; /* of a lease: "content=DIGEST" or "root=DIGEST", separated by blanks (lease.h) */
	uint8_t flags;
	uint8_t fate;
	uint64_t age_s;
	uint64_t number;
	uint64_t removed, removed_bytes, waiting, waiting_bytes, leased_bytes;
	struct span text; /* for a person */
	struct span version;
	struct span boot;
	struct span counts; /* numbers, big-endian */
	struct span payload;
};

#endif
