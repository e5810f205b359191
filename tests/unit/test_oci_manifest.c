/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and indexes: how they are told apart (CVE-2021-41190), and the choice of a platform. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/manifest.h"

#define HEX63             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define DESC(digit, more) "{\"digest\":\"sha256:" HEX63 digit "\",\"size\":7" more "}"
#define V2                "\"schemaVersion\":2"
#define CONFIG            "\"config\":" DESC("c", "")
#define LAYERS            "\"layers\":[" DESC("1", "") "," DESC("2", "") "]"
#define LIST              "\"manifests\":[" DESC("1", "") "]"
#define TYPE(t)           "\"mediaType\":\"" t "\""
#define IMAGE             "{" V2 "," CONFIG "," LAYERS "}"
#define INDEX             "{" V2 "," LIST "}"
#define OI                MEDIA_TYPE_OCI_INDEX
#define OM                MEDIA_TYPE_OCI_MANIFEST
#define DI                MEDIA_TYPE_DOCKER_INDEX
#define DM                MEDIA_TYPE_DOCKER_MANIFEST

static void test_taken(void **state)
{
	static const struct {
		const char *text, *came_as;
		enum manifest_kind kind;
		const char *media_type;
		size_t entries;
	} rows[] = {
	    {IMAGE, NULL, MANIFEST_IMAGE, OM, 3},
	    {IMAGE, "", MANIFEST_IMAGE, OM, 3},
	    {IMAGE, DM, MANIFEST_IMAGE, DM, 3},
	    {IMAGE, OM "; charset=utf-8", MANIFEST_IMAGE, OM, 3},
	    {"{" V2 "," TYPE(DM) "," CONFIG "," LAYERS "}", DM, MANIFEST_IMAGE, DM, 3},
	    {"{" V2 "," TYPE(DM) "," CONFIG "," LAYERS "}", NULL, MANIFEST_IMAGE, DM, 3},
	    {"{" V2 "," TYPE(DM) "," CONFIG "," LAYERS "}", "application/json", MANIFEST_IMAGE, DM, 3},
	    {"{" V2 "," CONFIG ",\"layers\":[]}", NULL, MANIFEST_IMAGE, OM, 1},
	    {"{" V2 "," CONFIG ",\"layers\":null}", NULL, MANIFEST_IMAGE, OM, 1},
	    {"{" V2 "," CONFIG "}", NULL, MANIFEST_IMAGE, OM, 1},
	    {IMAGE, "application/json", MANIFEST_IMAGE, OM, 3},
	    {IMAGE, "text/plain; charset=utf-8", MANIFEST_IMAGE, OM, 3},
	    {INDEX, "application/octet-stream", MANIFEST_INDEX, OI, 1},
	    {INDEX, "binary/octet-stream", MANIFEST_INDEX, OI, 1},
	    {"{" V2 ",\"manifests\":null}", NULL, MANIFEST_INDEX, OI, 0},
	    {INDEX, NULL, MANIFEST_INDEX, OI, 1},
	    {INDEX, DI, MANIFEST_INDEX, DI, 1},
	    {"{" V2 "," TYPE(OI) ",\"manifests\":[]}", OI, MANIFEST_INDEX, OI, 0},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct manifest m;
		struct reason why = {""};
		if (manifest_parse(span_str(rows[i].text), rows[i].came_as, &m, &why) != 0)
			fail_msg("%zu: %s", i, why.text);
		assert_int_equal(m.kind, rows[i].kind);
		assert_string_equal(m.media_type, rows[i].media_type);
		assert_int_equal(m.entries_len, rows[i].entries);
		/* The config first, then the layers in order. */
		if (m.kind == MANIFEST_IMAGE && m.entries_len == 3) {
			assert_int_equal(m.entries[0].digest.bytes[31], 0xec);
			assert_int_equal(m.entries[1].digest.bytes[31], 0xe1);
			assert_int_equal(m.entries[2].digest.bytes[31], 0xe2);
		}
		manifest_release(&m);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *text, *came_as;
	} rows[] = {
	    {"empty", "", NULL},
	    {"not JSON", "x", NULL},
	    {"array", "[]", NULL},
	    {"neither", "{" V2 "}", NULL},
	    {"both", "{" V2 "," LIST "," CONFIG "," LAYERS "}", NULL},
	    {"manifests and layers", "{" V2 "," LIST "," LAYERS "}", NULL},
	    {"manifests and config", "{" V2 "," LIST "," CONFIG "}", NULL},
	    {"manifests and null layers", "{" V2 "," LIST ",\"layers\":null}", NULL},
	    {"no version", "{" CONFIG "," LAYERS "}", NULL},
	    {"version 1", "{\"schemaVersion\":1," CONFIG "," LAYERS "}", NULL},
	    {"schema 1",
	     "{\"schemaVersion\":1,\"name\":\"a\",\"tag\":\"1\",\"architecture\":\"amd64\",\"fsLayers\":[],\"history\":"
	     "[]}",
	     "application/vnd.docker.distribution.manifest.v1+prettyjws"},
	    {"version as text", "{\"schemaVersion\":\"2\"," CONFIG "," LAYERS "}", NULL},
	    {"version 2.0", "{\"schemaVersion\":2.0," CONFIG "," LAYERS "}", NULL},
	    {"no config", "{" V2 "," LAYERS "}", NULL},
	    {"neither config nor layers, but null", "{" V2 ",\"layers\":null}", NULL},
	    {"layers is not a list", "{" V2 "," CONFIG ",\"layers\":{}}", NULL},
	    {"manifests is not a list", "{" V2 ",\"manifests\":{}}", NULL},
	    {"config is not a descriptor", "{" V2 ",\"config\":{}," LAYERS "}", NULL},
	    {"layer is not a descriptor", "{" V2 "," CONFIG ",\"layers\":[7]}", NULL},
	    {"negative size", "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"sha256:" HEX63 "0\",\"size\":-1}]}", NULL},
	    {"image that says index", "{" V2 "," TYPE(OI) "," CONFIG "," LAYERS "}", NULL},
	    {"index that says image", "{" V2 "," TYPE(OM) "," LIST "}", NULL},
	    {"says something else", "{" V2 "," TYPE("text/html") "," CONFIG "," LAYERS "}", NULL},
	    {"says a number", "{" V2 ",\"mediaType\":7," CONFIG "," LAYERS "}", NULL},
	    {"image that came as index", IMAGE, OI},
	    {"index that came as image", INDEX, DM},
	    {"came as another image type", "{" V2 "," TYPE(OM) "," CONFIG "," LAYERS "}", DM},
	    {"came as something else", IMAGE, "text/html"},
	    {"both, under a general type", "{" V2 "," LIST "," CONFIG "}", "application/json"},
	    {"duplicate key", "{" V2 "," CONFIG "," LAYERS "," LAYERS "}", NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct manifest m = {.entries_len = 42};
		struct reason why = {""};
		if (manifest_parse(span_str(rows[i].text), rows[i].came_as, &m, &why) != -EINVAL)
			fail_msg("%s was taken", rows[i].name);
		assert_int_equal(m.entries_len, 42);
		assert_true(why.text[0] != '\0');
	}
}

static int parse_layers(size_t count)
{
	AUTO_BUF b = BUF_INIT;
	struct manifest m;
	struct reason why;
	assert_int_equal(buf_append_str(&b, "{" V2 "," CONFIG ",\"layers\":["), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_append_str(&b, i > 0 ? "," DESC("1", "") : DESC("1", "")), 0);
	assert_int_equal(buf_append_str(&b, "]}"), 0);
	int r = manifest_parse(buf_span(&b), NULL, &m, &why);
	if (r == 0) {
		assert_int_equal(m.entries_len, count + 1);
		manifest_release(&m);
	}
	return r;
}

static void test_limits(void **state)
{
	(void)state;
	struct manifest m;
	assert_int_equal(parse_layers(MANIFEST_ENTRIES_MAX), 0);
	assert_int_equal(parse_layers(MANIFEST_ENTRIES_MAX + 1), -EINVAL);
	char *text = calloc(1, JSON_DOCUMENT_MAX + 1);
	assert_non_null(text);
	assert_int_equal(manifest_parse(span_of(text, JSON_DOCUMENT_MAX + 1), NULL, &m, NULL), -EFBIG);
	free(text);
}

#define FOR(os, arch)      ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define FOR_V(os, arch, v) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\",\"variant\":\"" v "\"}"
#define LISTED(...)        "{" V2 ",\"manifests\":[" __VA_ARGS__ "]}"
#define AMD64              DESC("1", FOR("linux", "amd64"))
#define ARM64              DESC("2", FOR_V("linux", "arm64", "v8"))
#define ATTEST             DESC("a", FOR("unknown", "unknown"))
#define PLAIN              DESC("b", "")

static void test_pick(void **state)
{
	static const struct {
		const char *name, *text, *want;
		uint8_t low; /* of the last byte of the digest that is picked; 0: none */
	} rows[] = {
	    {"first", LISTED(AMD64 "," ARM64), "linux/amd64", 0x1},
	    {"second", LISTED(AMD64 "," ARM64), "linux/arm64", 0x2},
	    {"none", LISTED(AMD64 "," ARM64), "linux/s390x", 0},
	    {"empty", LISTED(""), "linux/amd64", 0},
	    {"first of equals", LISTED(AMD64 "," DESC("3", FOR("linux", "amd64"))), "linux/amd64", 0x1},
	    {"best variant",
	     LISTED(DESC("5", FOR_V("linux", "arm", "v5")) "," DESC("7", FOR_V("linux", "arm", "v7")) "," DESC(
		 "6", FOR_V("linux", "arm", "v6"))),
	     "linux/arm", 0x7},
	    {"older variant", LISTED(DESC("5", FOR_V("linux", "arm", "v5")) "," DESC("7", FOR_V("linux", "arm", "v7"))),
	     "linux/arm/v6", 0x5},
	    {"another architecture, last", LISTED(DESC("3", FOR("linux", "386")) "," AMD64), "linux/amd64", 0x1},
	    {"another architecture, alone", LISTED(DESC("3", FOR("linux", "386")) "," ARM64), "linux/amd64", 0x3},
	    {"attestations are never chosen", LISTED(ATTEST), "unknown/unknown", 0},
	    {"beside an attestation", LISTED(ATTEST "," AMD64 "," ATTEST), "linux/amd64", 0x1},
	    {"without a platform, alone", LISTED(PLAIN), "linux/amd64", 0xb},
	    {"without a platform, beside an attestation", LISTED(PLAIN "," ATTEST), "linux/amd64", 0xb},
	    {"without a platform, of two", LISTED(PLAIN "," PLAIN), "linux/amd64", 0},
	    {"without a platform, beside another", LISTED(PLAIN "," ARM64), "linux/amd64", 0},
	    {"odd words beside", LISTED(DESC("7", FOR_V("linux", "arm", "v7 hard-float")) "," AMD64), "linux/amd64",
	     0x1},
	    {"odd words alone", LISTED(DESC("7", FOR_V("linux", "arm", "v7 hard-float"))), "linux/arm", 0},
	    {"without a platform, beside the right one", LISTED(PLAIN "," ARM64), "linux/arm64", 0x2},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct manifest m;
		struct platform want;
		struct reason why = {""};
		if (manifest_parse(span_str(rows[i].text), NULL, &m, &why) != 0)
			fail_msg("%s: %s", rows[i].name, why.text);
		assert_int_equal(platform_parse(span_str(rows[i].want), &want, NULL), 0);
		const struct descriptor *d = manifest_pick(&m, &want);
		if ((d ? d->digest.bytes[31] & 0xf : 0) != rows[i].low)
			fail_msg("%s", rows[i].name);
		manifest_release(&m);
	}
}

static void test_artifact_type(void **state)
{
	static const struct {
		const char *more, *want;
	} rows[] = {
	    {"", ""},
	    {",\"artifactType\":\"application/vnd.x+json\"", "application/vnd.x+json"},
	    {",\"artifactType\":7", ""},
	    {",\"artifactType\":\"" HEX63 HEX63 HEX63 HEX63 "abc\"", HEX63 HEX63 HEX63 HEX63 "abc"},
	    {",\"artifactType\":\"" HEX63 HEX63 HEX63 HEX63 "abcd\"", ""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF text = BUF_INIT;
		struct manifest m;
		assert_int_equal(buf_appendf(&text, "{" V2 "," CONFIG "," LAYERS "%s}", rows[i].more), 0);
		assert_int_equal(manifest_parse(buf_span(&text), NULL, &m, NULL), 0);
		assert_string_equal(m.artifact_type, rows[i].want);
		manifest_release(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_taken), cmocka_unit_test(test_refused),       cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_pick),  cmocka_unit_test(test_artifact_type),
	};
	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
