/* What a transfer asks for, and how. */
#include "fetchd/steps.h"

/* Base */
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "fetchd/config/settings.h"
#include "fetchd/http/guard.h"

/* Unless that server is there too. A private network is none of that: registries there send to stores there. */
bool fetch_is_guarded(const struct fetch *f)
{
	return !origin_eq(&f->at, &f->home) && !guard_host_is_inner(f->home.host);
}

void fetch_request(const struct fetch *f, uint64_t first, uint64_t last, struct http_ask *ret_ask)
{
	const struct want *w = &f->want;
	bool is_home = origin_eq(&f->at, &f->home);
	char at[ORIGIN_TEXT_SIZE];
	*ret_ask = (struct http_ask){
	    .url = f->url.data,
	    .accept = registry_accept(f->kind),
	    .authorization = f->pass.len > 0 && is_home ? f->pass.data : NULL,
	    /* With a digest to decide in the end, another validator (of another mirror, say) is no reason to restart.
	     */
	    .if_range = first > 0 && w->expected[0] == '\0' && w->validator[0] != '\0' ? w->validator : NULL,
	    .guarded = fetch_is_guarded(f),
	    .first = first,
	    .last = last,
	};
	/* What the registry's section says is for it alone: where it sends us has a section of its own, or none. */
	origin_format(&f->at, at);
	settings_fill(f->env->settings, is_home ? f->host : at, ret_ask);
	if (!is_home)
		ret_ask->headers_len = 0;
}

/* The last byte that is wanted of the stream: before the parts that are there, or of the content. */
static uint64_t last_wanted(const struct fetch *f)
{
	uint64_t wall = ranges_wall(f), end = f->want.size;
	if (wall > f->want.offset && wall < end)
		end = wall;
	return end != SIZE_UNKNOWN ? end - 1 : SIZE_UNKNOWN;
}

static const struct fetch_step *ask(struct fetch *f)
{
	const struct want *w = &f->want;
	struct http_ask request;
	char at[ORIGIN_TEXT_SIZE];
	if (w->offset > 0 && !w->checked && w->validator[0] == '\0' && !f->resolve)
		return fetch_fail(
		    f, FAIL_CHANGED, &step_give_up,
		    "without a digest or a validator nothing tells whether the content is still the same");
	f->want.elsewhere = !origin_eq(&f->at, &f->home);
	fetch_request(f, f->resolve || w->whole ? 0 : w->offset, last_wanted(f), &request);
	request.head = f->resolve;
	/* After a link was down all idle connections are dead, and each would take its time to show it. */
	request.fresh = f->backoff.failures > 0;
	f->sent_pass = request.authorization != NULL;
	f->has_head = false;
	f->retry_after_ms = 0;
	f->http_status = 0;
	f->unwanted_bytes = 0;
	f->asked_at = w->offset;
	count_add(COUNT_REQUESTS, 1);
	origin_format(&f->at, at);
	if (request.tls->skip_verify && f->at.tls)
		log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = f->ref, .host = at},
			 "fetching '%s' from '%s', whose certificate is NOT VERIFIED (skip_verify)", f->shown, at);
	int r = http_start(f->env->http, &request, &fetch_http_hooks, f, &f->exchange);
	return r < 0 ? fetch_fail(f, FAIL_AGAIN, &step_retry, "out of memory") : NULL;
}

const struct fetch_step step_ask = {"ask", ask};
