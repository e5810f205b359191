/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/image.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Store */
#include "common/store/walk.h"

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

struct census {
	struct layout *layout;
	uint64_t bytes;
};

static int count_node(void *self, const struct walk_node *node, struct reason *why)
{
	struct census *c = self;
	uint64_t size;

	(void)why;
	if (layout_blob_size(c->layout, &node->descriptor->digest, &size) == 0)
		c->bytes += size;
	return 0;
}

/* Missing documents, and those that are not manifests, have no further content. */
static int pass_over(void *self, const struct walk_node *node, int error, struct reason *why)
{
	(void)self;
	(void)node;
	(void)why;
	return error == -ENOMEM ? error : 0;
}

int image_size(struct layout *l, const struct descriptor *d, uint64_t *ret_bytes)
{
	struct census c = {.layout = l};
	const struct walk_hooks hooks = {.visit = count_node, .fault = pass_over, .self = &c};
	struct descriptor root = *d;
	struct walk *w = NULL;
	int r = walk_new(l, &hooks, &w);

	if (r == 0)
		r = walk_from(w, &root, NULL);
	walk_free(w);
	if (r == 0)
		*ret_bytes = c.bytes;
	return r;
}

/* A stored manifest by its digest; the descriptor is made from its content. */
static int find_by_digest(struct layout *l, const struct digest *d, struct descriptor *ret_descriptor,
			  struct reason *why)
{
	struct manifest m;
	struct descriptor found = {.digest = *d};
	int r = walk_load(l, &found, 0, &m, why);

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
