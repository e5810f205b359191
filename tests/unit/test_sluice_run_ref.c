/* SPDX-License-Identifier: Apache-2.0 */
/* Refs as users type them. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/run/ref.h"

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_ref_meant(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} rows[] = {
	    {D, D},
	    {"some-ref", "some-ref"},
	    {"manifest://h.io/a:t", "manifest://h.io/a:t"},
	    {"https://h/a", "https://h/a"},
	    {"https://h/a?secret", "https://h/a?258bc18f76a4a146"},
	    {"https://h/a?258bc18f76a4a146", "https://h/a?258bc18f76a4a146"},
	    {"https://h/a?258bc18f76a4a14", "https://h/a?03eb0c6c12133d11"},
	    {"", NULL},
	    {"a b", NULL},
	    {"sha256:00", NULL},
	    {"https://user:secret@h/a", NULL},
	    {"ftp://user:secret@h/a", NULL},
	    {"user:secret@h/a", NULL},
	    {"h/a?secret", NULL},
	    {"h/a#secret", NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char ref[REF_MAX + 1];
		struct reason why = {""};
		int r = ref_meant(rows[i].text, ref, &why);
		if (r != (rows[i].want ? 0 : -EINVAL) || (r == 0 && strcmp(ref, rows[i].want) != 0))
			fail_msg("'%s': %d '%s' %s", rows[i].text, r, r == 0 ? ref : "", why.text);
		assert_int_equal(why.text[0] != '\0', r != 0);
		assert_null(strstr(why.text, "secret"));
	}
}

static void test_long_refs(void **state)
{
	char text[REF_MAX + 2], ref[REF_MAX + 1];
	struct reason why;
	(void)state;
	memset(text, 'r', sizeof(text));
	text[REF_MAX + 1] = '\0';
	assert_int_equal(ref_meant(text, ref, &why), -EINVAL);
	text[REF_MAX] = '\0';
	assert_int_equal(ref_meant(text, ref, &why), 0);
	assert_string_equal(ref, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ref_meant),
	    cmocka_unit_test(test_long_refs),
	};
	return cmocka_run_group_tests_name("sluice ref", tests, NULL, NULL);
}
