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

static int append_path(const struct source *s, struct buf *out)
{
	const struct reference *ref = &s->reference;
	char digest[DIGEST_TEXT_SIZE] = "";
	if (ref->has_digest)
		digest_format(&ref->digest, digest);
	return buf_appendf(out, "/v2/%s/%s/%s", ref->name, s->kind == SOURCE_BLOB ? "blobs" : "manifests",
			   ref->has_digest ? digest : ref->tag);
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
	int r = buf_appendf(out, "%s://%s", http ? "http" : "https", host);
	return r < 0 ? r : append_path(s, out);
}

int registry_mirror_url(const struct source *s, const char *mirror, struct buf *out)
{
	int r = buf_append_str(out, mirror);
	return r < 0 ? r : append_path(s, out);
}
