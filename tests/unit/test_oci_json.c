/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what the parser refuses, and that values are kept exactly. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/json.h"

#define ROW(name, text, want)                                                                                          \
	{                                                                                                              \
		name, text, sizeof(text) - 1, want                                                                     \
	}

static void test_parse(void **state)
{
	static const struct {
		const char *name, *text;
		size_t len;
		int want;
	} rows[] = {
	    ROW("object", "{\"a\":1}", 0),
	    ROW("array", "[1,2]", 0),
	    ROW("scalar", "7", 0),
	    ROW("blanks around", " \n{} \n", 0),
	    ROW("escaped quote and brackets in a string", "{\"a\":\"\\\"[[[[{{{{\"}", 0),
	    ROW("surrogate pair", "\"\\ud83d\\ude00\"", 0),
	    ROW("nothing", "", -EINVAL),
	    ROW("blank", " ", -EINVAL),
	    ROW("cut", "{\"a\":", -EINVAL),
	    ROW("cut string", "\"abc", -EINVAL),
	    ROW("cut escape", "\"abc\\", -EINVAL),
	    ROW("trailing bytes", "{} x", -EINVAL),
	    ROW("two values", "{}{}", -EINVAL),
	    ROW("NUL behind", "{}\0", -EINVAL),
	    ROW("NUL within", "{\"a\0b\":1}", -EINVAL),
	    ROW("NUL escaped", "{\"a\":\"b\\u0000c\"}", 0),
	    ROW("NUL escaped in a key", "{\"a\\u0000b\":1}", 0),
	    ROW("keys that differ in what no string holds", "{\"a\\u0000\":1,\"a\\ud800\":2}", -EINVAL),
	    ROW("NUL escaped outside of a string", "\\u0000", -EINVAL),
	    ROW("NUL escaped in an invalid text", "[\"\\u0000\",]", -EINVAL),
	    ROW("duplicate keys", "{\"a\":1,\"a\":2}", -EINVAL),
	    ROW("duplicate keys, escaped", "{\"a\":1,\"\\u0061\":2}", -EINVAL),
	    ROW("duplicate keys below", "{\"x\":[{\"a\":1,\"a\":2}]}", -EINVAL),
	    ROW("byte order mark", "\xef\xbb\xbf{}", -EINVAL),
	    ROW("latin 1", "\"\xe4\"", -EINVAL),
	    ROW("overlong", "\"\xc0\xaf\"", -EINVAL),
	    ROW("lone surrogate", "\"\\ud83d\"", 0),
	    ROW("lone low surrogate", "\"\\ude00\"", 0),
	    ROW("a number that is not four hex digits", "\"\\u0x00\"", -EINVAL),
	    ROW("no hex digits", "\"\\u00g0\"", -EINVAL),
	    ROW("escape cut behind an odd one", "\"\\u0000\\u00", -EINVAL),
	    ROW("raw surrogate", "\"\xed\xa0\x80\"", -EINVAL),
	    ROW("control byte", "\"a\nb\"", -EINVAL),
	    ROW("integer of 2^63", "9223372036854775808", -EINVAL),
	    ROW("comment", "{} // x", -EINVAL),
	    ROW("single quotes", "{'a':1}", -EINVAL),
	    ROW("comma at the end", "[1,]", -EINVAL),
	    ROW("not a number", "NaN", -EINVAL),
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_JSON v = NULL;
		struct reason why = {""};
		if (json_parse(span_of(rows[i].text, rows[i].len), &v, &why) != rows[i].want)
			fail_msg("%s: %s", rows[i].name, why.text);
		assert_int_equal(v != NULL, rows[i].want == 0);
		assert_int_equal(why.text[0] != '\0', rows[i].want != 0);
	}
}

#define FFFD "\xef\xbf\xbd"

static void test_odd_escapes(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"\"a\\u0000b\"", "a" FFFD "b"},
	    {"\"\\u0000\\u0000\"", FFFD FFFD},
	    {"\"\\ud83d\"", FFFD},
	    {"\"\\uDE00x\"", FFFD "x"},
	    {"\"\\ud83d\\ud83d\\ude00\"", FFFD "\xf0\x9f\x98\x80"},
	    {"\"\\ud83d\\ude00\\ude00\"", "\xf0\x9f\x98\x80" FFFD},
	    {"\"\\\\u0000\\u0000\"", "\\u0000" FFFD}, /* an escaped backslash and letters */
	    {"\"\\u00000\"", FFFD "0"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_JSON v = NULL;
		struct reason why = {""};
		if (json_parse(span_str(rows[i].text), &v, &why) != 0)
			fail_msg("%s: %s", rows[i].text, why.text);
		assert_string_equal(json_text(v), rows[i].want);
	}
}

static int parse_nested(size_t depth, const char *open, const char *close)
{
	AUTO_BUF b = BUF_INIT;
	AUTO_JSON v = NULL;
	for (size_t i = 0; i < depth; i++)
		assert_int_equal(buf_append_str(&b, open), 0);
	assert_int_equal(buf_append_str(&b, "1"), 0);
	for (size_t i = 0; i < depth; i++)
		assert_int_equal(buf_append_str(&b, close), 0);
	return json_parse(buf_span(&b), &v, NULL);
}

static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(parse_nested(JSON_DEPTH_MAX, "[", "]"), 0);
	assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, "[", "]"), -EINVAL);
	assert_int_equal(parse_nested(JSON_DEPTH_MAX, "{\"a\":", "}"), 0);
	assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, "{\"a\":", "}"), -EINVAL);
	assert_int_equal(parse_nested(100000, "[", ""), -EINVAL);
}

static void test_size(void **state)
{
	(void)state;
	AUTO_JSON v = NULL;
	AUTO_JSON none = NULL;
	struct reason why;
	char *text = malloc(JSON_DOCUMENT_MAX + 1);
	assert_non_null(text);
	memset(text, ' ', JSON_DOCUMENT_MAX + 1);
	text[0] = '7';
	assert_int_equal(json_parse(span_of(text, JSON_DOCUMENT_MAX), &v, &why), 0);
	assert_int_equal(json_parse(span_of(text, JSON_DOCUMENT_MAX + 1), &none, &why), -EFBIG);
	free(text);
}

static void test_members(void **state)
{
	static const char text[] =
	    "{\"s\":\"x\",\"n\":5,\"max\":9223372036854775807,\"neg\":-1,\"real\":1.0,\"exp\":1e3,"
	    "\"ns\":\"5\",\"a\":[1,\"y\"],\"o\":{},\"t\":true,\"z\":null}";
	static const struct {
		const char *key;
		bool has, is_number;
		uint64_t number;
	} rows[] = {
	    {"n", true, true, 5},     {"max", true, true, INT64_MAX}, {"neg", true, false, 0},
	    {"real", true, false, 0}, {"exp", true, false, 0},        {"ns", true, false, 0},
	    {"a", true, false, 0},    {"z", true, false, 0},          {"absent", false, false, 0},
	};
	(void)state;
	AUTO_JSON v = NULL;
	assert_int_equal(json_parse(span_str(text), &v, NULL), 0);
	for (size_t i = 0; i < LEN(rows); i++) {
		uint64_t number = 42;
		assert_int_equal(json_has(v, rows[i].key), rows[i].has);
		assert_int_equal(json_member_u64(v, rows[i].key, &number), rows[i].is_number);
		assert_int_equal(number, rows[i].is_number ? rows[i].number : 42);
	}
	assert_string_equal(json_member_text(v, "s"), "x");
	assert_null(json_member_text(v, "n"));
	assert_null(json_member_text(v, "absent"));
	assert_null(json_member_text(NULL, "s"));
	assert_true(json_is_object(v) && json_is_object(json_member(v, "o")) && !json_is_object(NULL));
	assert_true(json_is_array(json_member(v, "a")) && !json_is_array(v) && !json_is_array(NULL));
	assert_true(json_is_nothing(json_member(v, "z")) && !json_is_nothing(v) && !json_is_nothing(NULL));
	assert_int_equal(json_len(json_member(v, "a")), 2);
	assert_int_equal(json_len(v), 0);
	assert_string_equal(json_text(json_at(json_member(v, "a"), 1)), "y");
	assert_null(json_at(json_member(v, "a"), 2));
}

static int collect(void *self, const char *key, const struct json_t *value)
{
	(void)value;
	(void)buf_append_str(self, key);
	return strcmp(key, "stop") == 0 ? 7 : 0;
}

static void test_each(void **state)
{
	(void)state;
	AUTO_JSON v = NULL;
	AUTO_BUF keys = BUF_INIT;
	assert_int_equal(json_parse(span_str("{\"z\":1,\"b\":2,\"stop\":3,\"a\":4}"), &v, NULL), 0);
	assert_int_equal(json_each(v, collect, &keys), 7);
	assert_string_equal(keys.data, "zbstop");
	buf_clear(&keys);
	assert_int_equal(json_each(NULL, collect, &keys), 0);
	assert_string_equal(keys.data, "");
}

static void test_building(void **state)
{
	(void)state;
	AUTO_BUF out = BUF_INIT;
	AUTO_JSON o = json_object_make();
	struct json_t *a = json_array_make();
	assert_int_equal(json_set(o, "a", a), 0);
	assert_int_equal(json_append(a, json_object_make()), 0);
	assert_int_equal(json_append(a, json_array_make()), 0);
	assert_int_equal(json_set_text(o, "t", "x\n\"\xc3\xa4"), 0);
	assert_int_equal(json_set_text(o, "bad", "\xe4/x"), 0);
	assert_int_equal(json_set_u64(o, "n", INT64_MAX), 0);
	assert_int_equal(json_set_u64(o, "n2", UINT64_C(1) << 63), -ERANGE);
	assert_int_equal(json_set_bool(o, "b", true), 0);
	assert_int_equal(json_append(a, NULL), -ENOMEM);
	assert_int_equal(json_set(o, "x", NULL), -ENOMEM);
	assert_int_equal(json_remove_at(a, 0), 0);
	assert_int_equal(json_remove_at(a, 1), -EINVAL);
	assert_int_equal(json_append_text(a, "i\xe4"), 0);
	assert_int_equal(buf_append_str(&out, ">"), 0);
	assert_int_equal(json_format(o, &out), 0);
	assert_string_equal(out.data, ">{\"a\":[[],\"i\\\\xe4\"],\"t\":\"x\\n\\\"\\u00E4\",\"bad\":\"\\\\xe4/x\","
				      "\"n\":9223372036854775807,\"b\":true}");
}

static void test_indented(void **state)
{
	AUTO_BUF out = BUF_INIT;
	AUTO_JSON o = json_object_make();
	(void)state;
	assert_int_equal(json_set_text(o, "a", "\xc3\xa4"), 0);
	assert_int_equal(json_set(o, "b", json_array_make()), 0);
	AUTO_JSON other = json_object_make();
	assert_int_equal(json_set(other, "x", json_share(json_member(o, "b"))), 0);
	assert_int_equal(json_set(other, "n", json_nothing_make()), 0);
	assert_null(json_share(json_member(o, "absent")));
	assert_int_equal(json_format(other, &out), 0);
	assert_string_equal(out.data, "{\"x\":[],\"n\":null}");
	buf_clear(&out);
	assert_int_equal(json_format_indented(o, &out), 0);
	assert_string_equal(out.data, "{\n    \"a\": \"\\u00E4\",\n    \"b\": []\n}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),    cmocka_unit_test(test_odd_escapes), cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_size),     cmocka_unit_test(test_members),     cmocka_unit_test(test_each),
	    cmocka_unit_test(test_building), cmocka_unit_test(test_indented),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
