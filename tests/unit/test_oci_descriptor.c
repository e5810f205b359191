/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: required members, bounds, and the way back to JSON. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/descriptor.h"

#define D    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "\"digest\":\"" D "\",\"size\":7"
#define T50  "tttttttttttttttttttttttttttttttttttttttttttttttttt"
#define T255 T50 T50 T50 T50 T50 "ttttt"
#define OS   "\"platform\":{\"os\":\"linux\",\"architecture\":"

static int parse(const char *text, struct descriptor *d, struct reason *why)
{
	AUTO_JSON v = NULL;
	assert_int_equal(json_parse(span_str(text), &v, NULL), 0);
	return descriptor_parse(v, d, why);
}

static void test_taken(void **state)
{
	static const struct {
		const char *text, *media_type;
		uint64_t size;
		const char *platform; /* NULL: none */
	} rows[] = {
	    {"{" HEAD "}", "", 7, NULL},
	    {"{\"mediaType\":\"a/b\"," HEAD ",\"urls\":[\"http://x\"],\"annotations\":{}}", "a/b", 7, NULL},
	    {"{\"mediaType\":\"" T255 "\"," HEAD "}", T255, 7, NULL},
	    {"{\"digest\":\"" D "\",\"size\":0}", "", 0, NULL},
	    {"{\"digest\":\"" D "\",\"size\":9223372036854775807}", "", INT64_MAX, NULL},
	    {"{" HEAD "," OS "\"x86_64\"}}", "", 7, "linux/amd64"},
	    {"{" HEAD "," OS "\"arm\",\"variant\":\"v6\",\"os.version\":\"1\"}}", "", 7, "linux(1)/arm/v6"},
	    {"{" HEAD "," OS "\"arm\",\"os.version\":\"1 \"}}", "", 7, "linux/arm/v7"},
	    {"{" HEAD "," OS "\"arm64\",\"variant\":\"\"}}", "", 7, "linux/arm64"},
	    {"{" HEAD ",\"platform\":{}}", "", 7, NULL},
	    {"{" HEAD ",\"platform\":{\"os\":\"linux\"}}", "", 7, NULL},
	    {"{" HEAD ",\"platform\":null}", "", 7, NULL},
	    {"{" HEAD "," OS "\"../..\"}}", "", 7, "unknown/unknown"},
	    {"{" HEAD "," OS "\"a b\"}}", "", 7, "unknown/unknown"},
	    {"{" HEAD "," OS "\"arm/v7\"}}", "", 7, "unknown/unknown"},
	    {"{" HEAD "," OS "\"..\"}}", "", 7, "unknown/unknown"},
	    {"{" HEAD "," OS "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}", "", 7, "unknown/unknown"},
	    {"{" HEAD "," OS "\"arm\",\"variant\":\"v7 hard-float\"}}", "", 7, "unknown/unknown"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct descriptor d;
		struct reason why = {""};
		char text[PLATFORM_TEXT_SIZE];
		if (parse(rows[i].text, &d, &why) != 0)
			fail_msg("'%s': %s", rows[i].text, why.text);
		assert_string_equal(d.media_type, rows[i].media_type);
		assert_int_equal(d.size, rows[i].size);
		assert_int_equal(d.has_platform, rows[i].platform != NULL);
		if (d.has_platform) {
			platform_format(&d.platform, text);
			assert_string_equal(text, rows[i].platform);
		}
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
	    "[]",
	    "7",
	    "null",
	    "{}",
	    "{\"size\":7}",
	    "{\"digest\":\"" D "\"}",
	    "{\"digest\":7,\"size\":7}",
	    "{\"digest\":\"" D "0\",\"size\":7}",
	    "{\"digest\":\"sha256:../../x\",\"size\":7}",
	    "{\"digest\":\"md5:00\",\"size\":7}",
	    "{\"digest\":\"" D "\",\"size\":-1}",
	    "{\"digest\":\"" D "\",\"size\":7.0}",
	    "{\"digest\":\"" D "\",\"size\":1e3}",
	    "{\"digest\":\"" D "\",\"size\":\"7\"}",
	    "{\"digest\":\"" D "\",\"size\":null}",
	    "{\"mediaType\":7," HEAD "}",
	    "{\"mediaType\":\"" T255 "t\"," HEAD "}",
	    "{\"mediaType\":\"a b\"," HEAD "}",
	    "{\"mediaType\":\"a\\nb\"," HEAD "}",
	    "{\"mediaType\":\"\\u00e4\"," HEAD "}",
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct descriptor d = {.size = 42};
		struct reason why = {""};
		if (parse(rows[i], &d, &why) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_int_equal(d.size, 42);
		assert_true(why.text[0] != '\0');
	}
}

static void test_to_json(void **state)
{
	static const char *const rows[] = {
	    "{" HEAD "}",
	    "{\"mediaType\":\"a/b\"," HEAD "}",
	    "{" HEAD ",\"platform\":{\"architecture\":\"amd64\",\"os\":\"linux\"}}",
	    "{" HEAD ",\"platform\":{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v6\"}}",
	    "{" HEAD
	    ",\"platform\":{\"architecture\":\"arm\",\"os\":\"windows\",\"os.version\":\"1.2\",\"variant\":\"v7\"}}",
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		struct descriptor d;
		assert_int_equal(parse(rows[i], &d, NULL), 0);
		AUTO_JSON v = descriptor_to_json(&d);
		assert_int_equal(json_format(v, &out), 0);
		assert_string_equal(out.data, rows[i]);
	}
}

static void test_media_types(void **state)
{
	static const struct {
		const char *text;
		bool index, manifest;
	} rows[] = {
	    {"application/vnd.oci.image.index.v1+json", true, false},
	    {"application/vnd.oci.image.manifest.v1+json", false, true},
	    {"application/vnd.docker.distribution.manifest.list.v2+json", true, false},
	    {"application/vnd.docker.distribution.manifest.v2+json", false, true},
	    {"application/vnd.docker.distribution.manifest.v1+json", false, false},
	    {"application/vnd.oci.image.config.v1+json", false, false},
	    {"", false, false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		assert_int_equal(media_type_is_index(rows[i].text), rows[i].index);
		assert_int_equal(media_type_is_manifest(rows[i].text), rows[i].manifest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_to_json),
	    cmocka_unit_test(test_media_types),
	};
	return cmocka_run_group_tests_name("descriptor", tests, NULL, NULL);
}
