/*
 * The steps of a transfer and what they work on. For fetch.c, steps.c, ask.c, login.c and the ranges alone.
 *
 *   plan ─► line_up ─► present ─► ask ─► open ─► settle ─► end ─► last ─► done
 *              ▲                   ▲ └─► drain ──┘ │││ ▲            ▲
 *              │                   ├── login ◄─────┤││ │            │
 *              │                   │             │││ ├─► resolve ─┤
 *              │                   ├── redirect ◄──┘│├─┼─► give_up ─┘
 *              │                   │                │└─┴─► spread ─► (end, retry or line_up)
 *              └───────────────────┴── retry ◄──────┘
 *
 * A step returns the next one, or NULL to wait for an event that names it: a turn with the host (present), a pass for
 * it (ask), a whole head (open or drain), the end of the exchange (settle), a time (line_up), a drained outlet (done).
 * While the exchange runs there may be ranges ahead of it; in `spread` there are only those (ranges.h).
 */
#ifndef SLUICE_FETCHD_STEPS_H
#define SLUICE_FETCHD_STEPS_H

#include "common/base/buf.h"
#include "common/base/loop.h"
#include "fetchd/auth/pass.h"
#include "fetchd/backoff.h"
#include "fetchd/bucket.h"
#include "fetchd/config/registries.h"
#include "fetchd/fetch.h"
#include "fetchd/host.h"
#include "fetchd/http/http.h"
#include "fetchd/http/judge.h"
#include "fetchd/ranges.h"
#include "fetchd/sink.h"
#include "fetchd/window.h"

/* 400, 401, 403 and 410 from where a registry sent us: a signed URL that expired on the way; a new one may do. */
#define AWAY_RETRIES  3

#define SITE_REGISTRY MIRRORS_MAX /* the registry itself, among the numbers of its mirrors */

struct fetch_step {
	const char *name;
	const struct fetch_step *(*go)(struct fetch *f);
};

struct fetch {
	const struct fetcher *env;
	const struct fetch_hooks *hooks;
	void *self;
	const struct fetch_step *step; /* the last one begun */

	/* The order. */
	char *ref;
	char *source;
	uint64_t attempt;
	char shown[URL_SHOWN_SIZE]; /* the source, for messages */
	enum source_kind kind;
	uint8_t sites[MIRRORS_MAX + 1]; /* numbers of mirrors, and SITE_REGISTRY, in the order of asking */
	size_t sites_len;
	size_t site;                       /* the one that is asked */
	uint32_t suspects;                 /* bits of sites: asked last */
	uint32_t served;                   /* bits of those that brought something */
	uint32_t no_range;                 /* bits of those that refused a range within the content */
	char registry[ORIGIN_TEXT_SIZE];   /* whose mirrors count */
	char host[ORIGIN_TEXT_SIZE];       /* whose credentials count: the mirror's own, or the registry's ... */
	char name[REFERENCE_NAME_MAX + 1]; /* ... and for which repository, if any */
	bool by_tag;                       /* a manifest, ordered by those who resolve tags first ... */
	bool resolve;                      /* ... and this request is the HEAD that does so */
	struct want want;                  /* `offset` moves with every byte, `size` is learned */

	/* The way to the bytes. */
	struct buf start_url; /* each try begins here ... */
	struct buf url;       /* ... and is redirected to here */
	struct origin home;   /* the origin of start_url: the only one that gets credentials */
	struct origin at;     /* the origin of url */
	unsigned redirects;   /* in this try */
	struct buf pass;      /* the Authorization for `home`, empty: none; wiped */
	uint64_t pass_generation;
	bool pass_is_fresh; /* it was made after the last byte came */
	bool pass_is_anonymous;
	bool sent_pass; /* in this request */
	struct pass_wait pass_wait;
	struct turn turn;
	struct exchange *exchange; /* NULL while none runs */
	struct ranges *ranges;     /* NULL: none so far */
	struct bucket bucket;      /* of this transfer's bytes */
	struct loop_timer pause;   /* runs while bytes are held back by a bucket */

	/* The answer. */
	struct judgement judgement;
	bool has_head;              /* of this request */
	struct challenge challenge; /* what a 401 asks for */
	uint64_t retry_after_ms;
	struct buf location;
	uint64_t asked_at;                   /* the offset of this request */
	uint64_t unwanted_bytes;             /* of a body that is only read to keep the connection */
	bool opened;                         /* OPENED was said */
	char media_type[MEDIA_TYPE_MAX + 1]; /* for OPENED */
	char learned[DIGEST_TEXT_SIZE];      /* for OPENED: Docker-Content-Digest */
	char validator[VALIDATOR_MAX + 1];   /* for OPENED */
	enum http_end end;                   /* of the exchange */
	struct reason end_why;

	/* What went wrong. */
	struct backoff backoff;
	uint64_t retries_max; /* for this failure */
	struct loop_timer wait;
	uint64_t until_s; /* wall clock, while `wait` runs */
	enum fail_class fail;
	uint16_t http_status; /* of the last answer, 0 if there was none */
	int error;            /* an errno, or 0 */
	struct reason why;
	struct reason text, beat; /* for FAIL and BEAT */

	struct outlet outlet;
	int sink_error;
};

/* Run steps until one waits. The transfer may be gone afterwards. */
void fetch_run(struct fetch *f, const struct fetch_step *next);

/* Remember what went wrong. Returns `next`. */
const struct fetch_step *fetch_fail(struct fetch *f, enum fail_class class, const struct fetch_step *next,
				    const char *why);

/* Put into `beat` until when and why it waits to try `at` again. */
void fetch_describe_wait(struct fetch *f, const char *at);

/* Whether the way leads where another server sent us: not to addresses where only we can go (guard.h). */
bool fetch_is_guarded(const struct fetch *f);

/* A request for [first, last] of the content, or from `first` on, where the transfer is led to now. Borrows `f`. */
void fetch_request(const struct fetch *f, uint64_t first, uint64_t last, struct http_ask *ret_ask);

/*
 * Whether no bytes may be taken now, because more would be faster than the limits are. The exchanges of the transfer
 * are resumed when they may. What was taken is told afterwards.
 */
bool fetch_held_back(struct fetch *f);
void fetch_took(struct fetch *f, size_t len);

/* A pass that was waited for is there, or will not be. */
void fetch_on_pass(void *self, const struct pass_answer *answer);

/* What an exchange tells the transfer that asked for it. */
extern const struct http_hooks fetch_http_hooks;

extern const struct fetch_step step_plan, step_line_up, step_present, step_ask, step_open, step_drain, step_settle,
    step_login, step_denied, step_resolve, step_whole, step_redirect, step_spread, step_retry, step_end, step_give_up,
    step_last, step_done;

#endif
