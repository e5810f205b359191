/* Own header */
#include "sluice/cmd/image.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int image_manifest(struct layout *l, const struct digest *d, const char *came_as, struct manifest *ret_manifest,
		   struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	int r = layout_document_load(l, d, &text, why);

	return r < 0 ? r : manifest_parse(buf_span(&text), came_as, ret_manifest, why);
}

bool image_config_platform(struct layout *l, const struct manifest *m, struct platform *ret_platform)
{
	AUTO_BUF text = BUF_INIT;
	AUTO_JSON config = NULL;

	if (m->kind != MANIFEST_IMAGE || m->entries_len == 0 ||
	    layout_document_load(l, &m->entries[0].digest, &text, NULL) < 0 ||
	    json_parse(buf_span(&text), &config, NULL) < 0)
		return false;
	const char *os = json_member_text(config, "os");
	const char *architecture = json_member_text(config, "architecture");
	return os && architecture &&
	       platform_of_parts(os, json_member_text(config, "os.version"), architecture,
				 json_member_text(config, "variant"), ret_platform, NULL) == 0;
}

/* Digests, each once. */
struct census {
	struct layout *layout;
	struct digest *seen; /* owned */
	size_t len, room;
	uint64_t bytes;
};

/* 1: new, and its size is counted if it is stored. 0: seen before. -errno. */
static int census_take(struct census *c, const struct digest *d)
{
	uint64_t size;

	for (size_t i = 0; i < c->len; i++)
		if (digest_eq(&c->seen[i], d))
			return 0;
	if (c->len >= IMAGE_BLOBS_MAX)
		return -E2BIG;
	if (c->len == c->room) {
		size_t room = c->room ? 2 * c->room : 64;
		struct digest *seen = reallocarray(c->seen, room, sizeof(*seen));
		if (!seen)
			return -ENOMEM;
		c->seen = seen;
		c->room = room;
	}
	c->seen[c->len++] = *d;
	if (layout_blob_size(c->layout, d, &size) == 0)
		c->bytes += size;
	return 1;
}

static int census_walk(struct census *c, const struct descriptor *d, unsigned depth)
{
	struct manifest m;
	int r = census_take(c, &d->digest);

	if (r <= 0 || depth > MANIFEST_NESTING_MAX ||
	    !(media_type_is_index(d->media_type) || media_type_is_manifest(d->media_type)))
		return r < 0 ? r : 0;
	/* What is not there, or is no manifest, has no further content. */
	if (image_manifest(c->layout, &d->digest, d->media_type, &m, NULL) < 0)
		return 0;
	r = 0;
	for (size_t i = 0; r >= 0 && i < m.entries_len; i++)
		r = m.kind == MANIFEST_INDEX ? census_walk(c, &m.entries[i], depth + 1)
					     : census_take(c, &m.entries[i].digest);
	manifest_release(&m);
	return r < 0 ? r : 0;
}

int image_size(struct layout *l, const struct descriptor *d, uint64_t *ret_bytes)
{
	struct census c = {.layout = l};
	int r = census_walk(&c, d, 0);

	free(c.seen);
	if (r == 0)
		*ret_bytes = c.bytes;
	return r;
}

/* A stored manifest by its digest: the descriptor is made from what it says of itself. */
static int find_by_digest(struct layout *l, const struct digest *d, struct descriptor *ret_descriptor,
			  struct reason *why)
{
	struct manifest m;
	struct descriptor found = {.digest = *d};
	int r = image_manifest(l, d, NULL, &m, why);

	if (r < 0)
		return r;
	(void)snprintf(found.media_type, sizeof(found.media_type), "%s", m.media_type);
	found.has_platform = image_config_platform(l, &m, &found.platform);
	manifest_release(&m);
	r = layout_blob_size(l, d, &found.size);
	if (r == 0)
		*ret_descriptor = found;
	return r;
}

int image_find(struct layout *l, const struct names *n, const char *text, bool digests,
	       char full[static REFERENCE_TEXT_SIZE], const char **ret_name, struct descriptor *ret_descriptor,
	       struct reason *why)
{
	struct digest digest;
	struct reference reference;

	if (names_find(n, text, ret_descriptor) == 0) {
		*ret_name = text;
		return 0;
	}
	if (digests && digest_parse(span_str(text), &digest, NULL) == 0) {
		*ret_name = NULL;
		return find_by_digest(l, &digest, ret_descriptor, why);
	}
	if (reference_parse(span_str(text), &reference, NULL) == 0) {
		reference_format(&reference, full);
		if (names_find(n, full, ret_descriptor) == 0) {
			*ret_name = full;
			return 0;
		}
	}
	reason_set(why, "no image has that name");
	return -ENOENT;
}
