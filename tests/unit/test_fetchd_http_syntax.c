/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of HTTP fields: their characters and their ends. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/syntax.h"

/* Every byte: RFC 9110, 5.6.2 and 11.2. */
static void test_characters(void **state)
{
	static const char alnum[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool plain = c != 0 && strchr(alnum, (int)c);
		bool token = plain || (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c));
		bool token68 = plain || (c != 0 && strchr("-._~+/=", (int)c));
		assert_int_equal(syntax_is_token_char((uint8_t)c), token);
		assert_int_equal(syntax_is_token68_char((uint8_t)c), token68);
	}
}

static void test_take_token(void **state)
{
	static const struct {
		const char *text, *token, *rest;
	} rows[] = {
	    {"abc", "abc", ""}, {"abc def", "abc", " def"}, {"abc=def", "abc", "=def"}, {" abc", "", " abc"},
	    {"", "", ""},       {"a\xff", "a", "\xff"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct span rest = span_str(rows[i].text);
		assert_true(span_eq(syntax_take_token(&rest), span_str(rows[i].token)));
		assert_true(span_eq(rest, span_str(rows[i].rest)));
	}
}

static void test_blanks(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {{"", ""}, {" \t ", ""}, {" a b\t", "a b"}, {"a", "a"}, {"\na", "\na"}};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		assert_true(span_eq(syntax_trim(span_str(rows[i].text)), span_str(rows[i].want)));
}

static void test_words(void **state)
{
	(void)state;
	assert_true(syntax_is_word(span_str("ChunKed"), "chunked"));
	assert_false(syntax_is_word(span_str("chunke"), "chunked"));
	assert_false(syntax_is_word(span_str("chunkedx"), "chunked"));
	assert_false(syntax_is_word(span_str(""), "chunked"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_characters),
	    cmocka_unit_test(test_take_token),
	    cmocka_unit_test(test_blanks),
	    cmocka_unit_test(test_words),
	};
	return cmocka_run_group_tests_name("fetchd http syntax", tests, NULL, NULL);
}
