/* SPDX-License-Identifier: Apache-2.0 */
/* The visible form of a URL, and of text that is almost one. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/shown.h"

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_shown(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"", ""},
	    {"https://a.example/x", "https://a.example/x"},
	    {"https://a.example/x?signature=secret", "https://a.example/x"},
	    {"https://a.example/x#secret", "https://a.example/x"},
	    {"https://a.example?secret", "https://a.example"},
	    {"?secret", ""},
	    {"1#2", "1#2"},
	    {"u:p#secret@a.example", "***@a.example"},
	    {"a.example/#secret", "a.example/"},
	    {"https://u:secret@a.example/x", "https://***@a.example/x"},
	    {"https://secret@a.example/x?secret", "https://***@a.example/x"},
	    {"https://u:secret@a.example", "https://***@a.example"},
	    {"https://u:secret@b@a.example/x", "https://***@a.example/x"},
	    {"https://u:sec/ret@a.example/x", "https://***@a.example/x"},
	    {"https://u:se\\cret@a.example/x", "https://***@a.example/x"},
	    {"ftp://u:secret@a.example/x", "ftp://***@a.example/x"},
	    {"://u:secret@a", "://***@a"},
	    {"u:secret@a.example/x?secret", "***@a.example/x"},
	    {"secret@a.example", "***@a.example"},
	    {"a.example/x?secret", "a.example/x"},
	    {"https://a.example/@scope/x", "https://a.example/@scope/x"},
	    {"https://a.example:5000/x@y", "https://a.example:5000/x@y"},
	    {"https://[::1]:80/x@y", "https://[::1]:80/x@y"},
	    {"app@" D, "app@" D},
	    {"app:1@" D, "app:1@" D},
	    {"a.example:5000/app:1@" D, "a.example:5000/app:1@" D},
	    {"blob://a.example/app@" D, "blob://a.example/app@" D},
	    {D, D},
	    {"@", "@"},
	};
	char got[SHOWN_SIZE];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		shown_of(span_str(rows[i].text), got);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("'%s': '%s'", rows[i].text, got);
	}
}

static void test_long_text_is_cut(void **state)
{
	char got[SHOWN_SIZE], text[400];
	(void)state;
	memset(text, 'x', sizeof(text));
	shown_of(span_of(text, SHOWN_SIZE - 1), got);
	assert_int_equal(strlen(got), SHOWN_SIZE - 1);
	assert_null(strchr(got, '.'));
	shown_of(span_of(text, SHOWN_SIZE), got);
	assert_int_equal(strlen(got), SHOWN_SIZE - 1);
	assert_non_null(strstr(got, "x..."));
	memcpy(text, "http://u:p@", 11);
	shown_of(span_of(text, sizeof(text)), got);
	assert_int_equal(strlen(got), SHOWN_SIZE - 1);
	assert_memory_equal(got, "http://***@xx", 13);
	memcpy(text + 300, "://", 3);
	text[7] = 'x';
	text[5] = text[6] = 'x';
	text[4] = 'x';
	shown_of(span_of(text, sizeof(text)), got);
	assert_string_equal(got, "...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shown),
	    cmocka_unit_test(test_long_text_is_cut),
	};
	return cmocka_run_group_tests_name("shown", tests, NULL, NULL);
}
