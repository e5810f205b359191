/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Longer than 500 lines because it has one subject: the steps of a transfer. It is the only file that sees struct
 * fetch.
 *
 *   plan ─► inlined ─► (end)
 *    │
 *    └───► line_up ─► present ─► ask ─► open ─► settle ─► end ─► last ─► done
 *              ▲▲── elsewhere ◄───┘▲ └─► drain ──┘ │││ ▲            ▲
 *              │                   ├── login ◄─────┤││ │            │
 *              │                   │             │││ ├─► resolve ─┤
 *              │                   ├── redirect ◄──┘│├─┼─► give_up ─┘
 *              │                   ├── whole ◄─ wrong│└─┴─► spread ─► (end, retry or line_up)
 *              └───────────────────┴── retry ◄──┴────┘
 *
 * A step returns the next one, or NULL to wait for an event that names it: a turn with the host (present), a pass for
 * it (ask), a whole head (open or drain), the end of the exchange (settle), a time (line_up), a drained outlet (done).
 * While the exchange runs there may be ranges ahead of it; in `spread` there are only those (ranges.h). Everything else
 * (route, login, stream, ranges, throttle, retry, breaker) keeps its own state and hands back what follows.
 *
 * Sources are asked in order, except that those whose breaker is open (breaker.h) are passed over while another admits.
 * Before it gives up, a transfer asks them too: they may have what the others lack.
 */
#include "fetchd/fetch.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/date.h"
#include "common/base/log.h"
#include "common/base/random.h"

/* OCI */
#include "common/oci/inlined.h"
#include "common/oci/source.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "fetchd/auth/login.h"
#include "fetchd/ranges.h"
#include "fetchd/route.h"
#include "fetchd/stream.h"

/* Give up sooner on a host that never answered: more likely its name or port is wrong than that it is busy. */
#define FIRST_CONTACT_RETRIES 3
/* 400, 401, 403 and 410 from the target of a redirect: a signed URL that expired; get a new one. */
#define AWAY_RETRIES 3
/* Of an answer that is not one to the request; then everything is requested, if that was a range. */
#define WRONG_RETRIES 2

_Static_assert(FETCH_ALL_MIRRORS == (1u << MIRRORS_MAX) - 1, "a bit for each mirror, and the next for the registry");

struct step {
	const char *name;
	const struct step *(*go)(struct fetch *f);
};

struct fetch {
	struct fetcher *env;
	const struct fetch_hooks *hooks;
	void *self;
	const struct step *step; /* the last one started */

	/* The order, and what is learned about the content. */
	char *ref;
	uint32_t suspects; /* bits of sites: asked last */
	bool pins_tags;    /* for a tag the caller wants the digest first, and uses that from then on */
	bool resolve;      /* this request is the HEAD for it */
	bool tag_only; /* this site does not serve the manifest by digest: request it by tag, and compare the digest */
	struct want want; /* `offset` follows the outlet's */

	/* Where the bytes come from, and where they go. */
	struct terms *terms; /* NULL: the order has no policy */
	struct route route;
	struct login login; /* at home */
	struct login away;  /* at the target of a redirect */
	struct turn turn;
	struct admission admission; /* for the running request */
	struct throttle throttle;
	struct stream stream;
	struct ranges *ranges; /* NULL: none so far */
	struct outlet outlet;
	int sink_error;                     /* the outlet is broken: -errno, or 0 */
	uint32_t served;                    /* bits of the sites that sent something */
	char passed_over[ORIGIN_TEXT_SIZE]; /* a site that was not asked because it is unavailable; empty: none */
	bool insists;                       /* the others have failed: ask each site, whatever its breaker says */

	/* What OPENED or RESOLVED said, which the outlet borrows. */
	bool opened;
	char media_type[MEDIA_TYPE_MAX + 1];
	char digest[DIGEST_TEXT_SIZE]; /* Docker-Content-Digest */

	/* What went wrong. */
	struct failure failure; /* FAIL_NONE after END */
	uint64_t retries_max;   /* for this failure */
	unsigned wrong_answers; /* of the last site, since something has arrived */
	bool expired;           /* the last try ended at an expired signed URL, and nothing has arrived since */
	uint64_t alive_ms;      /* monotonic: the last request, byte or pause of ours */
	uint64_t proof_bytes;   /* that have arrived since the last request */
	struct retry retry;
	struct loop_timer wait; /* set until the next try */
	uint64_t until_s;       /* wall clock, while `wait` is set */
	struct reason text;     /* of FAIL */
	struct reason beat;     /* of BEAT */
};

static const struct step step_plan, step_inlined, step_line_up, step_present, step_ask, step_open, step_drain,
    step_settle, step_login, step_denied, step_resolve, step_wrong, step_whole, step_redirect, step_elsewhere,
    step_spread, step_retry, step_end, step_give_up, step_last, step_done;

/* Run steps until one waits. This may free the transfer. */
static void run(struct fetch *f, const struct step *next)
{
	while (next) {
		f->step = next;
		log_debug("%s: %s", f->ref, next->name);
		next = next->go(f);
	}
}

/* Remember what went wrong. Returns `next`. */
static const struct step *fail(struct fetch *f, enum fail_class class, const struct step *next, const char *why)
{
	f->failure.class = class;
	f->retries_max = UINT64_MAX;
	reason_set(&f->failure.why, "%s", why);
	return next;
}

/* ── the breaker of the origin that was asked ── */

static void say_breaker(const struct fetch *f, enum breaker_change change)
{
	char at[ORIGIN_TEXT_SIZE];
	const struct log_fields about = {.ref = f->ref, .host = at};
	if (change == BREAKER_SAME)
		return;
	route_format_at(&f->route, at);
	if (change == BREAKER_OPENED) {
		count_add(COUNT_BREAKERS_OPENED, 1);
		log_with(LOG_LEVEL_WARNING, &about,
			 "'%s' is unavailable: %s; until it answers, other sources are used if there are any", at,
			 f->failure.why.text);
	} else if (change == BREAKER_STAYS_OPEN) {
		log_with(LOG_LEVEL_INFO, &about, "'%s' is still unavailable: %s", at, f->failure.why.text);
	} else {
		log_with(LOG_LEVEL_NOTICE, &about, "'%s' is available again", at);
	}
}

static void note_answer(struct fetch *f)
{
	say_breaker(f, admission_answered(&f->admission, clock_mono_ms()));
}

/* `failure` is set. */
static void note_failure(struct fetch *f)
{
	uint64_t now_ms = clock_mono_ms();
	say_breaker(f, admission_failed(&f->admission, &f->failure, now_ms - f->alive_ms, now_ms));
}

/* Note how far the outlet has come, if it has. */
static void note_progress(struct fetch *f)
{
	if (f->outlet.offset == f->want.offset)
		return;
	f->alive_ms = clock_mono_ms();
	f->insists = false;
	f->passed_over[0] = '\0';
	f->proof_bytes += f->outlet.offset - f->want.offset;
	if (f->proof_bytes >= BREAKER_PROOF_BYTES)
		note_answer(f);
	f->want.offset = f->outlet.offset;
	f->expired = false;
	f->wrong_answers = 0;
	retry_progress(&f->retry, f->want.offset);
	login_progress(&f->login);
	login_progress(&f->away);
}

/* ── requests ── */

/* After a reload of the configuration: do not use anything from the old one for requests. */
static void refresh(struct fetch *f)
{
	if (!route_refresh(&f->route, f->env->settings))
		return;
	login_forget(&f->login);
	login_forget(&f->away);
}

/* The target of a redirect has a login of its own, and never sees the registry's. */
static struct login *login_at(struct fetch *f)
{
	return route_is_home(&f->route) ? &f->login : &f->away;
}

static struct pass_account account_at(const struct fetch *f)
{
	const struct route *r = &f->route;
	return (struct pass_account){
	    .origin = &r->at, .zone = r->zone_at, .host = r->host_at, .name = r->name, .terms = route_terms(r)};
}

/* A request for [first, last] of the content, to where the route leads now. What it points to is borrowed from `f`. */
static void fill_request(void *self, uint64_t first, uint64_t last, struct http_ask *ret_ask)
{
	struct fetch *f = self;
	const struct want *w = &f->want;
	refresh(f);
	*ret_ask = (struct http_ask){
	    .authorization = login_value(login_at(f)),
	    /* If a digest decides in the end, another validator (of another mirror, say) is not a reason to restart. */
	    .if_range = first > 0 && w->expected[0] == '\0' && w->validator[0] != '\0' ? w->validator : NULL,
	    .first = first,
	    .last = last,
	};
	route_fill(&f->route, f->env->settings, ret_ask);
}

/* The last byte that the stream should fetch: before the parts that have arrived, or that of the content. */
static uint64_t last_wanted(const struct fetch *f)
{
	uint64_t wall = ranges_wall(f->ranges), end = f->want.size;
	if (wall > f->want.offset && wall < end)
		end = wall;
	return end != SIZE_UNKNOWN ? end - 1 : SIZE_UNKNOWN;
}

/* ── hooks of the exchange ── */

static void on_ranges_due(void *self);

/* Ranges may follow, if worthwhile. */
static void prepare_ranges(struct fetch *f)
{
	const struct range_settings *set = &f->route.policy.host.ranges;
	const struct want *w = &f->want;
	const struct ranges_env env = {
	    .loop = f->env->loop,
	    .http = f->env->http,
	    .hosts = f->env->hosts,
	    .room = &f->env->room,
	    .outlet = &f->outlet,
	    .throttle = &f->throttle,
	    .home = &f->route.home,
	    .policy = &f->route.policy,
	    .ref = f->ref,
	    .shown = f->route.shown,
	    .request = fill_request,
	    .due = on_ranges_due,
	    .self = f,
	};
	bool worthwhile = f->route.kind != SOURCE_MANIFEST && set->count > 1 && w->size != SIZE_UNKNOWN &&
			  w->size - w->offset >= set->min;
	if (!f->ranges && worthwhile)
		(void)ranges_new(&env, set, &f->ranges); /* without memory for ranges it remains one stream */
	ranges_stream_begins(f->ranges, http_answer_ms(f->stream.exchange), f->stream.validator, w->checked);
}

static bool on_head(void *self, const struct response *r)
{
	struct fetch *f = self;
	turn_note_answer(&f->turn);
	route_note_head(&f->route);
	bool goes_on = stream_head(&f->stream, r);
	bool takes = f->stream.state == STREAM_TAKING;
	if (!takes) /* it may redirect us, or name a realm */
		route_note_answer(&f->route, http_peer_zone(f->stream.exchange));
	run(f, takes ? &step_open : &step_drain);
	if (takes)
		prepare_ranges(f);
	return goes_on && f->sink_error == 0;
}

static enum body_answer on_body(void *self, const void *data, size_t len)
{
	struct fetch *f = self;
	refresh(f);
	struct stream_piece piece =
	    stream_body(&f->stream, &f->outlet, &f->throttle, &f->route.policy, ranges_wall(f->ranges), data, len);
	if (piece.answer == BODY_PAUSE)
		ranges_stream_paused(f->ranges);
	if (piece.fresh > 0)
		f->served |= route_site_bit(&f->route);
	if (piece.error < 0)
		f->sink_error = piece.error;
	note_progress(f);
	return piece.answer;
}

static void on_end(void *self, enum http_end end, int error, const struct reason *why)
{
	struct fetch *f = self;
	stream_end(&f->stream, end, error, why);
	run(f, &step_settle);
}

static const struct http_hooks http_hooks = {on_head, on_body, on_end};

/* ── other events: each names the step that follows ── */

static void on_turn(void *self)
{
	run(self, &step_present);
}

static void on_wait_over(void *self)
{
	run(self, &step_line_up);
}

static void resume_stream(struct fetch *f)
{
	if (!stream_runs(&f->stream))
		return;
	f->alive_ms = clock_mono_ms();
	ranges_stream_resumed(f->ranges);
	http_resume(f->stream.exchange);
}

static void on_drained(void *self)
{
	struct fetch *f = self;
	if (f->step == &step_last) {
		run(f, &step_last);
		return;
	}
	ranges_poke(f->ranges);
	if (!throttle_is_paused(&f->throttle))
		resume_stream(f);
}

static void on_pause_over(void *self)
{
	struct fetch *f = self;
	resume_stream(f);
	ranges_resume(f->ranges);
}

/* The target of a redirect refuses: its signed URL has expired. Go back for a new one. */
static const struct step *go_back(struct fetch *f)
{
	f->expired = true;
	f->retries_max = AWAY_RETRIES;
	return &step_retry;
}

/* An origin whose realm is unavailable is of no more use itself. */
static const struct step *after_login(struct fetch *f, enum login_verdict verdict)
{
	f->retries_max = UINT64_MAX;
	switch (verdict) {
	case LOGIN_ASK:
		return &step_ask;
	case LOGIN_WAIT:
		return NULL;
	case LOGIN_RETRY:
		note_failure(f);
		return &step_retry;
	case LOGIN_REFUSED:
		note_answer(f);
		break;
	}
	return route_is_home(&f->route) ? &step_give_up : go_back(f);
}

static void on_pass(void *self, const struct pass_answer *answer)
{
	struct fetch *f = self;
	struct pass_account who = account_at(f);
	run(f, after_login(f, login_take(login_at(f), &who, answer, &f->failure)));
}

/* ── the steps up to a request ── */

/* A resolved tag may have moved since: continue with the manifest that it named. */
static int enter_site(struct fetch *f, struct reason *why)
{
	return route_enter(&f->route, f->env->settings, f->pins_tags && !f->tag_only ? f->want.expected : "", why);
}

static bool is_to_resolve(const struct fetch *f)
{
	return f->pins_tags && !f->opened && f->want.expected[0] == '\0';
}

static bool change_site(struct fetch *f)
{
	ranges_drop(f->ranges);
	turn_end(&f->turn);
	login_forget(&f->login);
	login_forget(&f->away);
	f->tag_only = false;
	f->resolve = is_to_resolve(f);
	return enter_site(f, NULL) == 0;
}

/* The distance to the first site, at least `least` places after the current one, that is admitted. SIZE_MAX: none. */
static size_t find_site(const struct fetch *f, size_t least)
{
	struct origin at;
	uint64_t lane;
	size_t ahead = least;
	while (route_peek(&f->route, f->env->settings, ahead, &at, &lane)) {
		if (host_admits(f->env->hosts, &at, lane, clock_mono_ms()))
			return ahead;
		ahead++;
	}
	return SIZE_MAX;
}

/* If no site is admitted, it is the turn of the current one all the same. False: out of memory. */
static bool pass_over(struct fetch *f)
{
	size_t ahead = f->insists ? 0 : find_site(f, 0);
	if (ahead == 0 || ahead == SIZE_MAX)
		return true;
	origin_format(&f->route.home, f->passed_over);
	while (ahead-- > 0)
		(void)route_next_site(&f->route);
	return change_site(f);
}

/* Can the order be carried out? */
static const struct step *plan(struct fetch *f)
{
	struct want *w = &f->want;
	struct reason why = {"out of memory"};
	int r = route_plan(&f->route, f->env->settings, f->suspects, &why);
	f->pins_tags = f->pins_tags && r == 0 && f->route.by_tag;
	f->resolve = is_to_resolve(f);
	if (f->pins_tags && !f->resolve)
		route_show_digest(&f->route, w->expected);
	if (r == 0 && f->route.kind != SOURCE_DATA)
		r = enter_site(f, &why);
	if (r < 0)
		return fail(f, r == -ENOMEM ? FAIL_AGAIN : FAIL_USAGE, &step_give_up, why.text);
	w->parsed = f->route.kind == SOURCE_MANIFEST;
	if (f->route.kind == SOURCE_DATA)
		return &step_inlined;
	if (f->resolve)
		return &step_line_up;
	if (w->size != SIZE_UNKNOWN && w->offset == w->size)
		return &step_open; /* everything has arrived: no request is needed */
	if (w->offset > w->size || w->offset > w->size_max)
		return fail(f, FAIL_USAGE, &step_give_up, "the offset is past the end");
	return &step_line_up;
}

static const struct step *line_up(struct fetch *f)
{
	f->want.whole = false;
	f->failure.error = 0;
	stream_reset(&f->stream);
	admission_end(&f->admission);
	if (!pass_over(f) || route_restart(&f->route, f->env->settings) < 0)
		return fail(f, FAIL_AGAIN, &step_give_up, "out of memory");
	int r = turn_begin(f->env->hosts, &f->route.home, f->route.policy.host.connections, &f->turn);
	if (r < 0)
		return fail(f, FAIL_AGAIN, &step_retry, "too many hosts are in use at once");
	return r == 1 ? &step_present : NULL;
}

/* Without a 401 before it a pass is shown only where there was one already. */
static const struct step *present(struct fetch *f)
{
	refresh(f);
	struct pass_account who = account_at(f);
	return after_login(f, login_present(login_at(f), &who, &f->failure));
}

static void warn_of_skipped(const struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	route_format_at(&f->route, at);
	if (f->route.policy_at.tls.skip_verify && f->route.at.tls)
		log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = f->ref, .host = at},
			 "fetching '%s' from '%s', whose certificate is NOT VERIFIED (skip_verify)", f->route.shown,
			 at);
}

/* May the request be sent to where the route leads? Nothing is known about more origins than there is room for. */
static bool is_admitted(struct fetch *f)
{
	struct breaker *b = host_breaker(f->env->hosts, &f->route.at, terms_number(route_terms(&f->route)));
	bool others = !f->insists && find_site(f, 1) != SIZE_MAX;
	if (b)
		return admission_ask(&f->admission, b, others, clock_mono_ms());
	admission_end(&f->admission);
	return true;
}

/* The origin is unavailable, and another site is worth asking first. */
static const struct step *elsewhere(struct fetch *f)
{
	route_format_at(&f->route, f->passed_over);
	return route_next_site(&f->route) && change_site(f) ? &step_line_up
							    : fail(f, FAIL_AGAIN, &step_give_up, "out of memory");
}

static const struct step *ask(struct fetch *f)
{
	struct want *w = &f->want;
	struct http_ask request;
	if (w->offset > 0 && !w->checked && w->validator[0] == '\0' && !f->resolve)
		return fail(f, FAIL_CHANGED, &step_give_up,
			    "without a digest or a validator the content may have changed");
	if (!is_admitted(f))
		return &step_elsewhere;
	w->elsewhere = !route_is_home(&f->route);
	w->compressed = url_names_compressed(f->route.url.data) || url_names_compressed(f->route.start_url.data);
	fill_request(f, f->resolve || w->whole ? 0 : w->offset, last_wanted(f), &request);
	request.head = f->resolve;
	/* After a link failure all idle connections are dead, and each would take time to notice. */
	request.fresh = f->retry.failures > 0;
	f->failure = (struct failure){0};
	f->alive_ms = clock_mono_ms();
	f->proof_bytes = 0;
	login_note_request(login_at(f), request.authorization != NULL);
	warn_of_skipped(f);
	if (stream_ask(&f->stream, f->env->http, &request, w, &http_hooks, f) < 0)
		return fail(f, FAIL_AGAIN, &step_retry, "out of memory");
	return NULL;
}

/* ── the steps after an answer ── */

/* The answer is good, or none is needed. From here on the content's size is known, if the server announced it. */
static const struct step *open_body(struct fetch *f)
{
	struct want *w = &f->want;
	const struct stream *s = &f->stream;
	const struct step *next = stream_runs(s) ? NULL : &step_end;
	if (stream_runs(s) && s->judgement.size != SIZE_UNKNOWN)
		w->size = s->judgement.size;
	if (f->opened && w->offset > 0)
		return next;
	f->opened = true; /* and again while nothing has arrived: this answer may be about other content */
	memcpy(f->media_type, s->media_type, sizeof(f->media_type));
	memcpy(f->digest, s->digest, sizeof(f->digest));
	if (w->offset == 0 || w->validator[0] == '\0')
		memcpy(w->validator, s->validator, sizeof(w->validator));
	if (w->expected[0] == '\0' && f->digest[0] != '\0') {
		memcpy(w->expected, f->digest, sizeof(w->expected));
		w->checked = true; /* the receiver of OPENED compares with this digest */
	}
	struct message m = {
	    .type = MSG_OPENED,
	    .offset = w->offset,
	    .size = w->size,
	    .digest = span_str(f->digest),
	    .media_type = span_str(f->media_type),
	    .validator = span_str(w->validator), /* a part need not repeat it */
	};
	f->sink_error = outlet_say(&f->outlet, &m);
	return next;
}

/* The content stands in the source. */
static const struct step *inlined(struct fetch *f)
{
	AUTO_BUF content = BUF_INIT;
	struct want *w = &f->want;
	if (inlined_content(span_str(f->route.source), &content) < 0)
		return fail(f, FAIL_AGAIN, &step_give_up, "out of memory");
	if ((w->size != SIZE_UNKNOWN && w->size != content.len) || w->offset > content.len)
		return fail(f, FAIL_USAGE, &step_give_up, "it is not as long as it is said to be");
	w->size = content.len;
	const struct step *next = open_body(f);
	size_t skip = (size_t)w->offset;
	if (skip < content.len && f->sink_error == 0)
		f->sink_error = outlet_put(&f->outlet, content.data + skip, content.len - skip);
	return f->sink_error < 0 ? &step_done : next;
}

/* The body is unwanted; reading a short one keeps the connection. */
static const struct step *drain(struct fetch *f)
{
	assert(f->stream.state == STREAM_DRAINING);
	return NULL;
}

static const struct step *const after[] = {
    [STREAM_ALL] = &step_end,          [STREAM_AT_WALL] = &step_spread,    [STREAM_NEXT] = &step_present,
    [STREAM_NARROW] = &step_present,   [STREAM_GET] = &step_present,       [STREAM_COMPLETE] = &step_open,
    [STREAM_RESOLVED] = &step_resolve, [STREAM_REDIRECT] = &step_redirect, [STREAM_CHALLENGE] = &step_login,
    [STREAM_FORBIDDEN] = &step_denied, [STREAM_NO_RANGE] = &step_whole,    [STREAM_RETRY] = &step_retry,
    [STREAM_WRONG] = &step_wrong,      [STREAM_GIVE_UP] = &step_give_up,
};

/*
 * What the end of the exchange says about the origin. Nothing until a challenge is answered, nor if a HEAD failed: some
 * servers do not support it.
 */
static void note_end(struct fetch *f, enum stream_verdict verdict)
{
	bool failed = verdict == STREAM_RETRY || verdict == STREAM_GIVE_UP;
	if (verdict == STREAM_CHALLENGE || (f->stream.head_only && f->failure.http_status >= 500))
		return;
	if (failed)
		note_failure(f);
	else
		note_answer(f);
}

static const struct step *settle(struct fetch *f)
{
	struct want *w = &f->want;
	if (f->sink_error < 0)
		return &step_done;
	enum stream_verdict verdict =
	    stream_settle(&f->stream, w->offset, w->size, ranges_wall(f->ranges), &f->failure);
	f->retries_max = UINT64_MAX;
	if (verdict == STREAM_ALL)
		w->size = w->offset;
	if (verdict == STREAM_NARROW || verdict == STREAM_COMPLETE)
		w->size = f->stream.judgement.size;
	if (verdict == STREAM_GET)
		f->resolve = false;
	if (verdict == STREAM_RETRY || verdict == STREAM_NO_RANGE || verdict == STREAM_WRONG ||
	    verdict == STREAM_GIVE_UP)
		f->expired = false;
	note_end(f, verdict);
	return after[verdict];
}

/* 401. The target of a redirect that asks for nothing has been given a signed URL that expired. */
static const struct step *log_in(struct fetch *f)
{
	struct pass_account who = account_at(f);
	const struct stream *s = &f->stream;
	if (!route_is_home(&f->route) && s->challenge.schemes == 0)
		return go_back(f);
	return after_login(f, login_challenged(login_at(f), &who, &s->challenge, &s->judgement.why, &f->failure));
}

/* 403, or 400 or 410 from elsewhere */
static const struct step *denied(struct fetch *f)
{
	/* Of a second signed URL, too: then it is the range that is not wanted. */
	if (!route_is_home(&f->route) && f->expired && f->failure.http_status == 400 && f->want.offset > 0 &&
	    !f->want.whole)
		return &step_whole;
	return after_login(f, login_forbidden(login_at(f), &f->stream.judgement.why, &f->failure));
}

static struct retry_settings limits_of(const struct fetch *f)
{
	struct retry_settings limits = f->route.policy.host.retry;
	if (!host_has_answered(f->env->hosts, &f->route.home) && limits.max > FIRST_CONTACT_RETRIES)
		limits.max = FIRST_CONTACT_RETRIES;
	if (limits.max > f->retries_max)
		limits.max = f->retries_max;
	return limits;
}

/* An answer that is not one to the request says nothing about the next one, from here or from another site. */
static const struct step *wrong(struct fetch *f)
{
	bool is_range = f->want.offset > 0 && !f->want.whole;
	bool is_last = f->route.site + 1 == f->route.sites_len;
	bool again = is_last ? f->wrong_answers < WRONG_RETRIES && f->retry.failures < limits_of(f).max
			     : f->retry.failures < WRONG_RETRIES;
	f->wrong_answers += is_last;
	if (again && !f->want.whole)
		return &step_retry;
	return is_range ? &step_whole : &step_give_up;
}

/*
 * A range within the content was refused, or answered wrongly again and again. Another site may serve it, which costs
 * less than fetching everything again; if there is none, or all have refused, request everything here and skip what has
 * arrived.
 */
static const struct step *ask_for_all(struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	count_add(COUNT_RANGES_REFUSED, 1);
	if (route_refuse_range(&f->route))
		return &step_give_up;
	route_format_at(&f->route, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at, .bytes = f->want.offset},
		 "%s; requesting all of '%s' from '%s', and skipping the %" PRIu64 " bytes that have arrived",
		 f->failure.why.text, f->route.shown, at, f->want.offset);
	f->want.whole = true;
	host_ranges_off(f->env->hosts, &f->route.home, clock_mono_ms() + RANGES_OFF_MS);
	return &step_present;
}

static const struct step *redirect(struct fetch *f)
{
	f->retries_max = UINT64_MAX;
	bool follows = route_redirect(&f->route, f->env->settings, f->stream.location.data, &f->failure);
	return follows ? &step_present : &step_give_up;
}

/* The tag is resolved, and ingestd may have that content already: done. */
static const struct step *resolve(struct fetch *f)
{
	memcpy(f->media_type, f->stream.media_type, sizeof(f->media_type));
	memcpy(f->digest, f->stream.digest, sizeof(f->digest));
	struct message m = {
	    .type = MSG_RESOLVED,
	    .digest = span_str(f->digest),
	    .media_type = span_str(f->media_type),
	};
	turn_end(&f->turn);
	admission_end(&f->admission);
	f->failure.class = FAIL_NONE;
	f->served |= route_site_bit(&f->route);
	f->sink_error = outlet_say(&f->outlet, &m);
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = f->ref, .host = f->route.host, .digest = f->digest},
		 "'%s' is %s", f->route.shown, f->digest);
	return &step_last;
}

/* ── ranges ── */

static const struct step *advance(struct fetch *f)
{
	const struct stream *s = &f->stream;
	const struct ranges_view view = {
	    .want = &f->want,
	    .stream = {.runs = stream_runs(s),
		       .good = stream_is_good(s),
		       .flowing = stream_is_flowing(s) && f->turn.holding},
	};
	refresh(f);
	enum ranges_verdict verdict = ranges_advance(f->ranges, &view, &f->failure, &f->sink_error);
	note_progress(f);
	switch (verdict) {
	case RANGES_WAIT:
		return NULL;
	case RANGES_ALL:
		return &step_end;
	case RANGES_TO_STREAM:
		turn_end(&f->turn);
		return &step_line_up;
	case RANGES_FAILED:
		f->retries_max = UINT64_MAX;
		f->expired = false;
		note_failure(f);
		return &step_retry;
	case RANGES_SINK:
		break;
	}
	return &step_done;
}

static void on_ranges_due(void *self)
{
	struct fetch *f = self;
	const struct step *next = advance(f);
	if (next)
		run(f, next);
}

/* The stream has reached the ranges. */
static const struct step *spread(struct fetch *f)
{
	assert(!stream_runs(&f->stream));
	ranges_go_alone(f->ranges);
	return advance(f);
}

/* ── when something went wrong ── */

/*
 * Whether the same site may answer a different request for the same manifest: a GET, because only its answer counts; or
 * a GET by the tag, if it does not serve manifests by digest (GitLab's dependency proxy).
 */
static bool ask_otherwise(struct fetch *f)
{
	bool by_tag = f->pins_tags && !f->tag_only && f->want.expected[0] != '\0' && f->failure.class == FAIL_NOT_FOUND;
	if (f->failure.http_status == 0 || (!f->resolve && !by_tag))
		return false;
	f->tag_only = by_tag;
	f->resolve = false;
	turn_end(&f->turn);
	return enter_site(f, NULL) == 0;
}

/* The same server again, if its certificate need not be verified, and it seems to have none. */
static bool do_without_tls(struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	if (!route_drop_tls(&f->route, f->env->settings, &f->failure))
		return false;
	origin_format(&f->route.home, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at, .error = f->failure.error},
		 "cannot fetch '%s' from '%s' with TLS, trying without (--tls-verify=false): %s", f->route.shown, at,
		 f->failure.why.text);
	return change_site(f);
}

/*
 * If a mirror fails, the next one takes over, at the same offset and without a wait; after the last one the registry
 * itself. An error in the order or the content is the same everywhere.
 */
static bool leave_mirror(struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	bool is_mirror = f->route.sites_len > 0 && f->route.sites[f->route.site] != SITE_REGISTRY;
	origin_format(&f->route.home, at);
	if (f->failure.class == FAIL_USAGE || f->failure.class == FAIL_CHANGED || !route_next_site(&f->route))
		return false;
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at, .error = f->failure.error},
		 "cannot fetch '%s' from %s'%s': %s", f->route.shown, is_mirror ? "the mirror " : "", at,
		 f->failure.why.text);
	count_add(COUNT_MIRRORS_LEFT, 1);
	return change_site(f);
}

/* A site that was passed over may have what the others lack. */
static bool ask_passed_over(struct fetch *f)
{
	if (f->insists || f->passed_over[0] == '\0' || f->failure.class == FAIL_USAGE ||
	    f->failure.class == FAIL_CHANGED)
		return false;
	f->insists = true;
	f->passed_over[0] = '\0';
	(void)route_first_site(&f->route);
	return change_site(f);
}

static void describe_wait(struct fetch *f, const char *at)
{
	char until[DATE_TEXT_SIZE];
	date_format(f->until_s, until);
	reason_set(&f->beat, "waiting until %s to try '%s' again: %s", until, at, f->failure.why.text);
}

static void say_retry(struct fetch *f, uint64_t wait_ms, uint64_t retries)
{
	char at[ORIGIN_TEXT_SIZE];
	route_format_at(&f->route, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at, .error = f->failure.error},
		 "cannot fetch '%s': %s; trying '%s' again in %.1f s (%" PRIu64 " of %" PRIu64 ")", f->route.shown,
		 f->failure.why.text, at, (double)wait_ms / 1000.0, f->retry.failures, retries);
	f->until_s = clock_wall_s() + (wait_ms + 999) / 1000;
	describe_wait(f, at);
	struct message m = {.type = MSG_BEAT, .until_s = f->until_s, .text = span_str(f->beat.text)};
	f->sink_error = outlet_say(&f->outlet, &m);
}

/* Pass on what arrived, report the wait, and give others a turn with the host. */
static const struct step *retry(struct fetch *f)
{
	uint64_t wait_ms;
	if (do_without_tls(f) || ask_otherwise(f) || leave_mirror(f))
		return &step_line_up;
	refresh(f);
	struct retry_settings limits = limits_of(f);
	turn_end(&f->turn);
	admission_end(&f->admission);
	f->sink_error = outlet_flush(&f->outlet);
	if (!retry_failure(&f->retry, &limits, f->failure.retry_after_ms, random_u32(), &wait_ms)) {
		retry_explain(&f->failure, limits.after_max_ms);
		return &step_give_up;
	}
	count_add(retry_counter(&f->failure), 1);
	say_retry(f, wait_ms, limits.max);
	/* After the last site, and a wait, start again with the first. */
	if (route_first_site(&f->route) && enter_site(f, NULL) < 0)
		return &step_give_up;
	if (f->sink_error < 0)
		return &step_done;
	loop_timer_set(&f->wait, wait_ms);
	return NULL;
}

static const struct step *give_up(struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	if (do_without_tls(f) || ask_otherwise(f) || leave_mirror(f) || ask_passed_over(f))
		return &step_line_up;
	count_add(COUNT_FETCHES_FAILED, 1);
	admission_end(&f->admission);
	route_format_at(&f->route, at);
	bool is_away = f->route.url.len > 0 && !route_is_home(&f->route);
	ranges_free(f->ranges);
	f->ranges = NULL;
	turn_end(&f->turn);
	reason_set(&f->text, "cannot fetch '%s': %s%s%s%s", f->route.shown, f->failure.why.text,
		   is_away ? " (redirected to '" : "", is_away ? at : "", is_away ? "')" : "");
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = f->ref, .host = at, .error = f->failure.error}, "%s",
		 f->text.text);
	struct message m = {
	    .type = MSG_FAIL,
	    .fail_class = (uint8_t)f->failure.class,
	    .http_status = f->failure.http_status,
	    .text = span_str(f->text.text),
	};
	f->sink_error = outlet_say(&f->outlet, &m);
	return &step_last;
}

/* ── the end ── */

static const struct step *end(struct fetch *f)
{
	struct message m = {.type = MSG_END, .size = f->want.size};
	ranges_free(f->ranges);
	f->ranges = NULL;
	turn_end(&f->turn);
	admission_end(&f->admission);
	f->failure.class = FAIL_NONE;
	count_add(COUNT_FETCHES_DONE, 1);
	f->sink_error = outlet_say(&f->outlet, &m);
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = f->ref, .host = f->route.host, .bytes = f->want.size},
		 "fetched '%s': %" PRIu64 " bytes in all", f->route.shown, f->want.size);
	return &step_last;
}

static const struct step *last(struct fetch *f)
{
	return f->sink_error < 0 || outlet_idle(&f->outlet) ? &step_done : NULL;
}

static const struct step *done(struct fetch *f)
{
	f->hooks->done(f->self, f);
	return NULL;
}

static const struct step step_plan = {"plan", plan};
static const struct step step_inlined = {"inlined", inlined};
static const struct step step_line_up = {"line up", line_up};
static const struct step step_present = {"present", present};
static const struct step step_ask = {"ask", ask};
static const struct step step_open = {"open", open_body};
static const struct step step_drain = {"drain", drain};
static const struct step step_settle = {"settle", settle};
static const struct step step_login = {"log in", log_in};
static const struct step step_denied = {"denied", denied};
static const struct step step_resolve = {"resolve", resolve};
static const struct step step_wrong = {"wrong", wrong};
static const struct step step_whole = {"whole", ask_for_all};
static const struct step step_redirect = {"redirect", redirect};
static const struct step step_elsewhere = {"elsewhere", elsewhere};
static const struct step step_spread = {"spread", spread};
static const struct step step_retry = {"retry", retry};
static const struct step step_end = {"end", end};
static const struct step step_give_up = {"give up", give_up};
static const struct step step_last = {"last", last};
static const struct step step_done = {"done", done};

/* ── from outside ── */

static void take_order(struct fetch *f, const struct fetch_order *order)
{
	struct want *w = &f->want;
	f->suspects = order->suspects;
	f->pins_tags = order->resolve;
	w->offset = order->offset;
	retry_begin(&f->retry, order->offset);
	w->size = order->size;
	w->size_max = source_size_max(order->source);
	w->checked = order->checked || order->expected.len > 0;
	(void)snprintf(w->expected, sizeof(w->expected), "%.*s", SPAN_ARG(order->expected));
	(void)snprintf(w->validator, sizeof(w->validator), "%.*s", SPAN_ARG(order->validator));
}

int fetch_new(struct fetcher *env, const struct fetch_order *order, const struct fetch_hooks *hooks, void *self,
	      struct fetch **ret_fetch)
{
	struct fetch *f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->env = env;
	f->hooks = hooks;
	f->self = self;
	f->ref = strndup(order->ref.len > 0 ? (const char *)order->ref.data : "", order->ref.len);
	int r = terms_take(&env->terms, order->policy, &f->terms);
	if (r == 0)
		r = f->ref ? route_init(&f->route, order->source, f->terms) : -ENOMEM;
	if (r < 0) {
		fetch_free(f);
		return r;
	}
	take_order(f, order);
	f->turn.go = on_turn;
	f->turn.self = f;
	login_init(&f->login, env->passes, on_pass, f);
	login_init(&f->away, env->passes, on_pass, f);
	throttle_init(&f->throttle, env->loop, &env->bucket, &f->turn, on_pause_over, f);
	if (f->terms)
		throttle_share(&f->throttle, &f->terms->bucket, f->terms->said.rate);
	loop_timer_init(&f->wait, env->loop, on_wait_over, f);
	f->outlet.drained = on_drained;
	f->outlet.self = f;
	f->outlet.ref = span_str(f->ref);
	f->outlet.attempt = order->attempt;
	f->outlet.offset = f->want.offset;
	outlet_init(&f->outlet, env->sink);
	*ret_fetch = f;
	return 0;
}

void fetch_start(struct fetch *f)
{
	run(f, &step_plan);
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	stream_release(&f->stream);
	ranges_free(f->ranges);
	loop_timer_stop(&f->wait);
	throttle_release(&f->throttle);
	outlet_release(&f->outlet);
	turn_end(&f->turn);
	admission_end(&f->admission);
	login_release(&f->login);
	login_release(&f->away);
	route_release(&f->route);
	terms_drop(f->terms);
	free(f->ref);
	free(f);
}

static void describe(struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	route_format_at(&f->route, at);
	if (loop_timer_is_set(&f->wait))
		describe_wait(f, at);
	else if (login_at(f)->wait.pass)
		pass_describe(&login_at(f)->wait, &f->beat);
	else if (!stream_runs(&f->stream) && f->step == &step_spread)
		reason_set(&f->beat, "waiting for ranges from '%s'", at);
	else if (!stream_runs(&f->stream))
		reason_set(&f->beat, "waiting for a connection to '%s'", at);
	else if (!http_is_connected(f->stream.exchange))
		reason_set(&f->beat, "connecting to '%s'", at);
	else if (f->stream.state == STREAM_ASKED)
		reason_set(&f->beat, "waiting for an answer from '%s'", at);
	else
		reason_set(&f->beat, "waiting for bytes from '%s'", at);
	if (f->passed_over[0] != '\0')
		reason_set(&f->beat, "%s; '%s' is unavailable and was passed over", f->beat.text, f->passed_over);
}

void fetch_beat(struct fetch *f)
{
	if (clock_mono_ms() - f->outlet.last_sent_ms < BEAT_EVERY_MS || f->step == &step_last)
		return;
	describe(f);
	struct message m = {
	    .type = MSG_BEAT,
	    .until_s = loop_timer_is_set(&f->wait) ? f->until_s : 0,
	    .text = span_str(f->beat.text),
	};
	f->sink_error = outlet_say(&f->outlet, &m);
}

void fetch_count(const struct fetch *f)
{
	bool in_line = f->turn.host && !f->turn.holding;
	count_add(loop_timer_is_set(&f->wait) ? COUNT_FETCHES_WAITING
		  : in_line                   ? COUNT_FETCHES_IN_LINE
					      : COUNT_FETCHES_BUSY,
		  1);
	if (f->outlet.waiting)
		count_add(COUNT_BACKLOG_CHUNKS, 1);
}

enum fail_class fetch_outcome(const struct fetch *f)
{
	return f->failure.class;
}

uint32_t fetch_served(const struct fetch *f)
{
	return f->served;
}

int fetch_sink_error(const struct fetch *f)
{
	return f->sink_error;
}
