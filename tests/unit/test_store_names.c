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
	struct span text = names_text(n);
	if (!span_eq(text, span_str(want)))
		fail_msg("'%.*s' is not '%s'", SPAN_ARG(text), want);
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
	    LIST(","),
	    LIST(ODD ","),
	    LIST("," ODD),
	    LIST(ODD " " ODD),
	    LIST(ODD ","
		     "x"),
	    LIST("{\"a\":1,\"a\":2}"),
	    LIST(ODD) "x",
	    LIST(ODD "]"),
	    LIST(ODD "}"),
	    HEAD "\"manifests\":[" ODD,
	    HEAD "\"manifests\":[" ODD "}",
	    HEAD "\"manifests\":[],\"manifests\":[]}",
	    HEAD "\"manifests\":[],\"x\":tru}",
	    HEAD "\"manifests\":[],}",
	    HEAD "\"manifests\":[]",
	    "[" LIST(ODD) "]",
	    HEAD "\"x\":{\"manifests\":[]}}",
	    HEAD "\"x\":\"\\\",\"manifests\":[]}",
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

/* The reason has the place in the document, not that in one of its parts. */
static void test_reason_has_the_line(void **state)
{
	struct names *n = NULL;
	struct reason why = {""};
	(void)state;
	unit_write_text(&dir, LAYOUT_INDEX, HEAD "\"manifests\":[\n" ODD ",\n{\"a\":tru}]}");
	assert_int_equal(names_load(layout, &n, &why), -EINVAL);
	assert_non_null(strstr(why.text, "line 3, column 8"));
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

/*
 * Nothing but the edit changes: blanks, order, escapes, numbers, unknown members and entries of other tools stay as they
 * were spelled.
 */
static void test_others_keep_their_bytes(void **state)
{
#define SPELLED                                                                                                        \
	"{ \"digest\" : \"x\", \"\\u0061nnotations\":{\"org.opencontainers.image.ref.name\": \"sp\\u0065lled\"}, "     \
	"\"n\":1.50e+3,\"t\":\"[{\\\"\\\\\" }"
#define FRAME(list)                                                                                                    \
	"\n{\t\"x\" : \"\\\"manifests\\\":[\" ,\r\n \"\\u006danifests\" :" list                                        \
	",\"schemaVersion\" :2,\"y\":[1e2,{}]}\n\n"
	static const struct {
		const char *before, *set, *remove, *after;
	} rows[] = {
	    {FRAME("[ " SPELLED "\n]"), "a", NULL, FRAME("[ " SPELLED "," NAMED("1", "a") "\n]")},
	    {FRAME("[ " SPELLED " ,\n " NAMED("1", "a") "\t,\n" ODD " ]"), NULL, "a",
	     FRAME("[ " SPELLED "\t,\n" ODD " ]")},
	    {FRAME("[ " NAMED("1", "a") " ,\n " SPELLED " ]"), NULL, "a", FRAME("[ " SPELLED " ]")},
	    {FRAME("[ " SPELLED " ,\n " ODD " ]"), NULL, "spelled", FRAME("[ " ODD " ]")},
	    {FRAME("[ " NAMED("1", "a") "\n]"), NULL, "a", FRAME("[ \n]")},
	    {FRAME("[ " NAMED("1", "a") "\n]"), NULL, "b", FRAME("[ " NAMED("1", "a") "\n]")},
	    {FRAME("[\t\n]"), "a", NULL, FRAME("[" NAMED("1", "a") "\t\n]")},
	    {FRAME(" null "), "a", NULL, FRAME(" [" NAMED("1", "a") "] ")},
	    {FRAME("[7,\"x\",null , [[]] ]"), "a", NULL, FRAME("[7,\"x\",null , [[]]," NAMED("1", "a") " ]")},
	    {FRAME("[ " NAMED("2", "a") " , " SPELLED " , " NAMED("1", "a") " , " NAMED("3", "b") " ]"), "a", NULL,
	     FRAME("[ " SPELLED " , " NAMED("3", "b") "," NAMED("1", "a") " ]")},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct names *n = load(rows[i].before);
		struct descriptor d = descriptor_make(D("1"));
		if (rows[i].set)
			assert_int_equal(names_set(n, rows[i].set, &d, NULL), 0);
		if (rows[i].remove)
			(void)names_remove(n, rows[i].remove);
		expect(n, rows[i].after);
		names_free(load(rows[i].after));
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

static struct stat stat_of_index(void)
{
	struct stat st;
	assert_int_equal(fstatat(dir.fd, LAYOUT_INDEX, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

/* Whether the file is as it was loaded: a change of any kind shows. */
static void test_current(void **state)
{
	(void)state;
	struct names *n = NULL;
	assert_int_equal(names_load(layout, &n, NULL), 0);
	assert_true(names_are_current(n, layout));
	unit_write_text(&dir, LAYOUT_INDEX, LIST(""));
	assert_false(names_are_current(n, layout));
	names_free(n);
	n = load(LIST(""));
	assert_true(names_are_current(n, layout));
	/* Another file in its place, with the same size and time. */
	struct stat st = stat_of_index();
	unit_write_text(&dir, "other", LIST(""));
	struct timespec times[2] = {st.st_atim, st.st_mtim};
	assert_int_equal(utimensat(dir.fd, "other", times, 0), 0);
	assert_int_equal(renameat(dir.fd, "other", dir.fd, LAYOUT_INDEX), 0);
	assert_false(names_are_current(n, layout));
	/* As if we had written it. */
	st = stat_of_index();
	names_written(n, layout, &st);
	assert_true(names_are_current(n, layout));
	/* Its time alone, which is also what a write of the same size changes. */
	times[1].tv_nsec ^= 1;
	assert_int_equal(utimensat(dir.fd, LAYOUT_INDEX, times, 0), 0);
	assert_false(names_are_current(n, layout));
	/* It was written again before we looked. */
	names_written(n, layout, &st);
	assert_false(names_are_current(n, layout));
	names_free(n);
	n = load(LIST(""));
	assert_int_equal(unlinkat(dir.fd, LAYOUT_INDEX, 0), 0);
	assert_false(names_are_current(n, layout));
	names_free(n);
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
	struct names *n = load(at);
	struct descriptor d;
	struct reason why = {""};
	(void)state;
	assert_int_equal(names_text(n).len, NAMES_INDEX_MAX);
	assert_int_equal(names_find(n, "old:1", &d), 0);
	assert_int_equal(names_set(n, "new:1", &d, NULL), -EFBIG);
	assert_true(span_eq(names_text(n), span_str(at)));
	assert_int_equal(names_find(n, "new:1", &d), -ENOENT);
	/* The entry that a name loses makes room for the one that it gets. */
	d.digest.bytes[0] ^= 1;
	assert_int_equal(names_set(n, "old:1", &d, NULL), 0);
	assert_int_equal(names_text(n).len, NAMES_INDEX_MAX);
	d.size = 70;
	assert_int_equal(names_set(n, "old:1", &d, NULL), -EFBIG);
	assert_int_equal(names_remove(n, "old:1"), 0);
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
	    cmocka_unit_test_setup_teardown(test_reason_has_the_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_others_keep_their_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_current, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
	    cmocka_unit_test(test_valid),
	};
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
