/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do with a response: the decision that keeps wrong bytes out. Pure. The rules are those of the table "what
 * goes wrong, and what happens" in docs/DESIGN.md; RFC 9110, 13.1.5 (If-Range), 14.4 and 15.3.7 (206), 15.5.17
 * (416).
 */
#ifndef SLUICE_FETCHD_HTTP_JUDGE_H
#define SLUICE_FETCHD_HTTP_JUDGE_H

#include "fetchd/http/response.h"

/* What was asked for. */
struct want {
	uint64_t offset;   /* 0: no range was asked for; else closed up to `size`, or open where that is unknown */
	bool whole;        /* all was asked for, wherever `offset` is: a range had been refused */
	uint64_t size;     /* of all the content, or SIZE_UNKNOWN */
	uint64_t size_max; /* content over this is refused */
	bool elsewhere;    /* requested from the target of a redirect, whose URL may be signed and expire */
	bool checked;      /* the bytes will be compared with a digest, so wrong ones are found */
	bool compressed;   /* the URL's name says that the content itself is: "f.tar.gz" */
	bool parsed;       /* JSON: a truncated one is noticed */
	char expected[DIGEST_TEXT_SIZE];   /* that digest where it is known here, else empty */
	char validator[VALIDATOR_MAX + 1]; /* of the content that the bytes before `offset` came from, or empty */
};

enum verdict {
	VERDICT_TAKE,     /* the body is good from `skip` on */
	VERDICT_REDIRECT, /* to `location` */
	VERDICT_LOGIN,    /* 401 */
	VERDICT_RETRY,    /* for now: `fail`, `why` */
	VERDICT_NARROW,   /* ask again: the server told the size and wants a closed range */
	VERDICT_WHOLE, /* ask again, for all of it: a range that lies within the content was refused: `fail`, `why` */
	VERDICT_COMPLETE, /* there is nothing behind `offset`; `size` is all */
	VERDICT_REFUSE,   /* for good: `fail`, `why` */
	VERDICT_RESOLVED, /* to a HEAD: `digest` of the response names the content */
	VERDICT_GET,      /* to a HEAD: only a GET will tell */
};

struct judgement {
	enum verdict verdict;
	uint64_t skip; /* bytes of the body that are there already */
	uint64_t size; /* of all the content, or SIZE_UNKNOWN */
	uint64_t end;  /* where in the content this body ends, or SIZE_UNKNOWN */
	enum fail_class fail;
	struct reason why; /* "404 Not Found": to stand behind "cannot fetch '…': " */
};

/* `r` is whole or refused. */
void response_judge(const struct response *r, const struct want *w, struct judgement *ret_judgement);

/* The same for the answer to a HEAD, which was to tell a digest. */
void response_judge_head(const struct response *r, struct judgement *ret_judgement);

#endif
