#include "fetchd/steps.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "fetchd/auth/credentials.h"
#include "fetchd/config/settings.h"
#include "fetchd/http/guard.h"
#include "fetchd/registry.h"

#define REDIRECTS_MAX 8
/* A host that never answered anything is given up sooner: its name or port is more likely wrong than it is busy. */
#define FIRST_CONTACT_RETRIES 3
/* A server may cap its ranges; one that brings at least this much is asked for the next at once. */
#define SHORT_RANGE_MIN (1u << 20)

_Static_assert(FETCH_ALL_MIRRORS == (1u << MIRRORS_MAX) - 1, "a bit for each mirror, and the next for the registry");

const struct fetch_step *fetch_fail(struct fetch *f, enum fail_class class, const struct fetch_step *next,
				    const char *why)
{
	f->fail = class;
	f->retries_max = UINT64_MAX;
	reason_set(&f->why, "%s", why);
	return next;
}

static const struct fetch_step *out_of_memory(struct fetch *f)
{
	return fetch_fail(f, FAIL_AGAIN, &step_give_up, "out of memory");
}

/* Where each try begins: at a mirror, which is a registry with credentials of its own, or at the registry itself. */
static int make_start_url(struct fetch *f, const struct source *s, struct reason *why)
{
	const struct settings *settings = f->env->settings;
	const char *mirror = settings_mirror(settings, f->registry, f->sites[f->site]);
	struct source at = *s;
	/* A tag that was resolved may name something else by now; its manifest is what was begun with. */
	if (f->by_tag && digest_parse(span_str(f->want.expected), &at.reference.digest, NULL) == 0)
		at.reference.has_digest = true;
	buf_clear(&f->start_url);
	int r = mirror ? registry_mirror_url(&at, mirror, &f->start_url)
		       : registry_url(&at, settings_plain_http(settings, f->registry), &f->start_url);
	if (r == 0)
		r = origin_of(f->start_url.data, &f->home, why);
	if (r == 0 && (mirror || s->kind == SOURCE_URL))
		origin_format(&f->home, f->host);
	else if (r == 0)
		memcpy(f->host, f->registry, sizeof(f->host));
	return r;
}

/* Who is asked in which order: the mirrors, then the registry itself; whoever brought wrong bytes behind the others. */
static void line_up_sites(struct fetch *f)
{
	size_t mirrors = 0;
	while (settings_mirror(f->env->settings, f->registry, mirrors))
		mirrors++;
	f->sites_len = f->site = 0;
	for (unsigned suspected = 0; suspected <= 1; suspected++) {
		for (size_t i = 0; i < mirrors; i++)
			if ((f->suspects >> i & 1) == suspected)
				f->sites[f->sites_len++] = (uint8_t)i;
		if ((f->suspects >> SITE_REGISTRY & 1) == suspected)
			f->sites[f->sites_len++] = SITE_REGISTRY;
	}
}

/* Of a tag that was resolved, messages name both. */
static void show_pinned(struct fetch *f)
{
	size_t len = strlen(f->shown);
	(void)snprintf(f->shown + len, sizeof(f->shown) - len, "@%s", f->want.expected);
}

/* The order is looked at: is it one that can be carried out? */
static const struct fetch_step *plan(struct fetch *f)
{
	struct source s;
	struct reason why = {"out of memory"};
	int r = source_parse(span_str(f->source), &s, &why);
	if (r == 0 && s.kind != SOURCE_URL) {
		memcpy(f->registry, s.reference.host, sizeof(s.reference.host));
		memcpy(f->name, s.reference.name, sizeof(s.reference.name));
	}
	f->by_tag = r == 0 && f->resolve && s.kind == SOURCE_MANIFEST && !s.reference.has_digest;
	f->resolve = f->by_tag && f->want.expected[0] == '\0';
	if (f->by_tag && !f->resolve)
		show_pinned(f);
	line_up_sites(f);
	if (r == 0)
		r = make_start_url(f, &s, &why);
	if (r < 0)
		return r == -ENOMEM ? out_of_memory(f) : fetch_fail(f, FAIL_USAGE, &step_give_up, why.text);
	f->kind = s.kind;
	f->want.parsed = s.kind == SOURCE_MANIFEST;
	if (f->want.parsed)
		f->want.size_max = JSON_DOCUMENT_MAX;
	if (f->resolve)
		return &step_line_up;
	if (f->want.size != SIZE_UNKNOWN && f->want.offset == f->want.size)
		return &step_open; /* all of it is there: nobody has to be asked */
	if (f->want.offset > f->want.size || f->want.offset > f->want.size_max)
		return fetch_fail(f, FAIL_USAGE, &step_give_up, "the offset lies behind the end");
	return &step_line_up;
}

/* A try begins where the source says, whatever it was redirected to before. */
static const struct fetch_step *line_up(struct fetch *f)
{
	f->redirects = 0;
	f->error = 0;
	f->has_head = false;
	f->want.whole = false;
	f->at = f->home;
	buf_clear(&f->url);
	if (buf_append(&f->url, f->start_url.data, f->start_url.len) < 0)
		return out_of_memory(f);
	int r = turn_begin(f->env->hosts, &f->home, settings_connections(f->env->settings, f->host), &f->turn);
	if (r < 0)
		return fetch_fail(f, FAIL_AGAIN, &step_retry, "too many hosts are talked to at once");
	return r == 1 ? &step_present : NULL;
}

/* The answer is good, or none is needed. From here on the transfer knows the content's size, if anybody does. */
static const struct fetch_step *open_body(struct fetch *f)
{
	struct want *w = &f->want;
	if (f->exchange && f->judgement.size != SIZE_UNKNOWN)
		w->size = f->judgement.size;
	if (f->opened && w->offset > 0)
		return f->exchange ? NULL : &step_end;
	f->opened = true; /* and again while nothing has come: this answer may be about other content */
	if (w->offset == 0 || w->validator[0] == '\0')
		memcpy(w->validator, f->validator, sizeof(w->validator));
	if (w->expected[0] == '\0' && f->learned[0] != '\0') {
		memcpy(w->expected, f->learned, sizeof(w->expected));
		w->checked = true; /* whoever gets the OPENED compares with this digest */
	}
	struct message m = {
	    .type = MSG_OPENED,
	    .offset = w->offset,
	    .size = w->size,
	    .digest = span_str(f->learned),
	    .media_type = span_str(f->media_type),
	    .validator = span_str(w->validator), /* a part need not repeat it */
	};
	f->sink_error = outlet_say(&f->outlet, &m);
	return f->exchange ? NULL : &step_end;
}

/* The body is of no use; reading a short one keeps the connection. */
static const struct fetch_step *drain(struct fetch *f)
{
	assert(f->exchange);
	return NULL;
}

/* The exchange ended before its time. */
static const struct fetch_step *settle_failure(struct fetch *f)
{
	switch (f->end) {
	case HTTP_NO_ADDRESS:
	case HTTP_NO_CONNECTION:
	case HTTP_NO_TLS:
		return fetch_fail(f, FAIL_UNAVAILABLE, &step_retry, f->end_why.text);
	case HTTP_DENIED:
		return fetch_fail(f, FAIL_DENIED, &step_give_up, f->end_why.text);
	case HTTP_REFUSED:
		return fetch_fail(f, FAIL_BAD_DATA, &step_give_up, f->end_why.text);
	default:
		return fetch_fail(f, FAIL_AGAIN, &step_retry, f->end_why.text);
	}
}

/* A body that was to be taken is over. */
static const struct fetch_step *settle_body(struct fetch *f)
{
	struct want *w = &f->want;
	if (ranges_wall(f) == w->offset && w->offset < w->size)
		return &step_spread;
	if (f->end != HTTP_WHOLE)
		return settle_failure(f);
	if (w->size == SIZE_UNKNOWN && f->judgement.skip == 0)
		w->size = w->offset; /* the server ended the body without having said where it would */
	if (w->offset == w->size)
		return &step_end;
	if (w->offset - f->asked_at >= SHORT_RANGE_MIN)
		return &step_present;
	return fetch_fail(f, FAIL_AGAIN, &step_retry, "the body ended early");
}

/*
 * A range within the content was refused. Another site may give it, and costs less than to have everything sent once
 * more; where there is none, or all have refused, this one is asked for all of it, and what is there is skipped.
 */
static const struct fetch_step *ask_for_all(struct fetch *f)
{
	uint32_t site = UINT32_C(1) << f->sites[f->site];
	char at[ORIGIN_TEXT_SIZE];
	bool is_new = !(f->no_range & site);
	f->no_range |= site;
	count_add(COUNT_RANGES_REFUSED, 1);
	if (is_new && f->site + 1 < f->sites_len)
		return fetch_fail(f, f->judgement.fail, &step_give_up, f->judgement.why.text);
	origin_format(&f->at, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at, .bytes = f->want.offset},
		 "'%s' answered %s: asking for all of '%s', and skipping the %" PRIu64 " bytes that are there", at,
		 f->judgement.why.text, f->shown, f->want.offset);
	f->want.whole = true;
	host_ranges_off(f->env->hosts, &f->home, clock_mono_ms() + RANGES_OFF_MS);
	return &step_present;
}

static const struct fetch_step *settle(struct fetch *f)
{
	const struct judgement *j = &f->judgement;
	if (f->sink_error < 0)
		return &step_done;
	if (!f->has_head)
		return settle_failure(f);
	switch (j->verdict) {
	case VERDICT_TAKE:
		return settle_body(f);
	case VERDICT_REDIRECT:
		return &step_redirect;
	case VERDICT_LOGIN:
		return &step_login;
	case VERDICT_RETRY:
		return fetch_fail(f, j->fail, &step_retry, j->why.text);
	case VERDICT_NARROW:
		f->want.size = j->size;
		return &step_present;
	case VERDICT_WHOLE:
		return &step_whole;
	case VERDICT_COMPLETE:
		f->want.size = j->size;
		return &step_open;
	case VERDICT_RESOLVED:
		return &step_resolve;
	case VERDICT_GET:
		f->resolve = false;
		return &step_present;
	case VERDICT_REFUSE:
		break;
	}
	return j->fail == FAIL_DENIED ? &step_denied : fetch_fail(f, j->fail, &step_give_up, j->why.text);
}

/* What the tag names is known, and whoever ordered it may have that already: there is nothing more to do. */
static const struct fetch_step *resolve(struct fetch *f)
{
	struct message m = {
	    .type = MSG_RESOLVED,
	    .digest = span_str(f->learned),
	    .media_type = span_str(f->media_type),
	};
	turn_end(&f->turn);
	f->fail = FAIL_NONE;
	f->served |= UINT32_C(1) << f->sites[f->site];
	f->sink_error = outlet_say(&f->outlet, &m);
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = f->ref, .host = f->host, .digest = f->learned},
		 "'%s' is %s", f->shown, f->learned);
	return &step_last;
}

/* The stream has come to where the ranges are. */
static const struct fetch_step *spread(struct fetch *f)
{
	assert(!f->exchange);
	return ranges_advance(f);
}

static const struct fetch_step *redirect(struct fetch *f)
{
	struct reason why = {"out of memory"};
	struct buf next = BUF_INIT;
	if (++f->redirects > REDIRECTS_MAX)
		return fetch_fail(f, FAIL_BAD_DATA, &step_give_up, "the server redirects too often");
	int r = url_redirect(f->url.data, f->location.data, &next, &why);
	if (r == 0)
		r = origin_of(next.data, &f->at, &why);
	if (r < 0) {
		buf_release(&next);
		return fetch_fail(f, r == -ENOMEM ? FAIL_AGAIN : FAIL_BAD_DATA, &step_give_up, why.text);
	}
	buf_release(&f->url);
	f->url = next;
	if (fetch_is_guarded(f) && guard_host_is_inner(f->at.host))
		return fetch_fail(f, FAIL_BAD_DATA, &step_give_up,
				  "a redirect to this machine or its link is not followed");
	return &step_ask;
}

/*
 * A mirror that fails is left for the next one, at the same offset and without a wait; behind the last one comes the
 * registry itself. What is wrong with the order or the content is wrong everywhere.
 */
static bool leave_mirror(struct fetch *f)
{
	struct source s;
	char at[ORIGIN_TEXT_SIZE];
	if (f->fail == FAIL_USAGE || f->fail == FAIL_CHANGED || f->site + 1 >= f->sites_len)
		return false;
	origin_format(&f->home, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at, .error = f->error},
		 "cannot fetch '%s' from %s'%s': %s", f->shown, f->sites[f->site] != SITE_REGISTRY ? "the mirror " : "",
		 at, f->why.text);
	count_add(COUNT_MIRRORS_LEFT, 1);
	f->site++;
	ranges_drop(f);
	turn_end(&f->turn);
	secret_wipe(&f->pass);
	f->pass_is_fresh = false;
	return source_parse(span_str(f->source), &s, NULL) == 0 && make_start_url(f, &s, NULL) == 0;
}

/* After the last one, and a wait, the first has its turn again. */
static bool return_to_mirrors(struct fetch *f)
{
	struct source s;
	if (f->site == 0)
		return true;
	f->site = 0;
	return source_parse(span_str(f->source), &s, NULL) == 0 && make_start_url(f, &s, NULL) == 0;
}

static void say_retry(struct fetch *f, uint64_t wait_ms, uint64_t retries)
{
	char at[ORIGIN_TEXT_SIZE];
	origin_format(&f->at, at);
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = f->ref, .host = at, .error = f->error},
		 "cannot fetch '%s': %s; trying '%s' again in %.1f s (%" PRIu64 " of %" PRIu64 ")", f->shown,
		 f->why.text, at, (double)wait_ms / 1000.0, f->backoff.failures, retries);
	f->until_s = clock_wall_s() + (wait_ms + 999) / 1000;
	fetch_describe_wait(f, at);
	struct message m = {.type = MSG_BEAT, .until_s = f->until_s, .text = span_str(f->beat.text)};
	f->sink_error = outlet_say(&f->outlet, &m);
}

static enum counter retry_reason(const struct fetch *f)
{
	static const enum counter of_end[] = {
	    [HTTP_WHOLE] = COUNT_RETRIES_SHORT,
	    [HTTP_STOPPED] = COUNT_RETRIES_OTHER,
	    [HTTP_REFUSED] = COUNT_RETRIES_OTHER,
	    [HTTP_NO_ADDRESS] = COUNT_RETRIES_ADDRESS,
	    [HTTP_NO_CONNECTION] = COUNT_RETRIES_CONNECTION,
	    [HTTP_NO_TLS] = COUNT_RETRIES_TLS,
	    [HTTP_BROKEN_OFF] = COUNT_RETRIES_BROKEN,
	    [HTTP_STALLED] = COUNT_RETRIES_STALLED,
	    [HTTP_DENIED] = COUNT_RETRIES_OTHER,
	    [HTTP_FAILED] = COUNT_RETRIES_OTHER,
	};
	if (f->http_status == 429 || f->http_status == 503)
		return COUNT_RETRIES_BUSY;
	return f->http_status >= 300 ? COUNT_RETRIES_STATUS : of_end[f->end];
}

/* A server that wants us back tomorrow: whoever waits for the transfer decides about that. */
static void say_too_long(struct fetch *f, uint64_t max_ms)
{
	struct reason why = f->why;
	if (f->retry_after_ms > max_ms)
		reason_set(&f->why, "%s; it asks for a wait of %s%" PRIu64 " s, and retry_after_max is %" PRIu64 " s",
			   why.text, f->retry_after_ms == RETRY_AFTER_CLAMP_MS ? "at least " : "",
			   f->retry_after_ms / 1000, max_ms / 1000);
}

/* What arrived is passed on; the wait is told; others get their turn with the host. */
static const struct fetch_step *retry(struct fetch *f)
{
	if (leave_mirror(f))
		return &step_line_up;
	struct backoff_limits limits = settings_retries(f->env->settings, f->host);
	bool answered = f->turn.host && f->turn.host->answered;
	if (!answered && limits.retries > FIRST_CONTACT_RETRIES)
		limits.retries = FIRST_CONTACT_RETRIES;
	if (limits.retries > f->retries_max)
		limits.retries = f->retries_max;
	turn_end(&f->turn);
	f->sink_error = outlet_flush(&f->outlet);
	uint64_t wait_ms;
	if (!backoff_failure(&f->backoff, &limits, f->retry_after_ms, arc4random(), &wait_ms)) {
		say_too_long(f, limits.retry_after_max_ms);
		return &step_give_up;
	}
	count_add(retry_reason(f), 1);
	say_retry(f, wait_ms, limits.retries);
	if (!return_to_mirrors(f))
		return &step_give_up;
	if (f->sink_error < 0)
		return &step_done;
	loop_timer_set(&f->wait, wait_ms);
	return NULL;
}

static const struct fetch_step *end(struct fetch *f)
{
	struct message m = {.type = MSG_END, .size = f->want.size};
	ranges_free(f);
	turn_end(&f->turn);
	f->fail = FAIL_NONE;
	count_add(COUNT_FETCHES_DONE, 1);
	f->sink_error = outlet_say(&f->outlet, &m);
	log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = f->ref, .host = f->host, .bytes = f->want.size},
		 "fetched '%s': %" PRIu64 " bytes in all", f->shown, f->want.size);
	return &step_last;
}

static const struct fetch_step *give_up(struct fetch *f)
{
	char at[ORIGIN_TEXT_SIZE];
	if (leave_mirror(f))
		return &step_line_up;
	count_add(COUNT_FETCHES_FAILED, 1);
	origin_format(&f->at, at);
	bool is_away = f->start_url.len > 0 && f->url.len > 0 && !origin_eq(&f->at, &f->home);
	ranges_free(f);
	turn_end(&f->turn);
	reason_set(&f->text, "cannot fetch '%s': %s%s%s%s", f->shown, f->why.text, is_away ? " (redirected to '" : "",
		   is_away ? at : "", is_away ? "')" : "");
	log_with(LOG_LEVEL_ERROR, &(struct log_fields){.ref = f->ref, .host = at, .error = f->error}, "%s",
		 f->text.text);
	struct message m = {
	    .type = MSG_FAIL,
	    .fail_class = (uint8_t)f->fail,
	    .http_status = f->http_status,
	    .text = span_str(f->text.text),
	};
	f->sink_error = outlet_say(&f->outlet, &m);
	return &step_last;
}

static const struct fetch_step *last(struct fetch *f)
{
	return f->sink_error < 0 || outlet_idle(&f->outlet) ? &step_done : NULL;
}

static const struct fetch_step *done(struct fetch *f)
{
	f->hooks->done(f->self, f);
	return NULL;
}

const struct fetch_step step_plan = {"plan", plan};
const struct fetch_step step_line_up = {"line up", line_up};
const struct fetch_step step_open = {"open", open_body};
const struct fetch_step step_drain = {"drain", drain};
const struct fetch_step step_settle = {"settle", settle};
const struct fetch_step step_resolve = {"resolve", resolve};
const struct fetch_step step_spread = {"spread", spread};
const struct fetch_step step_whole = {"whole", ask_for_all};
const struct fetch_step step_redirect = {"redirect", redirect};
const struct fetch_step step_retry = {"retry", retry};
const struct fetch_step step_end = {"end", end};
const struct fetch_step step_give_up = {"give up", give_up};
const struct fetch_step step_last = {"last", last};
const struct fetch_step step_done = {"done", done};
