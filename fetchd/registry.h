/*
 * From a source to the URL that serves it: OCI distribution spec, "Pulling manifests" and "Pulling blobs".
 */
#ifndef SLUICE_FETCHD_REGISTRY_H
#define SLUICE_FETCHD_REGISTRY_H

#include "common/oci/source.h"

enum plain_http {                   /* what the configuration says of a registry */
		  PLAIN_HTTP_UNSET, /* http on this machine, https elsewhere */
		  PLAIN_HTTP_YES,
		  PLAIN_HTTP_NO,
};

/* The URL, appended to `out`. A SOURCE_URL is its own, without a fragment. 0 or -ENOMEM. */
int registry_url(const struct source *s, enum plain_http plain, struct buf *out);

/* The same at a mirror ("https://mirror.example:5000") of a manifest's or blob's registry. */
int registry_mirror_url(const struct source *s, const char *mirror, struct buf *out);

/* The host whose section in the configuration and whose credentials count; empty for a plain URL. Borrowed. */
const char *registry_host(const struct source *s);

/* The Accept header's value for this kind of source. */
const char *registry_accept(enum source_kind kind);

#endif
