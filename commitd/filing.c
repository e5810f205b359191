/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/filing.h"

/* System */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Base */
#include "common/base/shown.h"

/* OCI */
#include "common/oci/json.h"

/* Own */
#include "commitd/document.h"

#define EMPTY            "{}" /* the bytes of an empty config */
#define MEDIA_TYPE_EMPTY "application/vnd.oci.empty.v1+json"
#define MEDIA_TYPE_BYTES "application/octet-stream"
#define TITLE_KEY        "org.opencontainers.image.title"
#define URL_KEY          "vnd.sluice.url"
#define SCHEMA_VERSION   2
#define MEDIA_TYPE_SIGNS "!#$&-^_.+" /* besides letters and digits: RFC 6838, 4.2 */

/* The type and subtype that a server sent, without parameters and in lower case; or that of mere bytes. */
static void media_type_of(struct span served, char ret_type[static MEDIA_TYPE_MAX + 1])
{
	size_t len = 0, slashes = 0;

	for (; len < served.len && len < MEDIA_TYPE_MAX; len++) {
		uint8_t c = served.data[len];
		if (c == ';' || c == ' ')
			break;
		slashes += c == '/';
		ret_type[len] = (char)tolower(c);
		if (!isalnum(c) && c != '/' && !strchr(MEDIA_TYPE_SIGNS, c))
			slashes = 2;
	}
	ret_type[len] = '\0';
	if (slashes != 1 || ret_type[0] == '/' || ret_type[len - 1] == '/')
		(void)snprintf(ret_type, MEDIA_TYPE_MAX + 1, "%s", MEDIA_TYPE_BYTES);
}

static int add_text(struct json_t *object, const char *key, struct span value)
{
	AUTO_BUF text = BUF_INIT;
	int r = buf_append(&text, value.data, value.len);

	return r == 0 ? json_set_text(object, key, text.data) : r;
}

static int add_annotation(struct json_t *object, const char *key, struct span value)
{
	if (value.len == 0)
		return 0;
	struct json_t *annotations = json_object_make();
	int r = json_set(object, "annotations", annotations);

	return r == 0 ? add_text(annotations, key, value) : r;
}

static int add_config(struct json_t *root)
{
	struct descriptor d = {.media_type = MEDIA_TYPE_EMPTY, .size = strlen(EMPTY)};

	digest_of(HASH_SHA256, EMPTY, strlen(EMPTY), &d.digest);
	struct json_t *config = descriptor_to_json(&d);
	return config ? json_set(root, "config", config) : -ENOMEM;
}

static int add_layer(struct json_t *root, const struct descriptor *file, struct span title)
{
	struct json_t *layers = json_array_make();
	int r = json_set(root, "layers", layers);
	struct json_t *layer = r == 0 ? descriptor_to_json(file) : NULL;

	if (!layer)
		return -ENOMEM;
	r = json_append(layers, layer);
	return r == 0 ? add_annotation(layer, TITLE_KEY, title) : r;
}

static int format(const struct descriptor *file, struct span title, struct span url, struct buf *out)
{
	AUTO_JSON root = json_object_make();
	int r = root ? json_set_u64(root, "schemaVersion", SCHEMA_VERSION) : -ENOMEM;

	if (r == 0)
		r = json_set_text(root, "mediaType", MEDIA_TYPE_OCI_MANIFEST);
	if (r == 0)
		r = json_set_text(root, "artifactType", ARTIFACT_TYPE_FILE);
	if (r == 0)
		r = add_config(root);
	if (r == 0)
		r = add_layer(root, file, title);
	if (r == 0)
		r = add_annotation(root, URL_KEY, url);
	return r == 0 ? json_format(root, out) : r;
}

/* The name that was asked for, or HOST/PATH; empty: there is none that is valid. */
static int parse_name(const struct message *m, const struct source *source, struct naming_edit *e, struct reason *why)
{
	struct span name = m->name.len > 0 ? m->name : source_place(source);
	bool is_valid = name_is_valid(name);

	if (m->name.len > 0 && !is_valid) {
		char shown[SHOWN_SIZE];
		shown_of(m->name, shown);
		reason_set(why, "'%s' is not a name for a file", shown);
		return -EINVAL;
	}
	e->gives_way = m->name.len == 0;
	if (is_valid)
		(void)snprintf(e->name, sizeof(e->name), "%.*s", SPAN_ARG(name));
	else
		naming_local(&e->file, e->name);
	return 0;
}

static int parse_source(struct span text, struct source *ret_source, struct reason *why)
{
	int r = source_parse(text, ret_source, why);

	if (r == 0 && (ret_source->kind != SOURCE_URL || source_plain(ret_source).len < text.len)) {
		reason_set(why, "the source of a file is a URL without query and fragment, which may be secret");
		return -EINVAL;
	}
	return r;
}

int filing_parse(const struct message *m, struct naming_edit *e, struct buf *manifest, struct reason *why)
{
	struct descriptor file = {.size = m->size};
	struct source source;
	int r = digest_parse(m->digest, &file.digest, why);

	if (r == 0)
		r = parse_source(m->source, &source, why);
	if (r == 0 && m->size == SIZE_UNKNOWN) {
		reason_set(why, "the size of the file is missing");
		r = -EINVAL;
	}
	e->is_file = true;
	e->file = file.digest;
	if (r == 0)
		r = parse_name(m, &source, e, why);
	if (r < 0)
		return r;
	media_type_of(m->media_type, file.media_type);
	r = format(&file, m->text, m->source, manifest);
	if (r < 0) {
		reason_set(why, "out of memory");
		return r;
	}
	e->descriptor = (struct descriptor){.media_type = MEDIA_TYPE_OCI_MANIFEST, .size = manifest->len};
	digest_of(HASH_SHA256, manifest->data, manifest->len, &e->descriptor.digest);
	return 0;
}

/* Before anything is written for it: otherwise a request for what is not stored would leave a manifest. */
static enum fail_class check_file(struct layout *l, const struct digest *d, struct reason *why)
{
	char text[DIGEST_TEXT_SIZE];
	uint64_t size;
	int r = layout_blob_size(l, d, &size);

	if (r == 0)
		return FAIL_NONE; /* whether the size is right, the check of the manifest says */
	digest_format(d, text);
	if (r == -ENOENT)
		reason_set(why, "%s is not stored", text);
	else
		reason_set(why, "cannot check %s: %s", text, strerror(-r));
	return r == -ENOENT ? FAIL_NOT_FOUND : FAIL_IO;
}

void filing_store(struct layout *l, struct pins *pins, struct naming_edit *e, struct span manifest)
{
	struct digest empty;
	struct reason inner;

	digest_of(HASH_SHA256, EMPTY, strlen(EMPTY), &empty);
	/* Before they are found to be stored. */
	pins_add(pins, &e->file);
	pins_add(pins, &empty);
	pins_add(pins, &e->descriptor.digest);
	e->outcome = check_file(l, &e->file, &inner);
	if (e->outcome == FAIL_NONE)
		e->outcome = document_store(l, span_str(EMPTY), &inner);
	if (e->outcome == FAIL_NONE)
		e->outcome = document_store(l, manifest, &inner);
	e->is_refused = e->outcome != FAIL_NONE;
	if (e->is_refused)
		reason_set(&e->why, "cannot name '%s': %s", e->name, inner.text);
}
