/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/manifest.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* OCI */
#include "common/oci/inlined.h"

static int refuse(const char *what, struct reason *why)
{
	reason_set(why, "the document is %s", what);
	return -EINVAL;
}

/* Types that servers use for unknown files. */
static const char *const general_types[] = {"application/json", "application/octet-stream", "binary/octet-stream",
					    "text/plain", NULL};

/* `came_as` without parameters such as "; charset=utf-8"; empty if it says nothing specific. */
static int came_as_take(const char *came_as, char ret_type[static MEDIA_TYPE_MAX + 1])
{
	size_t len = came_as ? strcspn(came_as, "; \t") : 0;
	if (len > MEDIA_TYPE_MAX)
		return -EINVAL;
	if (len > 0)
		memcpy(ret_type, came_as, len);
	ret_type[len] = '\0';
	if (str_is_one_of(ret_type, general_types))
		ret_type[0] = '\0';
	return 0;
}

static bool type_fits(enum manifest_kind kind, const char *media_type)
{
	return kind == MANIFEST_INDEX ? media_type_is_index(media_type) : media_type_is_manifest(media_type);
}

static int type_take(const struct json_t *root, const char *came_as, struct manifest *m, struct reason *why)
{
	char served[MEDIA_TYPE_MAX + 1];
	const char *own = json_member_text(root, "mediaType");
	const char *is = m->kind == MANIFEST_INDEX ? "an index" : "an image manifest";
	if (!own && json_has(root, "mediaType"))
		return refuse("invalid: its mediaType is not a string", why);
	if (came_as_take(came_as, served) < 0)
		return refuse("served under a media type that is longer than 255 bytes", why);
	if (own && !type_fits(m->kind, own)) {
		reason_set(why, "the document is %s, but its mediaType is '%.255s'", is, own);
		return -EINVAL;
	}
	if (served[0] != '\0' && (!type_fits(m->kind, served) || (own && strcmp(own, served) != 0))) {
		reason_set(why, "the document is %s ('%s'), but was served as '%s'", is, own ? own : "no mediaType",
			   served);
		return -EINVAL;
	}
	const char *type = m->kind == MANIFEST_INDEX ? MEDIA_TYPE_OCI_INDEX : MEDIA_TYPE_OCI_MANIFEST;
	if (served[0] != '\0')
		type = served;
	if (own)
		type = own;
	memcpy(m->media_type, type, strlen(type) + 1);
	return 0;
}

/* Its kind, from its members: never both. A null list is an empty one, as written by Go's encoders. */
static int kind_take(const struct json_t *root, enum manifest_kind *ret_kind, struct reason *why)
{
	uint64_t version;
	if (!json_is_object(root))
		return refuse("not a JSON object", why);
	bool has_version = json_member_u64(root, "schemaVersion", &version);
	if (has_version && version == 1)
		return refuse(
		    "a manifest of Docker schema 1, which is not supported; push the image again with a current tool",
		    why);
	if (!has_version || version != 2)
		return refuse("not of schemaVersion 2", why);
	bool index = json_has(root, "manifests");
	bool image = json_has(root, "config") || json_has(root, "layers");
	if (index && image)
		return refuse("both a manifest and an index", why);
	if (!index && !image)
		return refuse("neither a manifest nor an index", why);
	*ret_kind = index ? MANIFEST_INDEX : MANIFEST_IMAGE;
	return 0;
}

/* One of at most `room` entries. */
static int entry_take(const struct json_t *value, size_t room, struct manifest *m, struct reason *why)
{
	size_t number = m->entries_len++;
	int r = descriptor_parse(value, &m->entries[number], why);
	const char *data = r == 0 ? json_member_text(value, "data") : NULL;
	if (!data || strlen(data) > INLINED_TEXT_MAX)
		return r;
	if (!m->inlined)
		m->inlined = calloc(room, sizeof m->inlined[0]);
	if (m->inlined)
		m->inlined[number] = strdup(data);
	if (m->inlined && m->inlined[number])
		return 0;
	reason_set(why, "out of memory");
	return -ENOMEM;
}

/* The config of a manifest, if `config`, then the descriptors in `list`. */
static int entries_take(const struct json_t *config, const struct json_t *list, struct manifest *m, struct reason *why)
{
	size_t len = json_len(list);
	if (len > MANIFEST_ENTRIES_MAX) {
		reason_set(why, "the document has %zu entries, more than %d", len, MANIFEST_ENTRIES_MAX);
		return -EINVAL;
	}
	m->entries = calloc(len + 1, sizeof m->entries[0]);
	if (!m->entries) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	int r = config ? entry_take(config, len + 1, m, why) : 0;
	for (size_t i = 0; r == 0 && i < len; i++)
		r = entry_take(json_at(list, i), len + 1, m, why);
	return r;
}

static int content_take(const struct json_t *root, struct manifest *m, struct reason *why)
{
	const struct json_t *config = json_member(root, "config");
	const struct json_t *list = json_member(root, m->kind == MANIFEST_INDEX ? "manifests" : "layers");
	bool none = m->kind == MANIFEST_INDEX ? json_is_nothing(list) : !list || json_is_nothing(list);
	if (!none && !json_is_array(list))
		return refuse(m->kind == MANIFEST_INDEX ? "an index whose manifests are not a list"
							: "a manifest whose layers are not a list",
			      why);
	if (m->kind == MANIFEST_IMAGE && !config)
		return refuse("a manifest without a config", why);
	return entries_take(config, list, m, why);
}

/* Only shown, so an odd one is no reason to refuse the document. */
static void artifact_type_take(const struct json_t *root, struct manifest *m)
{
	const char *type = json_member_text(root, "artifactType");
	if (type && strlen(type) <= MEDIA_TYPE_MAX)
		memcpy(m->artifact_type, type, strlen(type) + 1);
}

int manifest_parse(struct span text, const char *came_as, struct manifest *ret_manifest, struct reason *why)
{
	AUTO_JSON root = NULL;
	struct manifest m = {.entries = NULL};
	int r = json_parse(text, &root, why);
	if (r == 0)
		r = kind_take(root, &m.kind, why);
	if (r == 0)
		r = type_take(root, came_as, &m, why);
	if (r == 0)
		r = content_take(root, &m, why);
	artifact_type_take(root, &m);
	if (r < 0) {
		manifest_release(&m);
		return r;
	}
	*ret_manifest = m;
	return 0;
}

void manifest_release(struct manifest *m)
{
	for (size_t i = 0; m->inlined && i < m->entries_len; i++)
		free(m->inlined[i]);
	free(m->inlined);
	free(m->entries);
	m->inlined = NULL;
	m->entries = NULL;
	m->entries_len = 0;
}

const struct descriptor *manifest_pick(const struct manifest *index, const struct platform *want)
{
	const struct descriptor *best = NULL, *last = NULL;
	uint64_t best_rank = 0;
	unsigned candidates = 0;
	for (size_t i = 0; i < index->entries_len; i++) {
		const struct descriptor *d = &index->entries[i];
		if (d->has_platform && platform_is_of_no_machine(&d->platform))
			continue;
		candidates++;
		last = d;
		uint64_t rank = d->has_platform ? platform_rank(want, &d->platform) : 0;
		if (rank > best_rank) {
			best_rank = rank;
			best = d;
		}
	}
	if (!best && candidates == 1 && !last->has_platform)
		return last;
	return best;
}
