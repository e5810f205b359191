/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy a request uses, according to the environment. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/proxy.h"

static struct origin origin(const char *url)
{
	struct origin o;
	struct reason why = {""};
	assert_int_equal(origin_of(url, &o, &why), 0);
	return o;
}

static const struct {
	const char *list, *url;
	bool want;
} exceptions[] = {
    {"*", "http://a.example/", true},
    {"", "http://a.example/", false},
    {" , ,", "http://a.example/", false},
    {"a.example", "http://a.example/", true},
    {"A.EXAMPLE", "http://a.example/", true},
    {"example", "http://a.example/", true},
    {".example", "http://a.example/", true},
    {"*.example", "http://a.example/", true},
    {"example.", "http://a.example./", true},
    {"xample", "http://a.example/", false},
    {"b.a.example", "http://a.example/", false},
    {"b.io, example ,c.io", "http://a.example/", true},
    {"b.io c.io", "http://a.example/", false},
    {"*c.io", "http://abc.io/", false},
    {"a.example:80", "http://a.example/", true},
    {"a.example:81", "http://a.example/", false},
    {"a.example:443", "https://a.example/", true},
    {"a.example:x", "http://a.example/", false},
    {":80", "http://a.example/", false},
    {".", "http://a.example/", false},
    {"10.0.0.1", "http://10.0.0.1/", true},
    {"10.0.0.1:5000", "http://10.0.0.1:5000/", true},
    {"10.0.0.1:5000", "http://10.0.0.1:5001/", false},
    {"10.0.0.1", "http://110.0.0.1/", false},
    {"0.0.1", "http://10.0.0.1/", false},
    {"10.0.0.0/8", "http://10.255.0.1/", true},
    {"10.0.0.0/8", "http://11.0.0.1/", false},
    {"10.128.0.0/9", "http://10.127.0.1/", false},
    {"10.0.0.0/33", "http://10.0.0.0/", false},
    {"10.0.0.0/x", "http://10.0.0.0/", false},
    {"0.0.0.0/0", "http://10.0.0.1/", true},
    {"0.0.0.0/0", "http://a.example/", false},
    {"", "http://localhost/", true},
    {"a.example", "http://LOCALHOST:5000/", true},
    {"", "http://a.localhost/", true},
    {"", "http://alocalhost/", false},
    {"", "http://127.0.0.1:5000/", true},
    {"", "http://127.1/", true},
    {"", "https://[::1]/", true},
    {"", "http://10.0.0.1/", false},
    {"<-loopback>", "http://localhost/", false},
    {"a.example,<-loopback>", "http://[::1]/", false},
    {"<-loopback>, 127.0.0.0/8", "http://127.0.0.1/", true},
    {"<-loopback>", "http://a.example/", false},
    {"fd00::7", "http://[fd00::7]/", true},
    {"[fd00::7]", "http://[fd00::7]/", true},
    {"[fd00::7]:80", "http://[fd00::7]/", true},
    {"[fd00::7]:81", "http://[fd00::7]/", false},
    {"fd00::/8", "http://[fd12::1]/", true},
    {"::/0", "http://10.0.0.1/", false},
};

static void test_exceptions(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(exceptions); i++) {
		struct origin to = origin(exceptions[i].url);
		if (proxy_is_excepted(exceptions[i].list, &to) != exceptions[i].want)
			fail_msg("%s in '%s'", exceptions[i].url, exceptions[i].list);
	}
	char long_list[1024];
	struct origin to = origin("http://a.example/");
	memset(long_list, 'x', sizeof(long_list));
	memcpy(long_list + sizeof(long_list) - 12, ",.a.example", 12);
	assert_true(proxy_is_excepted(long_list, &to));
}

static void test_environment(void **state)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY",
					    "all_proxy",  "ALL_PROXY",   "no_proxy",   "NO_PROXY"};
	const struct origin plain = origin("http://a.example/"), tls = origin("https://a.example/");
	const struct origin loopback = origin("http://localhost:5000/");
	(void)state;
	for (size_t i = 0; i < LEN(names); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_null(proxy_of(&tls));
	assert_int_equal(setenv("HTTP_PROXY", "http://capital.example", 1), 0);
	assert_string_equal(proxy_of(&plain), "http://capital.example");
	assert_null(proxy_of(&tls));
	assert_int_equal(setenv("REQUEST_METHOD", "GET", 1), 0);
	assert_null(proxy_of(&plain));
	assert_int_equal(setenv("ALL_PROXY", "socks5h://127.0.0.1:9050", 1), 0);
	assert_string_equal(proxy_of(&tls), "socks5h://127.0.0.1:9050");
	assert_string_equal(proxy_of(&plain), "socks5h://127.0.0.1:9050");
	assert_int_equal(unsetenv("REQUEST_METHOD"), 0);
	assert_int_equal(setenv("https_proxy", "", 1), 0);
	assert_int_equal(setenv("HTTPS_PROXY", "proxy.example", 1), 0);
	assert_string_equal(proxy_of(&tls), "proxy.example");
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:3128/", 1), 0);
	assert_string_equal(proxy_of(&plain), "http://127.0.0.1:3128/");
	assert_int_equal(setenv("NO_PROXY", "a.example:443", 1), 0);
	assert_null(proxy_of(&tls));
	assert_non_null(proxy_of(&plain));
	assert_null(proxy_of(&loopback));
	assert_int_equal(setenv("no_proxy", "b.example", 1), 0);
	assert_non_null(proxy_of(&tls));
	for (size_t i = 0; i < LEN(names); i++)
		assert_int_equal(unsetenv(names[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exceptions),
	    cmocka_unit_test(test_environment),
	};
	return cmocka_run_group_tests_name("fetchd http proxy", tests, NULL, NULL);
}
