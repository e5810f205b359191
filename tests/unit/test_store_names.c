/* SPDX-License-Identifier: Apache-2.0 */
/* Names in index.json: find, set, remove, and keep everything else. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/store/names.h"

#define HEX63        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define D(digit)     "sha256:" HEX63 digit
#define DESC(digit)  "\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"digest\":\"" D(digit) "\",\"size\":7"
#define CALLED(name) "\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name "\"}}"
#define LACKING(digit, name, digests)                                                                                  \
	"{" DESC(digit) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name                              \
			"\",\"vnd.sluice.left-out\":\"" digests "\"}}"
#define NAMED(digit, name) "{" DESC(digit) "," CALLED(name)
#define DAMAGED(name)      "{\"mediaType\":\"imag}\",\"digest\":\"" D("1") "\",\"size\":7," CALLED(name)
#define HEAD               "{\"schemaVersion\":2,"
#define LIST(...)          HEAD "\"manifests\":[" __VA_ARGS__ "]}"
#define ODD                "{" DESC("9") ",\"x-odd\":{\"deep\":[1,2.5,null]},\"annotations\":{\"other\":\"thing\"}}"
#define BROKEN             "{\"digest\":7}"

static struct unit_dir dir;
static struct layout *layout;

static int setup(void **state)
{
	struct reason why;
	(void)state;
	unit_dir_make(&dir);
	unit_write_text(&dir, LAYOUT_FILE, "{\"imageLayoutVersion\": \"1.0.0\"}");
	assert_int_equal(layout_open(dir.path, LAYOUT_READER, &layout, &why), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	layout_free(layout);
	unit_dir_remove(&dir);
	return 0;
}

static struct names *load(const char *text)
{
	struct names *n = NULL;
	struct reason why = {""};
	unit_write_text(&dir, LAYOUT_INDEX, text);
	if (names_load(layout, &n, &why) != 0)
		fail_msg("'%s': %s", text, why.text);
	return n;
}

static void expect(const struct names *n, const char *want)
{
	AUTO_BUF out = BUF_INIT;
	assert_int_equal(names_format(n, &out), 0);
	assert_string_equal(out.data, want);
}

static struct descriptor descriptor_make(const char *digest)
{
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .size = 7};
	assert_int_equal(digest_parse(span_str(digest), &d.digest, NULL), 0);
	return d;
}

static void test_load_refuses(void **state)
{
	static const char *const rows[] = {
	    "",
	    "x",
	    "[]",
	    "{}",
	    HEAD "\"layers\":[]}",
	    HEAD "\"manifests\":{}}",
	    HEAD "\"manifests\":7}",
	    "{\"schemaVersion\":1,\"manifests\":[]}",
	    "{\"manifests\":[]}",
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct names *n = NULL;
		struct reason why = {""};
		unit_write_text(&dir, LAYOUT_INDEX, rows[i]);
		if (names_load(layout, &n, &why) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_null(n);
		assert_non_null(strstr(why.text, "/index.json'"));
	}
}

static void test_absent_and_null(void **state)
{
	(void)state;
	struct names *n = NULL;
	assert_int_equal(names_load(layout, &n, NULL), 0);
	assert_int_equal(names_len(n), 0);
	expect(n, HEAD "\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":[]}");
	names_free(n);
	n = load(HEAD "\"manifests\":null}");
	assert_int_equal(names_len(n), 0);
	names_free(n);
	names_free(NULL);
}

static void test_find(void **state)
{
	(void)state;
	struct descriptor d;
	const char *name = "x";
	struct names *n = load(LIST(NAMED("1", "a") "," ODD "," BROKEN "," NAMED("2", "b:c")));
	assert_int_equal(names_len(n), 4);
	assert_int_equal(names_find(n, "a", &d), 0);
	assert_int_equal(d.digest.bytes[31], 0xe1);
	assert_int_equal(names_find(n, "b:c", &d), 0);
	assert_int_equal(d.digest.bytes[31], 0xe2);
	assert_int_equal(names_find(n, "b", &d), -ENOENT);
	assert_int_equal(names_find(n, "", &d), -ENOENT);
	assert_int_equal(names_at(n, 0, &name, &d), 0);
	assert_string_equal(name, "a");
	assert_int_equal(names_at(n, 1, &name, &d), 0);
	assert_null(name);
	assert_int_equal(names_at(n, 2, &name, &d), -EINVAL);
	assert_int_equal(names_at(n, 4, &name, &d), -EINVAL);
	names_free(n);
}

static void test_set(void **state)
{
	static const struct {
		const char *name, *before, *give, *to, *after;
	} rows[] = {
	    {"first", LIST(""), "a", D("1"), LIST(NAMED("1", "a"))},
	    {"another", LIST(NAMED("1", "a")), "b", D("2"), LIST(NAMED("1", "a") "," NAMED("2", "b"))},
	    {"a second name for the same", LIST(NAMED("1", "a")), "b", D("1"),
	     LIST(NAMED("1", "a") "," NAMED("1", "b"))},
	    {"moved", LIST(NAMED("1", "a") "," NAMED("3", "z")), "a", D("2"),
	     LIST(NAMED("3", "z") "," NAMED("2", "a"))},
	    {"again", LIST(NAMED("1", "a") "," NAMED("3", "z")), "a", D("1"),
	     LIST(NAMED("1", "a") "," NAMED("3", "z"))},
	    {"described wrongly", LIST(DAMAGED("a")), "a", D("1"), LIST(NAMED("1", "a"))},
	    {"named twice", LIST(NAMED("1", "a") "," NAMED("2", "a")), "a", D("1"), LIST(NAMED("1", "a"))},
	    {"others are kept", HEAD "\"manifests\":[" BROKEN "," ODD "],\"x\":{\"y\":[]}}", "a", D("1"),
	     HEAD "\"manifests\":[" BROKEN "," ODD "," NAMED("1", "a") "],\"x\":{\"y\":[]}}"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct names *n = load(rows[i].before);
		struct descriptor d = descriptor_make(rows[i].to), found;
		assert_int_equal(names_set(n, rows[i].give, &d, NULL), 0);
		expect(n, rows[i].after);
		assert_int_equal(names_find(n, rows[i].give, &found), 0);
		assert_true(digest_eq(&found.digest, &d.digest));
		names_free(n);
	}
}

static void test_set_with_platform(void **state)
{
	(void)state;
	struct names *n = load(LIST(""));
	struct descriptor d = descriptor_make(D("1")), found;
	d.has_platform = true;
	assert_int_equal(platform_parse(span_str("linux/arm/v6"), &d.platform, NULL), 0);
	assert_int_equal(names_set(n, "a", &d, NULL), 0);
	assert_int_equal(names_find(n, "a", &found), 0);
	assert_true(found.has_platform);
	assert_string_equal(found.platform.variant, "v6");
	names_free(n);
}

static void test_left_out(void **state)
{
	(void)state;
	struct names *n = load(LIST(NAMED("1", "a")));
	struct descriptor d = descriptor_make(D("1"));
	assert_int_equal(names_set(n, "a", &d, D("2") "," D("3")), 0);
	expect(n, LIST(LACKING("1", "a", D("2") "," D("3"))));
	assert_string_equal(names_left_out(n, 0), D("2") "," D("3"));
	assert_int_equal(names_set(n, "a", &d, D("2")), 0);
	expect(n, LIST(LACKING("1", "a", D("2"))));
	assert_int_equal(names_set(n, "a", &d, ""), 0);
	expect(n, LIST(NAMED("1", "a")));
	names_free(n);
}

static void test_remove(void **state)
{
	(void)state;
	struct names *n = load(LIST(NAMED("1", "a") "," ODD "," NAMED("1", "b") "," NAMED("2", "a") "," BROKEN));
	assert_int_equal(names_remove(n, "c"), -ENOENT);
	assert_int_equal(names_remove(n, "a"), 0);
	expect(n, LIST(ODD "," NAMED("1", "b") "," BROKEN));
	assert_int_equal(names_remove(n, "a"), -ENOENT);
	names_free(n);
}

static void test_valid(void **state)
{
	static const char *const good[] = {
	    "a",          "latest",         "docker.io/library/alpine:3.20", "localhost:5000/a/b@" D("1"), "a+b-c_d.e",
	    "a__b/c---d", "[::1]:5000/a:t",
	};
	static const char *const bad[] = {
	    "",     "/",        "a/",    "/a",   "a//b",   "-a",     "a-",   "a/-b", "a-/b", "a b",
	    "a\nb", "\xc3\xa4", "[::1]", "[]/a", "[::1/a", "a[::1]", "a\\b", "../a", "a/..",
	};
	(void)state;
	for (size_t i = 0; i < LEN(good); i++)
		if (!name_is_valid(span_str(good[i])))
			fail_msg("'%s'", good[i]);
	for (size_t i = 0; i < LEN(bad); i++)
		if (name_is_valid(span_str(bad[i])))
			fail_msg("'%s'", bad[i]);
	char name[NAME_MAX_BYTES + 1];
	memset(name, 'n', sizeof(name));
	assert_true(name_is_valid(span_of(name, NAME_MAX_BYTES)));
	assert_false(name_is_valid(span_of(name, NAME_MAX_BYTES + 1)));
	assert_false(name_is_valid(span_of("a\0b", 3)));
}

/* An index of exactly `len` bytes, with one long annotation. */
static char *index_of_length(size_t len)
{
	static const char head[] = HEAD "\"manifests\":[" NAMED("1", "old:1") "],\"x\":\"", tail[] = "\"}";
	char *text = malloc(len + 1);
	assert_non_null(text);
	memset(text, 'x', len);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + len - (sizeof(tail) - 1), tail, sizeof(tail));
	return text;
}

/* Reading and writing have the same limit. */
static void test_limit(void **state)
{
	AUTO_FREE char *at = index_of_length(NAMES_INDEX_MAX), *past = index_of_length(NAMES_INDEX_MAX + 1);
	AUTO_BUF out = BUF_INIT;
	struct names *n = load(at);
	struct descriptor d;
	struct reason why = {""};
	(void)state;
	assert_int_equal(names_format(n, &out), 0);
	assert_int_equal(out.len, NAMES_INDEX_MAX);
	assert_int_equal(names_find(n, "old:1", &d), 0);
	assert_int_equal(names_set(n, "new:1", &d, NULL), 0);
	assert_int_equal(names_format(n, &out), -EFBIG);
	assert_int_equal(out.len, NAMES_INDEX_MAX);
	assert_int_equal(names_remove(n, "new:1"), 0);
	assert_int_equal(names_remove(n, "old:1"), 0);
	buf_clear(&out);
	assert_int_equal(names_format(n, &out), 0);
	names_free(n);
	unit_write_text(&dir, LAYOUT_INDEX, past);
	assert_int_equal(names_load(layout, &n, &why), -EFBIG);
	assert_non_null(strstr(why.text, "16777216 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_load_refuses, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_absent_and_null, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_find, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_set, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_set_with_platform, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
	    cmocka_unit_test(test_valid),
	};
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
