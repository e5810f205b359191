/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary of transfers: which refs are valid, exit codes and names. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/transfer.h"

#define D     "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "sha256:f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_ref_check(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
	    {"a", 0},
	    {D, 0},
	    {"manifest://h.io/a:t", 0},
	    {"sha256", 0},
	    {"md5:00", 0},
	    {"../../etc/passwd", 0}, /* only its hash is used as a file name */
	    {"", -EINVAL},
	    {" ", -EINVAL},
	    {"a b", -EINVAL},
	    {"a\n", -EINVAL},
	    {"\x1b[2J", -EINVAL},
	    {"sha256:", -EINVAL},
	    {"sha512:"
	     "00",
	     -EINVAL},
	    {D "0", -EINVAL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why = {""};
		if (ref_check(span_str(rows[i].text), &why) != rows[i].want)
			fail_msg("'%s'", rows[i].text);
		assert_int_equal(why.text[0] != '\0', rows[i].want != 0);
	}
	char ref[REF_MAX + 1];
	memset(ref, 'r', sizeof(ref));
	assert_int_equal(ref_check(span_of(ref, REF_MAX), NULL), 0);
	assert_int_equal(ref_check(span_of(ref, REF_MAX + 1), NULL), -EINVAL);
}

static void test_ref_of_source(void **state)
{
	static const struct {
		const char *source, *expected, *want; /* NULL: refused */
	} rows[] = {
	    {"https://h/a", NULL, "https://h/a"},
	    {"https://h/a", D, D},
	    {"https://h/a?secret", NULL, "https://h/a?258bc18f76a4a146"},
	    {"https://h/a?", NULL, "https://h/a?b0cac8a528896d98"},
	    {"manifest://h.io/a:t", NULL, "manifest://h.io/a:t"},
	    {"manifest://h.io/a:t", D, D},
	    {"manifest://h.io/a@" D, NULL, D},
	    {"blob://h.io/a@" D, NULL, D},
	    {"blob://h.io/a@" D, D, D},
	    {"blob://h.io/a@" D, OTHER, NULL},
	    {"manifest://h.io/a@" D, OTHER, NULL},
	    {"blob://h.io/a:t", D, NULL},
	    {"https://user:secret@h/a", NULL, NULL},
	    {"file:///etc/passwd", D, NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char ref[REF_MAX + 1];
		struct reason why = {""};
		struct digest d;
		if (rows[i].expected)
			assert_int_equal(digest_parse(span_str(rows[i].expected), &d, NULL), 0);
		int r = ref_of_source(span_str(rows[i].source), rows[i].expected ? &d : NULL, ref, &why);
		if (r != (rows[i].want ? 0 : -EINVAL) || (r == 0 && strcmp(ref, rows[i].want) != 0))
			fail_msg("'%s': %d '%s' %s", rows[i].source, r, r == 0 ? ref : "", why.text);
	}
}

/* A ref is bounded, and long URLs still have different refs. */
static void test_refs_of_long_urls(void **state)
{
	static const char scheme[] = "https://h/";
	char url[SOURCE_MAX + 1], ref[REF_MAX + 1], other[REF_MAX + 1];
	(void)state;
	memset(url, 'a', sizeof(url));
	memcpy(url, scheme, strlen(scheme));
	assert_int_equal(ref_of_source(span_of(url, REF_MAX), NULL, ref, NULL), 0);
	assert_int_equal(strlen(ref), REF_MAX);
	assert_memory_equal(ref, url, REF_MAX);
	for (size_t len = REF_MAX + 1; len <= SOURCE_MAX; len += 1000) {
		url[len - 1] = 'b';
		assert_int_equal(ref_of_source(span_of(url, len), NULL, ref, NULL), 0);
		url[len - 1] = 'a';
		assert_int_equal(ref_of_source(span_of(url, len), NULL, other, NULL), 0);
		assert_int_equal(strlen(ref), REF_MAX);
		assert_string_not_equal(ref, other);
	}
}

static void test_codes_and_names(void **state)
{
	static const int codes[FAIL_CLASS_MAX + 1] = {0, 75, 66, 77, 65, 69, 75, 74, 75, 64, 75};
	(void)state;
	for (int c = 0; c <= FAIL_CLASS_MAX; c++)
		assert_int_equal(fail_exit_code((enum fail_class)c), codes[c]);
	assert_string_equal(transfer_state_name(TRANSFER_QUEUED), "queued");
	assert_string_equal(transfer_state_name(TRANSFER_FAILED), "failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ref_check),
	    cmocka_unit_test(test_ref_of_source),
	    cmocka_unit_test(test_refs_of_long_urls),
	    cmocka_unit_test(test_codes_and_names),
	};
	return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
