/* SPDX-License-Identifier: Apache-2.0 */
/* Images in the store: size, platform, and lookup by name. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/store/walk.h"
#include "sluice/cmd/image.h"

#define CONFIG        "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}"
#define LAYER         "a layer, and the same once more"
#define TEXT_MAX_HERE 4096

struct store {
	struct unit_dir dir;
	struct layout *layout;
	struct names *names;
	struct descriptor image, index;
};

static void blob(const struct store *s, const char *text, char ret_digest[static DIGEST_TEXT_SIZE])
{
	char name[FILE_PATH_SIZE];
	struct digest d;

	digest_of(HASH_SHA256, text, strlen(text), &d);
	digest_format(&d, ret_digest);
	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", strchr(ret_digest, ':') + 1);
	unit_write_text(&s->dir, name, text);
}

static void describe(const char *digest, const char *media_type, size_t size, struct descriptor *ret)
{
	*ret = (struct descriptor){.size = size};
	assert_int_equal(digest_parse(span_str(digest), &ret->digest, NULL), 0);
	(void)snprintf(ret->media_type, sizeof(ret->media_type), "%s", media_type);
}

/* An index of one image, whose two layers are one blob. */
static size_t make_image(struct store *s)
{
	char config[DIGEST_TEXT_SIZE], layer[DIGEST_TEXT_SIZE], manifest[DIGEST_TEXT_SIZE], index[DIGEST_TEXT_SIZE];
	char text[TEXT_MAX_HERE];
	size_t total = strlen(CONFIG) + strlen(LAYER);

	blob(s, CONFIG, config);
	blob(s, LAYER, layer);
	(void)snprintf(text, sizeof(text),
		       "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"config\":{\"mediaType\":"
		       "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":["
		       "{\"mediaType\":\"x/y\",\"digest\":\"%s\",\"size\":%zu},"
		       "{\"mediaType\":\"x/y\",\"digest\":\"%s\",\"size\":%zu}]}",
		       config, strlen(CONFIG), layer, strlen(LAYER), layer, strlen(LAYER));
	blob(s, text, manifest);
	describe(manifest, MEDIA_TYPE_OCI_MANIFEST, strlen(text), &s->image);
	total += strlen(text);
	(void)snprintf(text, sizeof(text),
		       "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":[{\"mediaType\":"
		       "\"" MEDIA_TYPE_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%zu}]}",
		       manifest, (size_t)s->image.size);
	blob(s, text, index);
	describe(index, MEDIA_TYPE_OCI_INDEX, strlen(text), &s->index);
	return total + strlen(text);
}

static void store_open(struct store *s)
{
	struct reason why;

	unit_dir_make(&s->dir);
	assert_int_equal(mkdirat(s->dir.fd, "blobs", 0755), 0);
	assert_int_equal(mkdirat(s->dir.fd, "blobs/sha256", 0755), 0);
	assert_int_equal(mkdirat(s->dir.fd, "ingest", 0755), 0);
	unit_write_text(&s->dir, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_int_equal(layout_open(s->dir.path, LAYOUT_READER, &s->layout, &why), 0);
	assert_int_equal(names_load(s->layout, &s->names, &why), 0);
}

static void store_close(struct store *s)
{
	names_free(s->names);
	layout_free(s->layout);
	unit_dir_remove(&s->dir);
}

static void test_size_counts_each_blob_once(void **state)
{
	struct store s;
	uint64_t bytes;
	(void)state;
	store_open(&s);
	size_t total = make_image(&s);
	assert_int_equal(image_size(s.layout, &s.index, &bytes), 0);
	assert_int_equal(bytes, total);
	assert_int_equal(image_size(s.layout, &s.image, &bytes), 0);
	assert_int_equal(bytes, total - s.index.size);
	store_close(&s);
}

static void test_config_platform(void **state)
{
	struct store s;
	struct manifest m;
	struct platform p;
	char text[PLATFORM_TEXT_SIZE];
	(void)state;
	store_open(&s);
	(void)make_image(&s);
	assert_int_equal(walk_load(s.layout, &s.image, 0, &m, NULL), 0);
	assert_true(image_config_platform(s.layout, &m, &p));
	platform_format(&p, text);
	assert_string_equal(text, "linux/arm64");
	m.entries[0].digest.bytes[0] ^= 1;
	assert_false(image_config_platform(s.layout, &m, &p));
	manifest_release(&m);
	store_close(&s);
}

static void test_find(void **state)
{
	static const struct {
		const char *text;
		bool digests;
		int r;
		const char *name;
	} rows[] = {
	    {"docker.io/library/alpine:latest", false, 0, "docker.io/library/alpine:latest"},
	    {"alpine", false, 0, "docker.io/library/alpine:latest"},
	    {"mine", false, 0, "mine"},
	    {"mine:latest", false, -ENOENT, NULL},
	    {"nobody", true, -ENOENT, NULL},
	    {"No Reference", true, -ENOENT, NULL},
	    {"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", true, -ENOENT, NULL},
	};
	struct store s;
	(void)state;
	store_open(&s);
	(void)make_image(&s);
	assert_int_equal(names_set(s.names, "docker.io/library/alpine:latest", &s.index, NULL), 0);
	assert_int_equal(names_set(s.names, "mine", &s.image, NULL), 0);
	for (size_t i = 0; i < LEN(rows); i++) {
		char full[REFERENCE_TEXT_SIZE];
		const char *name = NULL;
		struct descriptor d;
		struct reason why = {""};
		int r = image_find(s.layout, s.names, rows[i].text, rows[i].digests, full, &name, &d, &why);
		if (r != rows[i].r || (r == 0 && strcmp(name, rows[i].name) != 0) || (r < 0 && !why.text[0]))
			fail_msg("'%s': %d, '%s'", rows[i].text, r, name ? name : "");
	}
	store_close(&s);
}

static void test_find_by_digest(void **state)
{
	struct store s;
	char text[DIGEST_TEXT_SIZE], full[REFERENCE_TEXT_SIZE];
	const char *name;
	struct descriptor d;
	struct reason why;
	(void)state;
	store_open(&s);
	(void)make_image(&s);
	digest_format(&s.image.digest, text);
	assert_int_equal(image_find(s.layout, s.names, text, true, full, &name, &d, &why), 0);
	assert_null(name);
	assert_string_equal(d.media_type, MEDIA_TYPE_OCI_MANIFEST);
	assert_int_equal(d.size, s.image.size);
	assert_true(d.has_platform);
	blob(&s, LAYER, text);
	assert_int_equal(image_find(s.layout, s.names, text, true, full, &name, &d, &why), -EINVAL);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_size_counts_each_blob_once),
	    cmocka_unit_test(test_config_platform),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_find_by_digest),
	};
	return cmocka_run_group_tests_name("sluice image", tests, NULL, NULL);
}
