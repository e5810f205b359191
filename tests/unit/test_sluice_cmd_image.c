/* SPDX-License-Identifier: Apache-2.0 */
/* What a manifest is of, its platform, and the sizes that manifests give. */

/* Own */
#include "tests/unit/unit_store.h"

/* The code under test */
#include "common/store/walk.h"
#include "sluice/cmd/image.h"

#define CONFIG "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}"

static void test_kind(void **state)
{
	static const struct {
		const char *more, *config;
		enum image_kind want;
		const char *name;
	} rows[] = {
	    {"", UNIT_CONFIG, IMAGE_IMAGE, "image"},
	    {"", "application/vnd.docker.container.image.v1+json", IMAGE_IMAGE, "image"},
	    {"", "application/vnd.cncf.helm.config.v1+json", IMAGE_ARTIFACT, "artifact"},
	    {"\"artifactType\":\"application/vnd.x\",", UNIT_CONFIG, IMAGE_ARTIFACT, "artifact"},
	    {"\"artifactType\":\"application/vnd.sluice.file.v1\",", "application/vnd.oci.empty.v1+json", IMAGE_FILE,
	     "file"},
	    {"", NULL, IMAGE_INDEX, "index"},
	};
	struct unit_store s;
	(void)state;
	unit_store_open(&s);
	for (size_t i = 0; i < LEN(rows); i++) {
		struct descriptor config = unit_describe("{}", rows[i].config ? rows[i].config : "");
		struct descriptor d = unit_store_document(&s, rows[i].more, rows[i].config ? &config : NULL, NULL, 0);
		struct manifest m;
		assert_int_equal(walk_load(s.layout, &d, 0, &m, NULL), 0);
		assert_int_equal(image_kind_of(&m), rows[i].want);
		assert_string_equal(image_kind_name(rows[i].want), rows[i].name);
		manifest_release(&m);
	}
	assert_null(image_kind_name(IMAGE_UNKNOWN));
	unit_store_close(&s);
}

static void test_describe(void **state)
{
	struct unit_store s;
	struct descriptor found;
	struct reason why;
	char text[PLATFORM_TEXT_SIZE];
	(void)state;
	unit_store_open(&s);
	struct descriptor config = unit_store_blob(&s, CONFIG, UNIT_CONFIG);
	struct descriptor image = unit_store_document(&s, "", &config, NULL, 0);
	assert_int_equal(image_describe(s.layout, &image.digest, &found, &why), 0);
	assert_string_equal(found.media_type, MEDIA_TYPE_OCI_MANIFEST);
	assert_int_equal(found.size, image.size);
	assert_true(found.has_platform);
	platform_format(&found.platform, text);
	assert_string_equal(text, "linux/arm64");
	assert_int_equal(image_describe(s.layout, &config.digest, &found, &why), -EINVAL);
	unit_store_close(&s);
}

static void test_config_that_is_not_stored(void **state)
{
	struct unit_store s;
	struct platform p;
	struct manifest m;
	(void)state;
	unit_store_open(&s);
	struct descriptor config = unit_describe(CONFIG, UNIT_CONFIG);
	struct descriptor image = unit_store_document(&s, "", &config, NULL, 0);
	assert_int_equal(walk_load(s.layout, &image, 0, &m, NULL), 0);
	assert_false(image_config_platform(s.layout, &m, &p));
	manifest_release(&m);
	unit_store_close(&s);
}

static void test_described_size(void **state)
{
	struct unit_store s;
	(void)state;
	unit_store_open(&s);
	struct descriptor config = unit_describe("{}", UNIT_CONFIG), layer = unit_describe("not stored", "x/l");
	struct descriptor image = unit_store_document(&s, "", &config, &layer, 1);
	struct descriptor index = unit_store_document(&s, "", NULL, &image, 1), other = unit_describe("other", "x/l");
	assert_int_equal(names_set(s.names, "a", &other, NULL), 0); /* cannot be read */
	assert_int_equal(names_set(s.names, "b", &index, NULL), 0);
	assert_int_equal(image_described_size(s.layout, s.names, &layer.digest), layer.size);
	assert_int_equal(image_described_size(s.layout, s.names, &index.digest), index.size);
	assert_int_equal(image_described_size(s.layout, s.names, &other.digest), other.size);
	other.digest.bytes[0] ^= 1;
	assert_true(image_described_size(s.layout, s.names, &other.digest) == SIZE_UNKNOWN);
	unit_store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kind),
	    cmocka_unit_test(test_describe),
	    cmocka_unit_test(test_config_that_is_not_stored),
	    cmocka_unit_test(test_described_size),
	};
	return cmocka_run_group_tests_name("sluice image", tests, NULL, NULL);
}
