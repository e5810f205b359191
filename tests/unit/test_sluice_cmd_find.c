/* SPDX-License-Identifier: Apache-2.0 */
/* Names, references and digests as people write them. */

/* Own */
#include "tests/unit/unit_store.h"

/* The code under test */
#include "sluice/cmd/find.h"

#define HEX58 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
#define HEX64 HEX58 "abcdef"

static void test_digits(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} rows[] = {
	    {"abcde", false},
	    {"abcdef", true},
	    {"012345", true},
	    {"abcdeF", false},
	    {"abcdeg", false},
	    {"sha256:abcde", false},
	    {"sha256:abcdef", true},
	    {"sha512:abcdef", true},
	    {"sha1:abcdef", false},
	    {"sha256:" HEX64, true},
	    {"sha256:" HEX64 "0", false},
	    {"sha512:" HEX64 "0", true},
	    {HEX64 HEX64, true},
	    {HEX64 HEX64 "0", false},
	    {"", false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (find_is_digits(rows[i].text) != rows[i].want)
			fail_msg("'%s'", rows[i].text);
	assert_true(find_digits_fit("012345", "sha256:" HEX64));
	assert_true(find_digits_fit("sha256:012345", "sha256:" HEX64));
	assert_true(find_digits_fit("012345", "sha512:" HEX64 HEX64));
	assert_false(find_digits_fit("sha256:012345", "sha512:" HEX64 HEX64));
	assert_false(find_digits_fit("123456", "sha256:" HEX64));
	assert_false(find_digits_fit(HEX64 "0", "sha256:" HEX64));
}

/* A blob of which only the name is right. */
static void put(const struct unit_store *s, const char *hex)
{
	char name[FILE_PATH_SIZE];

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	unit_write_text(&s->dir, name, "content");
}

static struct descriptor descriptor_of(const char *digest)
{
	struct descriptor d = {.size = 7, .media_type = MEDIA_TYPE_OCI_MANIFEST};

	assert_int_equal(digest_parse(span_str(digest), &d.digest, NULL), 0);
	return d;
}

static void fill(struct unit_store *s)
{
	struct descriptor one = descriptor_of("sha256:aaaaaa" HEX58), two = descriptor_of("sha256:bbbbbb" HEX58);

	put(s, "aaaaaa" HEX58);
	put(s, "cccccc" HEX58);
	put(s, "eeeeee" HEX58);
	put(s, "eeeeef" HEX58);
	assert_int_equal(names_set(s->names, "docker.io/library/alpine:latest", &one, NULL), 0);
	assert_int_equal(names_set(s->names, "mine", &two, NULL), 0);
	assert_int_equal(names_set(s->names, "cccccc", &two, NULL), 0);
}

static void test_find(void **state)
{
	static const struct {
		const char *text;
		enum find_where where;
		int r;
		bool by_name;
		const char *name, *digits; /* of what is found */
	} rows[] = {
	    {"docker.io/library/alpine:latest", FIND_NAMES, 0, true, "docker.io/library/alpine:latest", "aaaaaa"},
	    {"alpine", FIND_NAMES, 0, true, "docker.io/library/alpine:latest", "aaaaaa"},
	    {"mine", FIND_CONTENT, 0, true, "mine", "bbbbbb"},
	    {"mine:latest", FIND_CONTENT, -ENOENT, false, NULL, NULL},
	    {"nobody", FIND_CONTENT, -ENOENT, false, NULL, NULL},
	    {"No Reference", FIND_CONTENT, -ENOENT, false, NULL, NULL},
	    {"aaaaaa", FIND_NAMES, 0, false, "docker.io/library/alpine:latest", "aaaaaa"},
	    {"sha256:aaaaaa" HEX58, FIND_NAMES, 0, false, "docker.io/library/alpine:latest", "aaaaaa"},
	    {"sha256:aaaaaa0", FIND_CONTENT, 0, false, "docker.io/library/alpine:latest", "aaaaaa"},
	    {"sha256:bbbbbb", FIND_CONTENT, 0, false, "mine", "bbbbbb"}, /* not stored, but named */
	    {"aaaaa", FIND_CONTENT, -ENOENT, false, NULL, NULL},
	    {"cccccc", FIND_CONTENT, 0, true, "cccccc", "bbbbbb"}, /* a name comes first */
	    {"cccccc0", FIND_CONTENT, 0, false, NULL, "cccccc"},
	    {"cccccc0", FIND_NAMES, -ENOENT, false, NULL, NULL},
	    {"eeeeee", FIND_CONTENT, 0, false, NULL, "eeeeee"},
	    {"sha256:eeeee", FIND_CONTENT, -EILSEQ, false, NULL, NULL},
	    {"sha512:eeeeeg", FIND_NAMES, -EILSEQ, false, NULL, NULL},
	    {"sha512:eeeeee", FIND_CONTENT, -ENOENT, false, NULL, NULL},
	    {"eeeee0", FIND_CONTENT, -ENOENT, false, NULL, NULL},
	    {"sha256:ffffff" HEX58, FIND_CONTENT, 0, false, NULL, "ffffff"}, /* for the caller to miss */
	    {"sha256:ffffff" HEX58, FIND_NAMES, -ENOENT, false, NULL, NULL},
	};
	struct unit_store s;
	(void)state;
	unit_store_open(&s);
	fill(&s);
	for (size_t i = 0; i < LEN(rows); i++) {
		struct found f;
		struct reason why = {""};
		char digest[DIGEST_TEXT_SIZE];
		int r = find(s.layout, s.names, rows[i].text, rows[i].where, &f, &why);
		if (r != rows[i].r || (r < 0 && !why.text[0]))
			fail_msg("'%s': %d", rows[i].text, r);
		if (r < 0)
			continue;
		digest_format(&f.descriptor.digest, digest);
		assert_int_equal(f.by_name, rows[i].by_name);
		assert_true(find_digits_fit(rows[i].digits, digest));
		assert_int_equal(f.entry == SIZE_MAX, !rows[i].name);
		if (rows[i].name)
			assert_string_equal(f.name, rows[i].name);
		else
			assert_true(f.descriptor.size == SIZE_UNKNOWN);
	}
	unit_store_close(&s);
}

static void test_ambiguous(void **state)
{
	struct unit_store s;
	struct found f;
	struct reason why = {""};
	(void)state;
	unit_store_open(&s);
	put(&s, "aaaaaa" HEX58);
	put(&s, "aaaaab" HEX58);
	struct descriptor named = descriptor_of("sha256:aaaaaa" HEX58);
	assert_int_equal(names_set(s.names, "a", &named, NULL), 0);
	assert_int_equal(find(s.layout, s.names, "aaaaaa", FIND_CONTENT, &f, &why), 0);
	put(&s, "aaaaaaf" HEX58); /* too long to be a digest */
	assert_int_equal(find(s.layout, s.names, "aaaaaa", FIND_CONTENT, &f, &why), 0);
	put(&s, "aaaaaa9123456789abcdef0123456789abcdef0123456789abcdef0123456789");
	assert_int_equal(find(s.layout, s.names, "aaaaaa", FIND_CONTENT, &f, &why), -ENOTUNIQ);
	assert_non_null(strstr(why.text, "sha256:aaaaaa" HEX58));
	assert_non_null(strstr(why.text, "sha256:aaaaaa9"));
	assert_int_equal(find_exit_code(-ENOTUNIQ), 64);
	/* Without the names, too. */
	assert_int_equal(find(s.layout, NULL, "aaaaaa", FIND_CONTENT, &f, &why), -ENOTUNIQ);
	assert_int_equal(find(s.layout, NULL, "aaaaaa9", FIND_CONTENT, &f, &why), 0);
	assert_int_equal(find(s.layout, NULL, "a", FIND_CONTENT, &f, &why), -ENOENT);
	unit_store_close(&s);
}

/* Some of them are listed. */
static void test_very_ambiguous(void **state)
{
	struct unit_store s;
	struct found f;
	struct reason why = {""};
	(void)state;
	unit_store_open(&s);
	for (int i = 0; i < 5; i++) {
		char hex[65];
		(void)snprintf(hex, sizeof(hex), "abcdef%d%s", i, &HEX58[1]);
		put(&s, hex);
		int r = find(s.layout, s.names, "abcdef", FIND_CONTENT, &f, &why);
		assert_int_equal(r, i == 0 ? 0 : -ENOTUNIQ);
		assert_int_equal(strstr(why.text, "and more") != NULL, i >= 3);
	}
	unit_store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_digits),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_ambiguous),
	    cmocka_unit_test(test_very_ambiguous),
	};
	return cmocka_run_group_tests_name("sluice find", tests, NULL, NULL);
}
