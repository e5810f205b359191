/* SPDX-License-Identifier: Apache-2.0 */
/* Base64: both ways, and what is none. The pairs are RFC 4648's own (10). */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/base64.h"

static void test_pairs(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
	    {"f", "Zg=="},         {"fo", "Zm8="},         {"foo", "Zm9v"},      {"foob", "Zm9vYg=="},
	    {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "+/8="},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF text = BUF_INIT, bytes = BUF_INIT;
		assert_int_equal(buf_append_str(&text, "before:"), 0);
		assert_int_equal(base64_encode(span_str(rows[i].bytes), &text), 0);
		assert_string_equal(text.data + strlen("before:"), rows[i].text);
		assert_true(base64_is(span_str(rows[i].text)));
		assert_int_equal(base64_decode(span_str(rows[i].text), &bytes), 0);
		assert_string_equal(bytes.data, rows[i].bytes);
		assert_int_equal(bytes.len, strlen(rows[i].bytes));
	}
}

static void test_all_bytes(void **state)
{
	AUTO_BUF text = BUF_INIT, back = BUF_INIT;
	uint8_t bytes[256];
	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(base64_encode(span_of(bytes, sizeof(bytes)), &text), 0);
	assert_int_equal(base64_decode(buf_span(&text), &back), 0);
	assert_int_equal(back.len, sizeof(bytes));
	assert_memory_equal(back.data, bytes, sizeof(bytes));
}

static void test_none(void **state)
{
	static const char *const rows[] = {
	    "", "=", "====", "Zg", "Zg=", "Zg===", "Z=g=", "Zm9v\n", " Zm9", "Zm9-", "Zm9_", "=m9v"};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (base64_is(span_str(rows[i])))
			fail_msg("'%s'", rows[i]);
	assert_false(base64_is(span_of("Zm\0v", 4)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_all_bytes),
	    cmocka_unit_test(test_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
