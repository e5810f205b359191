/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are given only to complete images, and the existing index is never damaged.
 */

/* Own */
#include "tests/unit/test_commitd_store.h"

/* System */
#include <inttypes.h>

/* OCI */
#include "common/store/names.h"
#include "common/store/walk.h"

/* The code under test */
#include "commitd/naming.h"

#define NAME   "localhost:5000/a/b:latest"
#define CONFIG "{\"architecture\":\"amd64\",\"os\":\"linux\"}"
#define LAYER  "layer bytes"

static struct store st;
static char index_path[PATH_SIZE];

static int setup(void **state)
{
	(void)state;
	store_open(&st);
	(void)snprintf(index_path, sizeof(index_path), "%.200s/index.json", st.path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(&st);
	return 0;
}

static void append_descriptor(struct buf *out, const char *media_type, const struct digest *d, uint64_t size)
{
	char text[DIGEST_TEXT_SIZE];
	digest_format(d, text);
	assert_int_equal(
	    buf_appendf(out, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%" PRIu64 "}", media_type, text, size),
	    0);
}

/* A stored manifest of one config and one layer, which are not stored. */
static struct descriptor manifest_make(const char *config, const char *layer)
{
	AUTO_BUF text = BUF_INIT;
	struct digest config_digest = digest_of_text(config), layer_digest = digest_of_text(layer);
	assert_int_equal(
	    buf_append_str(&text, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"config\":"), 0);
	append_descriptor(&text, "application/vnd.oci.image.config.v1+json", &config_digest, strlen(config));
	assert_int_equal(buf_append_str(&text, ",\"layers\":["), 0);
	append_descriptor(&text, "application/vnd.oci.image.layer.v1.tar+gzip", &layer_digest, strlen(layer));
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .digest = blob_make(&st, text.data)};
	d.size = text.len;
	return d;
}

static struct descriptor index_make(const struct descriptor *inner)
{
	AUTO_BUF text = BUF_INIT;
	assert_int_equal(
	    buf_append_str(&text, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":["),
	    0);
	append_descriptor(&text, inner->media_type, &inner->digest, inner->size);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_INDEX, .digest = blob_make(&st, text.data)};
	d.size = text.len;
	return d;
}

static bool is_named(const char *name, const struct digest *d)
{
	struct names *n = NULL;
	struct descriptor found;
	assert_int_equal(names_load(st.layout, &n, NULL), 0);
	int r = names_find(n, name, &found);
	names_free(n);
	return r == 0 && digest_eq(&found.digest, d);
}

static void test_whole_image(void **state)
{
	struct reason why;
	bool changed = false;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	assert_int_equal(naming_set(st.layout, NAME, &d, &why), FAIL_NONE);
	assert_true(is_named(NAME, &d.digest));
	assert_int_equal(naming_set(st.layout, NAME, &d, &why), FAIL_NONE);
	assert_int_equal(naming_remove(st.layout, NAME, &changed, &why), FAIL_NONE);
	assert_true(changed);
	assert_false(is_named(NAME, &d.digest));
	assert_int_equal(naming_remove(st.layout, NAME, &changed, &why), FAIL_NONE);
	assert_false(changed);
}

static void test_missing_fields_are_filled_in(void **state)
{
	struct reason why;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	uint64_t size = d.size;
	d.size = SIZE_UNKNOWN;
	d.media_type[0] = '\0';
	assert_int_equal(naming_set(st.layout, NAME, &d, &why), FAIL_NONE);
	assert_int_equal(d.size, size);
	assert_string_equal(d.media_type, MEDIA_TYPE_OCI_MANIFEST);
}

/* After a refusal the index is unchanged, byte for byte. */
static void refuse(struct descriptor d, enum fail_class want, const char *text)
{
	AUTO_BUF before = BUF_INIT;
	AUTO_BUF after = BUF_INIT;
	struct reason why;
	assert_int_equal(file_load_at(AT_FDCWD, index_path, 1u << 20, &before), 0);
	assert_int_equal(naming_set(st.layout, NAME, &d, &why), want);
	assert_non_null(strstr(why.text, text));
	assert_int_equal(file_load_at(AT_FDCWD, index_path, 1u << 20, &after), 0);
	assert_true(span_eq(buf_span(&before), buf_span(&after)));
}

static void test_missing_layer(void **state)
{
	char layer_text[DIGEST_TEXT_SIZE];
	struct digest layer = digest_of_text(LAYER);
	(void)state;
	digest_format(&layer, layer_text);
	(void)blob_make(&st, CONFIG);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	refuse(d, FAIL_NOT_FOUND, layer_text);
	refuse(index_make(&d), FAIL_NOT_FOUND, layer_text);
}

static void test_missing_manifest(void **state)
{
	char text[DIGEST_TEXT_SIZE];
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .digest = digest_of_text("nothing"), .size = 7};
	(void)state;
	digest_format(&d.digest, text);
	refuse(d, FAIL_NOT_FOUND, text);
}

static void test_layer_of_another_size(void **state)
{
	char path[PATH_SIZE];
	struct digest layer = digest_of_text(LAYER);
	(void)state;
	(void)blob_make(&st, CONFIG);
	blob_of(&st, &layer, path);
	write_text(path, "cut");
	refuse(manifest_make(CONFIG, LAYER), FAIL_BAD_DATA, "3 bytes");
}

static void test_not_a_manifest(void **state)
{
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .digest = blob_make(&st, "{\"x\":"), .size = 5};
	(void)state;
	refuse(d, FAIL_BAD_DATA, "is not a manifest");
	d.size = 6;
	refuse(d, FAIL_BAD_DATA, "its descriptor says 6");
}

static void test_damaged_manifest(void **state)
{
	char path[PATH_SIZE], hex[DIGEST_TEXT_SIZE];
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER), other = manifest_make(CONFIG, CONFIG);
	AUTO_BUF text = BUF_INIT;
	blob_of(&st, &other.digest, path);
	assert_int_equal(file_load_at(AT_FDCWD, path, 1u << 20, &text), 0);
	blob_of(&st, &d.digest, path);
	write_text(path, text.data);
	digest_format_hex(&d.digest, hex);
	d.size = SIZE_UNKNOWN;
	refuse(d, FAIL_BAD_DATA, hex);
}

static void test_depth(void **state)
{
	struct reason why;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	for (unsigned depth = 0; depth < MANIFEST_NESTING_MAX; depth++)
		d = index_make(&d);
	assert_int_equal(naming_set(st.layout, NAME, &d, &why), FAIL_NONE);
	refuse(index_make(&d), FAIL_BAD_DATA, "nested deeper");
}

static void test_broken_index_is_kept(void **state)
{
	static const char *const broken[] = {"", "{", "[]", "{\"schemaVersion\":2}{}", "{\"manifests\":7}"};
	struct reason why;
	bool changed = false;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		write_file(index_path, broken[i], strlen(broken[i]), 0644);
		refuse(d, FAIL_BAD_DATA, "index.json");
		assert_int_equal(naming_remove(st.layout, NAME, &changed, &why), FAIL_BAD_DATA);
		assert_true(file_is(index_path, broken[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_whole_image, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing_fields_are_filled_in, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing_layer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing_manifest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_layer_of_another_size, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_a_manifest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_damaged_manifest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_broken_index_is_kept, setup, teardown),
	};
	return cmocka_run_group_tests_name("commitd naming", tests, NULL, NULL);
}
