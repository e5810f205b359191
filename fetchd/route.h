/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route to the bytes of a source: which servers, in which order, under which URL (OCI distribution spec, "Pulling
 * manifests" and "Pulling blobs"), redirects, and the policy of each host.
 *
 *   sites      the mirrors of a registry, then the registry itself; whoever brought wrong bytes is asked last
 *   home       the origin of the site that is asked: the only one that gets credentials
 *   at         where the next request goes: home, or where the redirects since route_restart() led
 *
 * Calls: route_init(), route_plan(), then for each site route_enter() and for each try route_restart(); route_redirect()
 * after a redirect. Nothing here talks to the network.
 */
#ifndef SLUICE_FETCHD_ROUTE_H
#define SLUICE_FETCHD_ROUTE_H

#include "common/base/shown.h"
#include "common/oci/source.h"
#include "fetchd/config/policy.h"
#include "fetchd/http/failure.h"
#include "fetchd/http/url.h"

#define REDIRECTS_MAX 8
#define SITE_REGISTRY MIRRORS_MAX /* the registry itself, among the numbers of its mirrors */

struct route {
	/* From route_plan() on. */
	char *source;           /* owned */
	char shown[SHOWN_SIZE]; /* the source, for messages */
	enum source_kind kind;
	bool by_tag;                       /* a manifest named by its tag */
	char registry[ORIGIN_TEXT_SIZE];   /* whose mirrors count; empty for a plain URL */
	char name[REFERENCE_NAME_MAX + 1]; /* of the repository; empty for a plain URL */
	uint8_t sites[MIRRORS_MAX + 1];    /* numbers of mirrors, and SITE_REGISTRY, in the order of asking */
	size_t sites_len;
	size_t site;       /* the one that is asked */
	uint32_t no_range; /* bits of sites that refused a range within the content */

	/* From route_enter() on. */
	char
	    host[ORIGIN_TEXT_SIZE]; /* whose configuration and credentials count: the mirror's own, or the registry's */
	struct buf start_url;       /* each try begins here ... */
	struct origin home;
	enum guard_zone home_zone; /* where it answered from; as good as unknown (ZONE_PUBLIC) before it has */
	struct policy policy;      /* of `host` */
	unsigned generation;       /* of the settings that the policies are of */

	/* From route_restart() on. */
	struct buf url; /* ... and is redirected to here */
	struct origin at;
	unsigned redirects;      /* in this try */
	struct policy policy_at; /* of `at` */
};

/* ── pure: the URLs of a source ── */

/* Appended to `out`. A SOURCE_URL is its own, without a fragment. 0 or -ENOMEM. */
int route_registry_url(const struct source *s, enum plain_http plain, struct buf *out);

/*
 * The same at a mirror ("https://mirror.example:5000", "https://harbor.example/proxy") of a manifest's or blob's registry,
 * which the query names: ?ns=docker.io.
 */
int route_mirror_url(const struct source *s, const char *mirror, struct buf *out);

/* The Accept header's value for this kind of source. A manifest's ends with any type, for an index lists others, too. */
const char *route_accept(enum source_kind kind);

/* ── the route ── */

/* `r` is all zero; `source` is copied. 0 or -ENOMEM. */
int route_init(struct route *r, struct span source);

/* Fit for a route of zeros. */
void route_release(struct route *r);

/* Understand the source and line up the sites, those of the bits `suspects` last. 0, or -EINVAL with a reason. */
int route_plan(struct route *r, const struct settings *s, uint32_t suspects, struct reason *why);

/* Messages name the digest beside the tag. */
void route_show_digest(struct route *r, const char *digest);

/*
 * Make the URL of the current site. A tag may name something else by now: where `expected` is a digest, that manifest is
 * meant. 0, -ENOMEM, or -EINVAL with a reason.
 */
int route_enter(struct route *r, const struct settings *s, const char *expected, struct reason *why);

/* A try begins where the site says, whatever it was redirected to before. 0 or -ENOMEM. */
int route_restart(struct route *r, const struct settings *s);

/* Resolve the policies again if the configuration was read again. True: it was. Cheap otherwise. */
bool route_refresh(struct route *r, const struct settings *s);

/* Follow a redirect. False, with `ret_failure`: its target is not allowed. */
bool route_redirect(struct route *r, const struct settings *s, const char *location, struct failure *ret_failure);

/* Go to the next site. False: this was the last one. */
bool route_next_site(struct route *r);

/* The first one has its turn again. False: it was the current one. */
bool route_first_site(struct route *r);

/* The current site as a bit, for who brought what. */
uint32_t route_site_bit(const struct route *r);

/* The current site refused a range within the content. True: for the first time, and there is another site to ask. */
bool route_refuse_range(struct route *r);

/* Whether the next request goes to the site itself. */
bool route_is_home(const struct route *r);

/* The home answered from there. */
void route_note_home(struct route *r, enum guard_zone zone);

/* The nearest zone that the next request may go to: any for home itself, else as guard.h has it for redirects. */
enum guard_zone route_nearest(const struct route *r, const struct settings *s);

/* The text of `at`, for messages. */
void route_format_at(const struct route *r, char ret_text[static ORIGIN_TEXT_SIZE]);

/* URL, Accept, guard and policy of the next request; borrowed from the route. */
void route_fill(const struct route *r, const struct settings *s, struct http_ask *ask);

#endif
