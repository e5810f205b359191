/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/config/policy.h"

#define ANSWER_MS      (10u * 60 * 1000) /* caches that fetch a whole layer before its first byte took 200 to 400 s */
#define STALL_SHORT_MS (30u * 1000)      /* the default of stall_timeout */

static uint64_t own_or(uint64_t own, uint64_t of_all)
{
	return own != UNSAID ? own : of_all;
}

static void resolve(const struct host_settings *own, const struct host_settings *all, struct host_settings *ret_host)
{
	*ret_host = (struct host_settings){
	    .connect_timeout_ms = own_or(own->connect_timeout_ms, all->connect_timeout_ms),
	    .stall_timeout_ms = own_or(own->stall_timeout_ms, all->stall_timeout_ms),
	    .answer_timeout_ms = own_or(own->answer_timeout_ms, all->answer_timeout_ms),
	    .connections = own_or(own->connections, all->connections),
	    .retry = {.max = own_or(own->retry.max, all->retry.max),
		      .delay_ms = own_or(own->retry.delay_ms, all->retry.delay_ms),
		      .delay_max_ms = own_or(own->retry.delay_max_ms, all->retry.delay_max_ms),
		      .after_max_ms = own_or(own->retry.after_max_ms, all->retry.after_max_ms)},
	    .ranges = {.count = own_or(own->ranges.count, all->ranges.count),
		       .size = own_or(own->ranges.size, all->ranges.size),
		       .min = own_or(own->ranges.min, all->ranges.min)},
	    .speed = {.per_host = own_or(own->speed.per_host, all->speed.per_host),
		      .per_transfer = own_or(own->speed.per_transfer, all->speed.per_transfer),
		      .min = own_or(own->speed.min, all->speed.min),
		      .min_ms = own_or(own->speed.min_ms, all->speed.min_ms)},
	};
}

/* If TLS is configured for a host on this machine, use it. */
static enum plain_http plain_of(const struct registry_settings *registry)
{
	const struct http_tls *tls = &registry->tls;
	bool is_meant = tls->ca_file || tls->ca_besides || tls->client_cert || tls->skip_verify;
	return registry->plain_http == PLAIN_HTTP_UNSET && is_meant ? PLAIN_HTTP_NO : registry->plain_http;
}

void policy_resolve(const struct settings *s, const char *host, struct policy *ret_policy)
{
	const struct registry_settings *registry = registries_find(&s->registries, host);
	*ret_policy = (struct policy){
	    .plain_http = plain_of(registry),
	    .tls = registry->tls,
	    .bandwidth = s->bandwidth,
	    .headers = registry->headers,
	};
	resolve(&registry->own, &s->all, &ret_policy->host);
}

static enum plain_http plain_of_terms(const struct source_policy *said, enum plain_http before)
{
	if (said->plain_http)
		return PLAIN_HTTP_YES;
	if (said->tls_verify == SAID_YES)
		return PLAIN_HTTP_NO;
	bool is_meant = said->tls_verify == SAID_NO || said->has_certs;
	return before == PLAIN_HTTP_UNSET && is_meant ? PLAIN_HTTP_NO : before;
}

/* The headers may be secret, and are for a host that the configuration trusts. */
void policy_take_terms(struct policy *p, const struct terms *t)
{
	p->plain_http = plain_of_terms(&t->said, p->plain_http);
	terms_fill_tls(t, &p->tls);
	if (source_policy_is_lax(&t->said))
		p->headers.len = 0;
}

/* If only stall_timeout is shortened, the user wants to hear soon of any silence. */
static uint64_t answer_ms(const struct host_settings *h)
{
	uint64_t stall_ms = h->stall_timeout_ms;
	if (h->answer_timeout_ms > 0)
		return h->answer_timeout_ms;
	return stall_ms < STALL_SHORT_MS || stall_ms > ANSWER_MS ? stall_ms : ANSWER_MS;
}

void policy_fill(const struct policy *p, struct http_ask *ask)
{
	ask->tls = &p->tls;
	ask->connect_timeout_ms = p->host.connect_timeout_ms;
	ask->patience = (struct patience){
	    .stall_ms = p->host.stall_timeout_ms,
	    .answer_ms = answer_ms(&p->host),
	    .min_speed = p->host.speed.min,
	    .min_speed_ms = p->host.speed.min_ms,
	};
	ask->headers = p->headers.texts;
	ask->headers_len = p->headers.len;
}

bool policy_knows(const struct settings *s, const char *host, bool tls)
{
	return tls || registries_find(&s->registries, host)->is_named;
}

const char *policy_mirror(const struct settings *s, const char *registry, size_t n)
{
	const struct registry_list *mirrors = &registries_find(&s->registries, registry)->mirrors;
	return n < mirrors->len ? mirrors->texts[n] : NULL;
}
