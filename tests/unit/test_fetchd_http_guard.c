/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that a server may not send us to, in all the forms that they have. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <arpa/inet.h>
#include <netinet/in.h>

/* The code under test */
#include "fetchd/http/guard.h"

static bool is_inner(const char *text)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &a4.sin_addr) == 1)
		return guard_is_inner((const struct sockaddr *)&a4);
	assert_int_equal(inet_pton(AF_INET6, text, &a6.sin6_addr), 1);
	return guard_is_inner((const struct sockaddr *)&a6);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *address;
		bool inner;
	} rows[] = {
	    {"127.0.0.1", true},
	    {"127.255.255.254", true},
	    {"126.255.255.255", false},
	    {"128.0.0.1", false},
	    {"0.0.0.0", true},
	    {"0.1.2.3", true},
	    {"1.0.0.0", false},
	    {"169.254.169.254", true},
	    {"169.254.0.1", true},
	    {"169.253.169.254", false},
	    {"169.255.0.1", false},
	    {"100.100.100.200", true},
	    {"100.100.100.201", false},
	    {"192.0.0.192", true},
	    {"168.63.129.16", true},
	    {"10.0.0.1", false},
	    {"192.168.1.1", false},
	    {"93.184.216.34", false},
	    {"::1", true},
	    {"::", true},
	    {"::2", true}, /* 0.0.0.2, in the old form */
	    {"fe80::1", true},
	    {"febf::1", true},
	    {"fec0::1", false},
	    {"fd00:ec2::254", true},
	    {"fd00:ec2::253", false},
	    {"::ffff:127.0.0.1", true},
	    {"::ffff:169.254.169.254", true},
	    {"::ffff:93.184.216.34", false},
	    {"::127.0.0.1", true},
	    {"64:ff9b::7f00:1", true},
	    {"64:ff9b::5db8:d822", false},
	    {"2002:7f00:1::", true},
	    {"2002:5db8:d822::1", false},
	    {"2001:db8::1", false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (is_inner(rows[i].address) != rows[i].inner)
			fail_msg("%s", rows[i].address);
	struct sockaddr local = {.sa_family = AF_UNIX};
	assert_true(guard_is_inner(&local));
}

static void test_hosts(void **state)
{
	static const struct {
		const char *host;
		bool inner;
	} rows[] = {
	    {"localhost", true},        {"a.localhost", true},
	    {"LOCALHOST.", true},       {"127.0.0.1", true},
	    {"169.254.169.254", true},  {"[::1]", true},
	    {"[fe80::1%25eth0]", true}, {"[::ffff:7f00:1]", true},
	    {"[no address]", true},     {"[2001:db8::1]", false},
	    {"auth.example", false},    {"notlocalhost.example", false},
	    {"93.184.216.34", false},   {"", false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (guard_host_is_inner(rows[i].host) != rows[i].inner)
			fail_msg("%s", rows[i].host);
}

static void test_proxy(void **state)
{
	static const char *const names[] = {"http_proxy",  "https_proxy", "HTTP_PROXY",
					    "HTTPS_PROXY", "all_proxy",   "ALL_PROXY"};
	(void)state;
	for (size_t i = 0; i < LEN(names); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_int_equal(guard_proxy_port(true), 0);
	assert_int_equal(setenv("ALL_PROXY", "socks5h://127.0.0.1:9050", 1), 0);
	assert_int_equal(guard_proxy_port(true), 9050);
	assert_int_equal(guard_proxy_port(false), 9050);
	assert_int_equal(setenv("https_proxy", "proxy.example", 1), 0);
	assert_int_equal(guard_proxy_port(true), 1080);
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:3128/", 1), 0);
	assert_int_equal(guard_proxy_port(false), 3128);
	for (size_t i = 0; i < LEN(names); i++)
		assert_int_equal(unsetenv(names[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_proxy),
	};
	return cmocka_run_group_tests_name("fetchd http guard", tests, NULL, NULL);
}
