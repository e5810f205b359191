/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/names.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/file.h"

#define NAME_KEY "org.opencontainers.image.ref.name"

struct names {
	struct json_t *root;
	struct json_t *manifests; /* root's */
};

/* Go programs write an empty list as null. */
static int root_check(struct names *n, const char *path, struct reason *why)
{
	uint64_t version;
	if (!json_is_object(n->root) || !json_member_u64(n->root, "schemaVersion", &version) || version != 2 ||
	    !json_has(n->root, "manifests")) {
		reason_set(why, "'%s/" LAYOUT_INDEX "' is not an index", path);
		return -EINVAL;
	}
	n->manifests = json_member(n->root, "manifests");
	if (json_is_nothing(n->manifests)) {
		int r = json_set(n->root, "manifests", json_array_make());
		if (r < 0) {
			reason_set(why, "out of memory");
			return r;
		}
		n->manifests = json_member(n->root, "manifests");
	}
	if (!json_is_array(n->manifests)) {
		reason_set(why, "the manifests of '%s/" LAYOUT_INDEX "' are not a list", path);
		return -EINVAL;
	}
	return 0;
}

static int root_make(struct names *n)
{
	n->root = json_object_make();
	int r = n->root ? json_set_u64(n->root, "schemaVersion", 2) : -ENOMEM;
	if (r == 0)
		r = json_set_text(n->root, "mediaType", MEDIA_TYPE_OCI_INDEX);
	if (r == 0)
		r = json_set(n->root, "manifests", json_array_make());
	return r;
}

static int root_load(struct layout *l, struct names *n, struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	struct reason detail = {{0}};
	int r = file_load_at(layout_root_fd(l), LAYOUT_INDEX, NAMES_INDEX_MAX, &text);
	if (r == -ENOENT) {
		r = root_make(n);
		if (r < 0)
			reason_set(why, "out of memory");
		return r;
	}
	if (r == -EFBIG) {
		reason_set(why,
			   "'%s/" LAYOUT_INDEX
			   "' is longer than %u bytes: another program wrote it and must remove names",
			   layout_path(l), NAMES_INDEX_MAX);
		return r;
	}
	if (r < 0) {
		reason_set(why, "cannot read '%s/" LAYOUT_INDEX "': %s", layout_path(l), strerror(-r));
		return r;
	}
	r = json_parse_long(buf_span(&text), NAMES_INDEX_MAX, &n->root, &detail);
	if (r < 0)
		reason_set(why, "'%s/" LAYOUT_INDEX "': %s", layout_path(l), detail.text);
	return r;
}

int names_load(struct layout *l, struct names **ret_names, struct reason *why)
{
	struct names *n = calloc(1, sizeof *n);
	if (!n) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	int r = root_load(l, n, why);
	if (r == 0)
		r = root_check(n, layout_path(l), why);
	if (r < 0) {
		names_free(n);
		return r;
	}
	*ret_names = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	json_free(n->root);
	free(n);
}

size_t names_len(const struct names *n)
{
	return json_len(n->manifests);
}

static const char *entry_name(const struct json_t *entry)
{
	return json_member_text(json_member(entry, "annotations"), NAME_KEY);
}

static bool entry_has_name(const struct json_t *entry, const char *name)
{
	const char *has = entry_name(entry);
	return has && strcmp(has, name) == 0;
}

int names_at(const struct names *n, size_t i, const char **ret_name, struct descriptor *ret_descriptor)
{
	const struct json_t *entry = json_at(n->manifests, i);
	int r = descriptor_parse(entry, ret_descriptor, NULL);
	if (r == 0)
		*ret_name = entry_name(entry);
	return r;
}

int names_find(const struct names *n, const char *name, struct descriptor *ret_descriptor)
{
	for (size_t i = 0; i < names_len(n); i++) {
		const struct json_t *entry = json_at(n->manifests, i);
		if (entry_has_name(entry, name))
			return descriptor_parse(entry, ret_descriptor, NULL);
	}
	return -ENOENT;
}

static bool is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The length of "[::1]" at the start of a name, with "]" ending it; 0 when there is none. */
static size_t bracket_len(struct span name)
{
	size_t i = 1;
	if (name.len == 0 || name.data[0] != '[')
		return 0;
	while (i < name.len && (is_alnum(name.data[i]) || name.data[i] == ':' || name.data[i] == '.'))
		i++;
	return i > 1 && i < name.len && name.data[i] == ']' ? i + 1 : 0;
}

bool name_is_valid(struct span name)
{
	if (name.len == 0 || name.len > NAME_MAX_BYTES)
		return false;
	size_t i = bracket_len(name);
	/* What may precede a separator: a bracket as well as a letter or a digit. */
	bool joined = i > 0, slash = false;
	for (; i < name.len; i++) {
		uint8_t c = name.data[i];
		if (is_alnum(c)) {
			joined = true;
			slash = false;
			continue;
		}
		if (!joined || !strchr("-._:@+/", c) || c == '\0')
			return false;
		/* A component neither begins nor ends with a separator, so none is next to a slash. */
		bool separator_before = i > 0 && !is_alnum(name.data[i - 1]) && name.data[i - 1] != ']';
		if (slash || (c == '/' && separator_before))
			return false;
		slash = c == '/';
	}
	return is_alnum(name.data[name.len - 1]);
}

/* Remove those of the first `len` entries that have the name. Returns their number. */
static size_t name_take_away(struct names *n, const char *name, size_t len)
{
	size_t removed = 0;
	for (size_t i = len; i > 0; i--)
		if (entry_has_name(json_at(n->manifests, i - 1), name) && json_remove_at(n->manifests, i - 1) == 0)
			removed++;
	return removed;
}

static const char *entry_left_out(const struct json_t *entry)
{
	const char *has = json_member_text(json_member(entry, "annotations"), NAMES_LEFT_OUT_KEY);
	return has ? has : "";
}

const char *names_left_out(const struct names *n, size_t i)
{
	return entry_left_out(json_at(n->manifests, i));
}

/* Whether exactly one entry has the name, and describes the content as wanted. */
static bool name_is_set(const struct names *n, const char *name, const struct descriptor *want, const char *left_out)
{
	bool set = false;
	for (size_t i = 0; i < names_len(n); i++) {
		struct descriptor d;
		if (!entry_has_name(json_at(n->manifests, i), name))
			continue;
		if (set || descriptor_parse(json_at(n->manifests, i), &d, NULL) < 0 ||
		    !digest_eq(&d.digest, &want->digest) || d.size != want->size ||
		    strcmp(d.media_type, want->media_type) != 0 ||
		    strcmp(entry_left_out(json_at(n->manifests, i)), left_out) != 0)
			return false;
		set = true;
	}
	return set;
}

static int entry_add(struct names *n, const char *name, const struct descriptor *d, const char *left_out)
{
	struct json_t *entry = descriptor_to_json(d);
	struct json_t *annotations = json_object_make();
	if (!entry) {
		json_free(annotations);
		return -ENOMEM;
	}
	int r = json_set(entry, "annotations", annotations);
	if (r == 0)
		r = json_set_text(annotations, NAME_KEY, name);
	if (r == 0 && left_out[0] != '\0')
		r = json_set_text(annotations, NAMES_LEFT_OUT_KEY, left_out);
	if (r == 0)
		return json_append(n->manifests, entry);
	json_free(entry);
	return r;
}

int names_set(struct names *n, const char *name, const struct descriptor *d, const char *left_out)
{
	left_out = left_out ? left_out : "";
	if (name_is_set(n, name, d, left_out))
		return 0;
	size_t before = names_len(n);
	int r = entry_add(n, name, d, left_out);
	if (r == 0)
		(void)name_take_away(n, name, before);
	return r;
}

int names_remove(struct names *n, const char *name)
{
	return name_take_away(n, name, names_len(n)) > 0 ? 0 : -ENOENT;
}

int names_format(const struct names *n, struct buf *out)
{
	size_t before = out->len;
	int r = json_format(n->root, out);
	if (r == 0 && out->len - before > NAMES_INDEX_MAX) {
		out->len = before;
		return -EFBIG;
	}
	return r;
}
