/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/route.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* OCI */
#include "common/oci/descriptor.h"

#define DOCKER_HUB_REGISTRY "registry-1.docker.io"

/* ── URLs ── */

const char *route_accept(enum source_kind kind)
{
	return kind == SOURCE_MANIFEST ? MEDIA_TYPE_OCI_INDEX ", " MEDIA_TYPE_OCI_MANIFEST ", " MEDIA_TYPE_DOCKER_INDEX
							      ", " MEDIA_TYPE_DOCKER_MANIFEST ", */*"
				       : "*/*";
}

/* `below`: the path of a mirror, without slashes around it, or empty. */
static int append_path(const struct source *s, struct span below, struct buf *out)
{
	const struct reference *ref = &s->reference;
	char digest[DIGEST_TEXT_SIZE] = "";
	if (ref->has_digest)
		digest_format(&ref->digest, digest);
	return buf_appendf(out, "/v2/%.*s%s%s/%s/%s", (int)below.len, (const char *)below.data,
			   below.len > 0 ? "/" : "", ref->name, s->kind == SOURCE_BLOB ? "blobs" : "manifests",
			   ref->has_digest ? digest : ref->tag);
}

int route_registry_url(const struct source *s, enum plain_http plain, struct buf *out)
{
	if (s->kind == SOURCE_URL) {
		const uint8_t *fragment = memchr(s->url.data, '#', s->url.len);
		return buf_append(out, s->url.data, fragment ? (size_t)(fragment - s->url.data) : s->url.len);
	}
	const struct reference *ref = &s->reference;
	bool http = plain == PLAIN_HTTP_YES || (plain == PLAIN_HTTP_UNSET && host_is_loopback(ref->host));
	const char *host = strcmp(ref->host, DOCKER_HUB) == 0 ? DOCKER_HUB_REGISTRY : ref->host;
	int r = buf_appendf(out, "%s://%s", http ? "http" : "https", host);
	if (s->kind == SOURCE_REGISTRY)
		return r < 0 ? r : buf_append_str(out, "/v2/");
	return r < 0 ? r : append_path(s, span_str(""), out);
}

/* "/v2/proxy/" and "/proxy" are both "proxy": some documentation gives mirrors with the API's prefix, some without. */
static struct span path_of_mirror(const char *path)
{
	struct span below = span_str(path + strspn(path, "/"));
	while (below.len > 0 && below.data[below.len - 1] == '/')
		below.len--;
	if (span_eq(below, span_str("v2")))
		return span_str("");
	if (below.len > 3 && memcmp(below.data, "v2/", 3) == 0)
		return span_of(below.data + 3, below.len - 3);
	return below;
}

int route_mirror_url(const struct source *s, const char *mirror, struct buf *out)
{
	const char *host = strstr(mirror, "://");
	size_t len = host ? (size_t)(host + 3 + strcspn(host + 3, "/") - mirror) : strlen(mirror);
	int r = buf_append(out, mirror, len);
	if (r == 0)
		r = append_path(s, path_of_mirror(mirror + len), out);
	if (r == 0)
		r = buf_append_str(out, "?ns="); /* as containerd says it to a mirror of several registries */
	return r < 0 ? r : url_append_escaped(span_str(s->reference.host), out);
}

/* ── planning ── */

int route_init(struct route *r, struct span source, struct terms *terms)
{
	r->terms = terms;
	r->source = strndup(source.len > 0 ? (const char *)source.data : "", source.len);
	if (!r->source)
		return -ENOMEM;
	shown_of(source, r->shown);
	return 0;
}

void route_release(struct route *r)
{
	free(r->source);
	buf_release(&r->start_url);
	buf_release(&r->url);
}

/* The registry with its terms, or as it is configured. */
static void resolve_registry(const struct route *r, const struct settings *s, struct policy *ret_policy)
{
	policy_resolve(s, r->registry, ret_policy);
	if (r->terms)
		policy_take_terms(ret_policy, r->terms);
}

static void line_up_sites(struct route *r, const struct settings *s, uint32_t suspects)
{
	size_t mirrors = 0;
	while (r->kind != SOURCE_REGISTRY && policy_mirror(s, r->registry, mirrors))
		mirrors++;
	r->sites_len = r->site = 0;
	for (unsigned suspected = 0; suspected <= 1; suspected++) {
		for (size_t i = 0; i < mirrors; i++)
			if ((suspects >> i & 1) == suspected)
				r->sites[r->sites_len++] = (uint8_t)i;
		if ((suspects >> SITE_REGISTRY & 1) == suspected)
			r->sites[r->sites_len++] = SITE_REGISTRY;
	}
}

int route_plan(struct route *r, const struct settings *s, uint32_t suspects, struct reason *why)
{
	struct source source;
	int error = source_parse(span_str(r->source), &source, why);
	if (error < 0)
		return error;
	r->kind = source.kind;
	if (source.kind != SOURCE_URL) {
		memcpy(r->registry, source.reference.host, sizeof(source.reference.host));
		memcpy(r->name, source.reference.name, sizeof(source.reference.name));
	}
	r->by_tag = source.kind == SOURCE_MANIFEST && !source.reference.has_digest;
	r->drops_tls = r->terms && r->registry[0] != '\0' && strcmp(r->terms->plain_host, r->registry) == 0;
	line_up_sites(r, s, suspects);
	return 0;
}

void route_show_digest(struct route *r, const char *digest)
{
	size_t len = strlen(r->shown);
	(void)snprintf(r->shown + len, sizeof(r->shown) - len, "@%s", digest);
}

/* ── sites ── */

static bool is_mirror(const struct route *r)
{
	return r->sites[r->site] < SITE_REGISTRY;
}

const struct terms *route_terms(const struct route *r)
{
	return !is_mirror(r) && route_is_home(r) ? r->terms : NULL;
}

static void resolve(struct route *r, const struct settings *s)
{
	r->generation = s->generation;
	policy_resolve(s, r->host, &r->policy);
	if (r->terms && !is_mirror(r))
		policy_take_terms(&r->policy, r->terms);
	if (r->terms && r->terms->said.has_retries)
		r->policy.host.retry.max = r->terms->said.retries;
	/* A registry's section applies only to it: the target of a redirect uses its own section, or none. */
	if (route_is_home(r))
		memcpy(r->host_at, r->host, sizeof(r->host_at));
	else
		route_format_at(r, r->host_at);
	policy_resolve(s, r->host_at, &r->policy_at);
	if (route_terms(r))
		policy_take_terms(&r->policy_at, r->terms);
	if (!route_is_home(r))
		r->policy_at.headers.len = 0;
}

bool route_refresh(struct route *r, const struct settings *s)
{
	if (r->generation == s->generation)
		return false;
	resolve(r, s);
	return true;
}

static int site_url(const struct route *r, const struct settings *s, uint8_t site, const struct source *source,
		    struct buf *out)
{
	struct policy registry;
	const char *mirror = policy_mirror(s, r->registry, site);
	resolve_registry(r, s, &registry);
	if (r->drops_tls)
		registry.plain_http = PLAIN_HTTP_YES;
	return mirror ? route_mirror_url(source, mirror, out) : route_registry_url(source, registry.plain_http, out);
}

bool route_peek(const struct route *r, const struct settings *s, size_t ahead, struct origin *ret_origin,
		uint64_t *ret_lane)
{
	AUTO_BUF url = BUF_INIT;
	struct source source;
	*ret_lane =
	    r->site + ahead < r->sites_len && r->sites[r->site + ahead] >= SITE_REGISTRY ? terms_number(r->terms) : 0;
	return r->site + ahead < r->sites_len && source_parse(span_str(r->source), &source, NULL) == 0 &&
	       site_url(r, s, r->sites[r->site + ahead], &source, &url) == 0 &&
	       origin_of(url.data, ret_origin, NULL) == 0;
}

/* A mirror is a registry with credentials of its own. */
int route_enter(struct route *r, const struct settings *s, const char *expected, struct reason *why)
{
	struct source source;
	bool is_mirror = policy_mirror(s, r->registry, r->sites[r->site]);
	int error = source_parse(span_str(r->source), &source, why);
	if (error < 0)
		return error;
	if (r->by_tag && digest_parse(span_str(expected), &source.reference.digest, NULL) == 0)
		source.reference.has_digest = true;
	buf_clear(&r->start_url);
	error = site_url(r, s, r->sites[r->site], &source, &r->start_url);
	if (error == 0)
		error = origin_of(r->start_url.data, &r->home, why);
	if (error < 0)
		return error;
	if (is_mirror || source.kind == SOURCE_URL)
		origin_format(&r->home, r->host);
	else
		memcpy(r->host, r->registry, sizeof(r->host));
	r->home_zone = r->zone_at = guard_host_zone(r->home.host);
	r->at = r->home;
	resolve(r, s);
	return 0;
}

int route_restart(struct route *r, const struct settings *s)
{
	r->redirects = 0;
	r->at = r->home;
	r->zone_at = r->home_zone;
	resolve(r, s);
	buf_clear(&r->url);
	return buf_append(&r->url, r->start_url.data, r->start_url.len);
}

bool route_next_site(struct route *r)
{
	if (r->site + 1 >= r->sites_len)
		return false;
	r->site++;
	return true;
}

/* As it looks where a server speaks HTTP, or nobody listens. */
static bool is_without_tls(const struct failure *f)
{
	return f->http_status == 0 && (f->end == HTTP_NO_TLS || f->end == HTTP_NO_CONNECTION);
}

bool route_drop_tls(struct route *r, const struct settings *s, const struct failure *failure)
{
	struct policy registry;
	if (!route_terms(r) || r->terms->said.tls_verify != SAID_NO || r->registry[0] == '\0' || r->drops_tls ||
	    !is_without_tls(failure))
		return false;
	resolve_registry(r, s, &registry);
	r->drops_tls = registry.plain_http != PLAIN_HTTP_YES;
	return r->drops_tls;
}

bool route_first_site(struct route *r)
{
	bool moves = r->site != 0;
	r->site = 0;
	return moves;
}

uint32_t route_site_bit(const struct route *r)
{
	return UINT32_C(1) << r->sites[r->site];
}

bool route_refuse_range(struct route *r)
{
	bool is_new = !(r->no_range & route_site_bit(r));
	r->no_range |= route_site_bit(r);
	return is_new && r->site + 1 < r->sites_len;
}

/* ── the next request ── */

static bool fail(struct failure *f, enum fail_class class, const char *why)
{
	f->class = class;
	reason_set(&f->why, "%s", why);
	return false;
}

static bool check_zone(enum guard_zone to, enum guard_zone nearest, struct failure *ret_failure)
{
	struct reason why;
	if (to >= nearest)
		return true;
	reason_set(&why, "a redirect to %s is not followed%s", guard_zone_text(to), guard_zone_hint(to));
	return fail(ret_failure, FAIL_BAD_DATA, why.text);
}

bool route_redirect(struct route *r, const struct settings *s, const char *location, struct failure *ret_failure)
{
	struct reason why = {"out of memory"};
	struct buf next = BUF_INIT;
	struct origin to;
	if (++r->redirects > REDIRECTS_MAX)
		return fail(ret_failure, FAIL_BAD_DATA, "the server redirects too often");
	int error = url_redirect(r->url.data, location, &next, &why);
	if (error == 0)
		error = origin_of(next.data, &to, &why);
	if (error < 0) {
		buf_release(&next);
		return fail(ret_failure, error == -ENOMEM ? FAIL_AGAIN : FAIL_BAD_DATA, why.text);
	}
	bool was_tls = r->at.tls;
	buf_release(&r->url);
	r->url = next;
	r->at = to;
	r->zone_at = route_is_home(r) ? r->home_zone : guard_host_zone(to.host);
	resolve(r, s);
	if (was_tls && !to.tls && r->policy_at.plain_http != PLAIN_HTTP_YES)
		return fail(ret_failure, FAIL_BAD_DATA,
			    "a redirect from https to http is not followed; if that is right, set plain_http = yes "
			    "under [registry HOST] of its target in sluice.conf");
	return check_zone(guard_host_zone(to.host), route_nearest(r, s), ret_failure);
}

bool route_is_home(const struct route *r)
{
	return origin_eq(&r->at, &r->home);
}

void route_note_head(struct route *r)
{
	if (r->drops_tls && route_terms(r))
		memcpy(r->terms->plain_host, r->registry, sizeof(r->terms->plain_host));
}

void route_note_answer(struct route *r, enum guard_zone zone)
{
	r->zone_at = zone;
	if (route_is_home(r))
		r->home_zone = zone;
}

enum guard_zone route_nearest(const struct route *r, const struct settings *s)
{
	if (route_is_home(r))
		return ZONE_ANY;
	return guard_nearest(r->home_zone, policy_knows(s, r->host_at, r->at.tls));
}

void route_format_at(const struct route *r, char ret_text[static ORIGIN_TEXT_SIZE])
{
	origin_format(&r->at, ret_text);
}

void route_fill(const struct route *r, const struct settings *s, struct http_ask *ask)
{
	ask->url = r->url.data;
	ask->accept = route_accept(r->kind);
	ask->nearest = route_nearest(r, s);
	policy_fill(&r->policy_at, ask);
	ask->lane = terms_number(route_terms(r));
	if (r->site + 1 < r->sites_len && r->policy_at.host.answer_timeout_ms == 0)
		ask->patience.answer_ms = ask->patience.stall_ms; /* the next site may be quicker */
}
