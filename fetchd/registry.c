#include "fetchd/registry.h"

/* OCI */
#include "common/oci/descriptor.h"

#define DOCKER_HUB          "docker.io"
#define DOCKER_HUB_REGISTRY "registry-1.docker.io"

const char *registry_host(const struct source *s)
{
	return s->kind == SOURCE_URL ? "" : s->reference.host;
}

const char *registry_accept(enum source_kind kind)
{
	return kind == SOURCE_MANIFEST ? MEDIA_TYPE_OCI_INDEX ", " MEDIA_TYPE_OCI_MANIFEST ", " MEDIA_TYPE_DOCKER_INDEX
							      ", " MEDIA_TYPE_DOCKER_MANIFEST
				       : "*/*";
}

int registry_url(const struct source *s, enum plain_http plain, struct buf *out)
{
	if (s->kind == SOURCE_URL) {
		const uint8_t *fragment = memchr(s->url.data, '#', s->url.len);
		return buf_append(out, s->url.data, fragment ? (size_t)(fragment - s->url.data) : s->url.len);
	}
	const struct reference *ref = &s->reference;
	bool http = plain == PLAIN_HTTP_YES || (plain == PLAIN_HTTP_UNSET && host_is_loopback(ref->host));
	const char *host = strcmp(ref->host, DOCKER_HUB) == 0 ? DOCKER_HUB_REGISTRY : ref->host;
	char digest[DIGEST_TEXT_SIZE] = "";
	if (ref->has_digest)
		digest_format(&ref->digest, digest);
	return buf_appendf(out, "%s://%s/v2/%s/%s/%s", http ? "http" : "https", host, ref->name,
			   s->kind == SOURCE_BLOB ? "blobs" : "manifests", ref->has_digest ? digest : ref->tag);
}
