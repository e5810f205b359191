/* SPDX-License-Identifier: Apache-2.0 */
/* Where the values of a JSON text are. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/json_cut.h"

static void test_member(void **state)
{
	static const struct {
		const char *text, *value; /* NULL: there is none */
	} rows[] = {
	    {"{\"k\":1}", "1"},
	    {" {\t\"a\" : 2 ,\n\"k\" : [ 1 , 2 ] , \"b\":3}\n", "[ 1 , 2 ]"},
	    {"{\"a\":{\"k\":1}}", NULL},
	    {"{\"a\":{\"k\":1},\"k\":2}", "2"},
	    {"{\"a\":\"\\\",\\\"k\\\":1\",\"k\":2}", "2"},
	    {"{\"a\":[\"}\",\"]\"],\"k\":{\"x\":\",\"}}", "{\"x\":\",\"}"},
	    {"{\"\\u006b\":1}", "1"},
	    {"{\"\\u006b\\u006b\":1}", NULL},
	    {"{\"\\x\":1,\"k\":2}", "2"}, /* not JSON; what remains without the value is not either */
	    {"{\"k\":1,\"k\":2}", "1"},
	    {"{\"k\"}", NULL},
	    {"{\"k\":", ""},
	    {"{\"k\":[1", "[1"},
	    {"{\"k\":\"1", "\"1"},
	    {"{\"k\":\"\\", "\"\\"},
	    {"{}", NULL},
	    {"[\"k\",1]", NULL},
	    {"7", NULL},
	    {"", NULL},
	    {"{", NULL},
	    {"{\"", NULL},
	    {"{\"k", NULL},
	    {"{\"a\":1]\"k\":2}", NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct span value = span_str("unset");
		int r = json_cut_member(span_str(rows[i].text), "k", &value);
		if (r != (rows[i].value ? 0 : -ENOENT) ||
		    !span_eq(value, span_str(rows[i].value ? rows[i].value : "unset")))
			fail_msg("'%s': %d, '%.*s'", rows[i].text, r, SPAN_ARG(value));
	}
}

static void test_elements(void **state)
{
	static const struct {
		const char *text, *elements; /* with a bar after each */
		int end;
	} rows[] = {
	    {"[]", "", 0},
	    {"[ \n]", "", 0},
	    {"[1]", "1|", 0},
	    {"[ 1 ,\t\"a,]\" , {\"x\":[1,2]},[ ]\n]", "1|\"a,]\"|{\"x\":[1,2]}|[ ]|", 0},
	    {"[\"\\\\\",\"\\\"\"]", "\"\\\\\"|\"\\\"\"|", 0},
	    {"[,]", "||", 0}, /* an empty element is not JSON */
	    {"[1,]", "1||", 0},
	    {"[1", "1|", -EINVAL},
	    {"[1,", "1||", -EINVAL},
	    {"[1}", "1|", -EINVAL},
	    {"[1] 2", "1|", -EINVAL},
	    {"[] 2", "|", -EINVAL},
	    {"[", "", -EINVAL},
	    {"", "", -EINVAL},
	    {"{}", "", -EINVAL},
	    {"null", "", -EINVAL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char found[128] = "";
		size_t at = 0, len = 0;
		struct span element;
		int r;
		while ((r = json_cut_element(span_str(rows[i].text), &at, &element)) > 0)
			len += (size_t)snprintf(found + len, sizeof(found) - len, "%.*s|", SPAN_ARG(element));
		if (r != rows[i].end || strcmp(found, rows[i].elements) != 0)
			fail_msg("'%s': %d, '%s'", rows[i].text, r, found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_member),
	    cmocka_unit_test(test_elements),
	};
	return cmocka_run_group_tests_name("json_cut", tests, NULL, NULL);
}
