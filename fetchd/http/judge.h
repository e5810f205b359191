/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do with a response: the decision that keeps wrong bytes out. Pure. The rules are those of the table "what
 * goes wrong, and what happens" in docs/DESIGN.md; RFC 9110, 13.1.5 (If-Range), 14.4 and 15.3.7 (206), 15.5.17
 * (416).
 */
#ifndef SLUICE_FETCHD_HTTP_JUDGE_H
#define SLUICE_FETCHD_HTTP_JUDGE_H

#include "fetchd/http/response.h"

/* What was requested. */
struct want {
	uint64_t offset;   /* 0: no range was requested; else a range up to `size`, or open-ended if that is unknown */
	bool whole;        /* everything was requested, whatever `offset` is, because a range had been refused */
	uint64_t size;     /* of all content, or SIZE_UNKNOWN */
	uint64_t size_max; /* larger content is refused */
	bool elsewhere;    /* requested from the target of a redirect, whose URL may be signed and expire */
	bool checked;      /* the bytes will be compared with a digest, so wrong ones are detected */
	bool compressed;   /* the name in the URL says that the content itself is: "f.tar.gz" */
	bool parsed;       /* JSON: a truncated one is noticed */
	char expected[DIGEST_TEXT_SIZE];   /* that digest if it is known here, else empty */
	char validator[VALIDATOR_MAX + 1]; /* of the version that the bytes before `offset` belong to, or empty */
};

enum verdict {
	VERDICT_TAKE,     /* the body is good from `skip` on */
	VERDICT_REDIRECT, /* to `location` */
	VERDICT_LOGIN,    /* 401 */
	VERDICT_RETRY,    /* a temporary failure: `fail`, `why` */
	VERDICT_NARROW,   /* request again: the server told the size and wants a closed range */
	VERDICT_WHOLE,    /* request everything: a range within the content was refused: `fail`, `why` */
	VERDICT_COMPLETE, /* there is nothing after `offset`; `size` is the total */
	VERDICT_REFUSE,   /* a permanent failure: `fail`, `why` */
	VERDICT_RESOLVED, /* for a HEAD: `digest` in the response identifies the content */
	VERDICT_GET,      /* for a HEAD: only a GET will tell */
};

struct judgement {
	enum verdict verdict;
	uint64_t skip; /* bytes of the body that have arrived already */
	uint64_t size; /* of all content, or SIZE_UNKNOWN */
	uint64_t end;  /* where in the content this body ends, or SIZE_UNKNOWN */
	enum fail_class fail;
	bool wrong; /* with VERDICT_REFUSE: it is not an answer to what was requested; another one may be right */
	struct reason why; /* "404 Not Found": to follow "cannot fetch '…': " */
};

/* `r` must be whole or refused. */
void response_judge(const struct response *r, const struct want *w, struct judgement *ret_judgement);

/* The same for the answer to a HEAD that was sent to learn a digest. */
void response_judge_head(const struct response *r, struct judgement *ret_judgement);

#endif
