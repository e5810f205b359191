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

static bool config_is_of_image(const struct manifest *m)
{
	static const char *const types[] = {"", "application/vnd.oci.image.config.v1+json",
					    "application/vnd.docker.container.image.v1+json", NULL};

	return m->entries_len > 0 && str_is_one_of(m->entries[0].media_type, types);
}

enum image_kind image_kind_of(const struct manifest *m)
{
	if (m->kind == MANIFEST_INDEX)
		return IMAGE_INDEX;
	if (strcmp(m->artifact_type, ARTIFACT_TYPE_FILE) == 0)
		return IMAGE_FILE;
	return *m->artifact_type == '\0' && config_is_of_image(m) ? IMAGE_IMAGE : IMAGE_ARTIFACT;
}

const char *image_kind_name(enum image_kind kind)
{
	static const char *const names[] = {
	    [IMAGE_UNKNOWN] = NULL,        [IMAGE_IMAGE] = "image", [IMAGE_INDEX] = "index",
	    [IMAGE_ARTIFACT] = "artifact", [IMAGE_FILE] = "file",
	};

	return names[kind];
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

int image_describe(struct layout *l, const struct digest *d, struct descriptor *ret_descriptor, struct reason *why)
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

struct sought {
	const struct digest *digest;
	uint64_t size;
};

static int compare_node(void *self, const struct walk_node *node, struct reason *why)
{
	struct sought *s = self;

	(void)why;
	if (node->descriptor->size == SIZE_UNKNOWN || !digest_eq(&node->descriptor->digest, s->digest))
		return 0;
	s->size = node->descriptor->size;
	return 1;
}

uint64_t image_described_size(struct layout *l, const struct names *n, const struct digest *d)
{
	struct sought s = {.digest = d, .size = SIZE_UNKNOWN};
	const struct walk_hooks hooks = {.visit = compare_node, .fault = walk_pass_over, .self = &s};
	struct descriptor root;
	struct walk *w = NULL;
	const char *name;

	if (walk_new(l, &hooks, &w) < 0)
		return SIZE_UNKNOWN;
	for (size_t i = 0; s.size == SIZE_UNKNOWN && i < names_len(n); i++)
		if (names_at(n, i, &name, &root) == 0)
			(void)walk_from(w, &root, NULL);
	walk_free(w);
	return s.size;
}
