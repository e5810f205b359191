/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that a test fills with blobs, manifests and names, and then reads.
 */
#ifndef SLUICE_TESTS_UNIT_STORE_H
#define SLUICE_TESTS_UNIT_STORE_H

#include "tests/unit/unit.h"

#include "common/oci/manifest.h"
#include "common/store/layout.h"
#include "common/store/names.h"

#define UNIT_CONFIG "application/vnd.oci.image.config.v1+json"

struct unit_store {
	struct unit_dir dir;
	struct layout *layout;
	struct names *names;
};

static inline void unit_store_open(struct unit_store *s)
{
	struct reason why;

	unit_dir_make(&s->dir);
	assert_int_equal(mkdirat(s->dir.fd, "blobs", 0755), 0);
	assert_int_equal(mkdirat(s->dir.fd, "blobs/sha256", 0755), 0);
	unit_write_text(&s->dir, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_int_equal(layout_open(s->dir.path, LAYOUT_READER, &s->layout, &why), 0);
	assert_int_equal(names_load(s->layout, &s->names, &why), 0);
}

static inline void unit_store_close(struct unit_store *s)
{
	names_free(s->names);
	layout_free(s->layout);
	unit_dir_remove(&s->dir);
}

static inline struct descriptor unit_describe(const char *text, const char *media_type)
{
	struct descriptor d = {.size = strlen(text)};

	digest_of(HASH_SHA256, text, strlen(text), &d.digest);
	(void)snprintf(d.media_type, sizeof(d.media_type), "%s", media_type);
	return d;
}

/* Store a text as a blob. */
static inline struct descriptor unit_store_blob(const struct unit_store *s, const char *text, const char *media_type)
{
	struct descriptor d = unit_describe(text, media_type);
	char hex[DIGEST_TEXT_SIZE], name[FILE_PATH_SIZE];

	digest_format_hex(&d.digest, hex);
	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	unit_write_text(&s->dir, name, text);
	return d;
}

static inline void unit_append_descriptor(struct buf *out, const char *before, const struct descriptor *d)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&d->digest, digest);
	assert_int_equal(buf_appendf(out, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu}", before,
				     d->media_type, digest, (unsigned long long)d->size),
			 0);
}

/* Store a manifest of a config and layers, with more members; or, without a config, an index. */
static inline struct descriptor unit_store_document(const struct unit_store *s, const char *more,
						    const struct descriptor *config, const struct descriptor *entries,
						    size_t len)
{
	AUTO_BUF text = BUF_INIT;

	assert_int_equal(buf_appendf(&text, "{\"schemaVersion\":2,%s", more), 0);
	if (config)
		unit_append_descriptor(&text, "\"config\":", config);
	assert_int_equal(buf_append_str(&text, config ? ",\"layers\":[" : "\"manifests\":["), 0);
	for (size_t i = 0; i < len; i++)
		unit_append_descriptor(&text, i > 0 ? "," : "", &entries[i]);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	return unit_store_blob(s, text.data, config ? MEDIA_TYPE_OCI_MANIFEST : MEDIA_TYPE_OCI_INDEX);
}

#endif
