/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route to the bytes of a source: which servers, in which order, by which URL (OCI distribution spec, "Pulling
 * manifests" and "Pulling blobs"), redirects, and the policy of each host.
 *
 *   sites      the mirrors of a registry, then the registry itself; those that sent wrong bytes come last
 *   home       the origin of the current site
 *   at         where the next request goes: home, or where redirects since route_restart() led
 *
 * Calls: route_init(), route_plan(), then for each site route_enter() and for each try route_restart();
 * route_redirect() after a redirect. Nothing here talks to the network.
 */
#ifndef SLUICE_FETCHD_ROUTE_H
#define SLUICE_FETCHD_ROUTE_H

#include "common/base/shown.h"
#include "common/oci/source.h"
#include "fetchd/config/policy.h"
#include "fetchd/http/failure.h"
#include "fetchd/http/url.h"

#define REDIRECTS_MAX 8
#define SITE_REGISTRY MIRRORS_MAX /* the number of the registry itself, after those of its mirrors */

struct route {
	/* From route_plan() on. */
	char *source;           /* owned */
	char shown[SHOWN_SIZE]; /* the source, for messages */
	struct terms *terms;    /* of the order, borrowed; NULL: none. For the registry or the URL's host alone */
	enum source_kind kind;
	bool by_tag;                       /* a manifest named by its tag */
	char registry[ORIGIN_TEXT_SIZE];   /* the one whose mirrors are used; empty for a plain URL and for data */
	char name[REFERENCE_NAME_MAX + 1]; /* of the repository; empty for these two */
	uint8_t
	    sites[MIRRORS_MAX + 1]; /* numbers of mirrors, and SITE_REGISTRY, in the order in which they are tried */
	size_t sites_len;
	size_t site;       /* the current one */
	bool drops_tls;    /* the registry was found to do without TLS, and the terms allow that */
	uint32_t no_range; /* bits of sites that refused a range within the content */

	/* From route_enter() on. */
	char
	    host[ORIGIN_TEXT_SIZE]; /* whose configuration and credentials apply: the mirror's own, or the registry's */
	struct buf start_url;       /* each try starts here ... */
	struct origin home;
	enum guard_zone home_zone; /* where it answered from; ZONE_PUBLIC until it has */
	struct policy policy;      /* of `host` */
	unsigned generation;       /* of the settings from which the policies were resolved */

	/* From route_restart() on. */
	struct buf url; /* ... and is redirected to here */
	struct origin at;
	char host_at[ORIGIN_TEXT_SIZE]; /* whose configuration and credentials count there: `host`, or `at` itself */
	enum guard_zone zone_at;        /* where it answered from, as home_zone is for home */
	unsigned redirects;             /* in this try */
	struct policy policy_at;        /* of `host_at` */
};

/* ── pure: the URLs of a source ── */

/* Append the URL to `out`; that of a SOURCE_URL is its text without the fragment. 0 or -ENOMEM. */
int route_registry_url(const struct source *s, enum plain_http plain, struct buf *out);

/*
 * The same at a mirror ("https://mirror.example:5000", "https://harbor.example/proxy") of the registry of a manifest or
 * blob. The query names the registry: ?ns=docker.io.
 */
int route_mirror_url(const struct source *s, const char *mirror, struct buf *out);

/* The Accept value for this kind of source. For manifests it ends with any type, because an index may list others. */
const char *route_accept(enum source_kind kind);

/* ── the route ── */

/* `r` is all zero; `source` is copied, `terms` (may be NULL) are borrowed for its life. 0 or -ENOMEM. */
int route_init(struct route *r, struct span source, struct terms *terms);

/* Fit for a route of zeros. */
void route_release(struct route *r);

/* Parse the source and order the sites, those in `suspects` last. 0, or -EINVAL with a reason. */
int route_plan(struct route *r, const struct settings *s, uint32_t suspects, struct reason *why);

/* Messages name the digest beside the tag. */
void route_show_digest(struct route *r, const char *digest);

/*
 * Make the URL for the current site. A tag may have moved since: if `expected` is a digest, that manifest is requested. 0,
 * -ENOMEM, or -EINVAL with a reason.
 */
int route_enter(struct route *r, const struct settings *s, const char *expected, struct reason *why);

/* Start a try at the site's own URL, whatever earlier redirects were. 0 or -ENOMEM. */
int route_restart(struct route *r, const struct settings *s);

/* Resolve the policies again if the configuration was reloaded. True: it was. Cheap otherwise. */
bool route_refresh(struct route *r, const struct settings *s);

/* Follow a redirect. False, with `ret_failure`: its target is not allowed. */
bool route_redirect(struct route *r, const struct settings *s, const char *location, struct failure *ret_failure);

/*
 * The origin of the site `ahead` places after the current one, and the number of the terms that hold there (terms.h); 0:
 * its own. False: there is none, or no memory.
 */
bool route_peek(const struct route *r, const struct settings *s, size_t ahead, struct origin *ret_origin,
		uint64_t *ret_lane);

/* Go to the next site. False: this was the last one. */
bool route_next_site(struct route *r);

/*
 * The registry seems to have no TLS, and its certificate need not be verified: do without, as skopeo does. The site is to
 * be entered again. False: the failure says something else, or TLS is wanted.
 */
bool route_drop_tls(struct route *r, const struct settings *s, const struct failure *failure);

/* Go back to the first site. False: it was the current one. */
bool route_first_site(struct route *r);

/* The current site's bit, to note who sent what. */
uint32_t route_site_bit(const struct route *r);

/* The current site refused a range within the content. True: for the first time, and there is another site to try. */
bool route_refuse_range(struct route *r);

/* Whether the next request goes to the site itself. */
bool route_is_home(const struct route *r);

/* The terms of the order, if they hold for the next request: it goes to the host that the source names. Else NULL. */
const struct terms *route_terms(const struct route *r);

/* The last request was answered. */
void route_note_head(struct route *r);

/* The last request was answered from that zone. */
void route_note_answer(struct route *r, enum guard_zone zone);

/* The nearest zone that the next request may go to: any for home itself, else as in guard.h for redirects. */
enum guard_zone route_nearest(const struct route *r, const struct settings *s);

/* The text of `at`, for messages. */
void route_format_at(const struct route *r, char ret_text[static ORIGIN_TEXT_SIZE]);

/* URL, Accept, guard and policy of the next request; borrowed from the route. */
void route_fill(const struct route *r, const struct settings *s, struct http_ask *ask);

#endif
