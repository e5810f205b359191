/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that a redirect must not lead to, in all their forms. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

/* The code under test */
#include "fetchd/http/guard.h"

/* The zone of a socket address, which is also that of its text. */
static enum guard_zone zone_of(const char *text)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	bool is4 = inet_pton(AF_INET, text, &a4.sin_addr) == 1;
	if (!is4)
		assert_int_equal(inet_pton(AF_INET6, text, &a6.sin6_addr), 1);
	enum guard_zone zone = guard_zone(is4 ? (const struct sockaddr *)&a4 : (const struct sockaddr *)&a6);
	assert_int_equal(guard_ip_zone(text), zone);
	return zone;
}

static const struct {
	const char *address;
	enum guard_zone zone;
} addresses[] = {
    {"127.0.0.1", ZONE_LOOPBACK},
    {"127.255.255.254", ZONE_LOOPBACK},
    {"126.255.255.255", ZONE_PUBLIC},
    {"128.0.0.1", ZONE_PUBLIC},
    {"0.0.0.0", ZONE_LOOPBACK},
    {"0.1.2.3", ZONE_LOOPBACK},
    {"1.0.0.0", ZONE_PUBLIC},
    {"169.254.169.254", ZONE_METADATA},
    {"169.254.170.2", ZONE_METADATA},
    {"169.254.0.1", ZONE_LINK},
    {"169.253.169.254", ZONE_PUBLIC},
    {"169.255.0.1", ZONE_PUBLIC},
    {"100.100.100.200", ZONE_METADATA},
    {"100.100.100.201", ZONE_PRIVATE},
    {"100.63.255.255", ZONE_PUBLIC},
    {"100.128.0.0", ZONE_PUBLIC},
    {"192.0.0.192", ZONE_METADATA},
    {"192.0.1.0", ZONE_PUBLIC},
    {"168.63.129.16", ZONE_METADATA},
    {"10.255.0.1", ZONE_PRIVATE},
    {"11.0.0.1", ZONE_PUBLIC},
    {"172.15.255.255", ZONE_PUBLIC},
    {"172.31.255.255", ZONE_PRIVATE},
    {"172.32.0.0", ZONE_PUBLIC},
    {"192.168.255.1", ZONE_PRIVATE},
    {"192.169.0.1", ZONE_PUBLIC},
    {"198.19.255.255", ZONE_PRIVATE},
    {"223.255.255.255", ZONE_PUBLIC},
    {"224.0.0.1", ZONE_LOOPBACK},
    {"255.255.255.255", ZONE_LOOPBACK},
    {"93.184.216.34", ZONE_PUBLIC},
    {"::1", ZONE_LOOPBACK},
    {"::", ZONE_LOOPBACK},
    {"::2", ZONE_LOOPBACK}, /* 0.0.0.2, in the old form */
    {"ff02::1", ZONE_LOOPBACK},
    {"fe80::1", ZONE_LINK},
    {"febf::1", ZONE_LINK},
    {"fec0::1", ZONE_PRIVATE},
    {"fc00::1", ZONE_PRIVATE},
    {"fdff::1", ZONE_PRIVATE},
    {"fbff::1", ZONE_PUBLIC},
    {"fd00:ec2::254", ZONE_METADATA},
    {"fd00:ec2::253", ZONE_METADATA},
    {"fd00:ec2::23", ZONE_METADATA},
    {"fd20:ce::254", ZONE_METADATA},
    {"fd20:ce::253", ZONE_PRIVATE},
    {"fd00:42::42", ZONE_METADATA},
    {"fd00:c1::a9fe:a9fe", ZONE_METADATA},
    {"2001:db8::a9fe:a9fe", ZONE_METADATA}, /* through an unknown translator */
    {"::ffff:127.0.0.1", ZONE_LOOPBACK},
    {"::ffff:10.255.0.1", ZONE_PRIVATE},
    {"::ffff:169.254.169.254", ZONE_METADATA},
    {"::ffff:93.184.216.34", ZONE_PUBLIC},
    {"::ffff:0:127.0.0.1", ZONE_LOOPBACK},
    {"::127.0.0.1", ZONE_LOOPBACK},
    {"64:ff9b::7f00:1", ZONE_LOOPBACK},
    {"64:ff9b::aff:1", ZONE_PRIVATE},
    {"64:ff9b::6464:64c8", ZONE_METADATA},
    {"64:ff9b::5db8:d822", ZONE_PUBLIC},
    {"64:ff9b:1::7f00:1", ZONE_LOOPBACK},
    {"64:ff9b:1:7f00:0:100::", ZONE_LOOPBACK},
    {"64:ff9b:1:007f:0:1::", ZONE_LOOPBACK},
    {"64:ff9b:1::7f:0:100:0", ZONE_LOOPBACK},
    {"64:ff9b:1::a9fe:1", ZONE_LOOPBACK}, /* as a /64 its bytes would be those of 0.0.0.0 */
    {"64:ff9b:1:5db8:d8:2200:5db8:d822", ZONE_PRIVATE},
    {"64:ff9b:2::7f00:1", ZONE_PUBLIC},
    {"2002:7f00:1::", ZONE_LOOPBACK},
    {"2002:aff:1::", ZONE_PRIVATE},
    {"2002:5db8:d822::1", ZONE_PUBLIC},
    {"2001:0:5db8:d822::80ff:fffe", ZONE_LOOPBACK}, /* Teredo, its client inverted */
    {"2001:0:7f00:1::a247:27dd", ZONE_LOOPBACK},
    {"2001:0:5db8:d822::a247:27dd", ZONE_PUBLIC},
    {"2001:db8::5efe:127.0.0.1", ZONE_LOOPBACK}, /* ISATAP */
    {"2001:db8::200:5efe:10.255.0.1", ZONE_PRIVATE},
    {"2001:db8::1:5efe:127.0.0.1", ZONE_PUBLIC},
    {"2001:db8::1", ZONE_PUBLIC},
};

static void test_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(addresses); i++)
		if (zone_of(addresses[i].address) != addresses[i].zone)
			fail_msg("%s: %d", addresses[i].address, zone_of(addresses[i].address));
	struct sockaddr local = {.sa_family = AF_UNIX};
	assert_int_equal(guard_zone(&local), ZONE_LOOPBACK);
}

/* All addresses of this machine, in each form. */
static void test_own_addresses(void **state)
{
	struct ifaddrs *all = NULL;
	(void)state;
	if (getifaddrs(&all) < 0) /* without netlink */
		skip();
	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		char mapped[INET6_ADDRSTRLEN + 8], text[INET6_ADDRSTRLEN];
		const struct sockaddr_in *in = (const void *)at->ifa_addr;
		if (!in || (in->sin_family != AF_INET && in->sin_family != AF_INET6))
			continue;
		enum guard_zone zone = guard_zone(at->ifa_addr);
		assert_true(zone == ZONE_OWN || zone == ZONE_LOOPBACK || zone == ZONE_LINK);
		if (in->sin_family != AF_INET)
			continue;
		(void)snprintf(mapped, sizeof(mapped), "::ffff:%s",
			       inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)));
		assert_int_equal(guard_ip_zone(mapped), zone);
	}
	freeifaddrs(all);
}

static void test_hosts(void **state)
{
	static const struct {
		const char *host;
		enum guard_zone zone;
	} rows[] = {
	    {"localhost", ZONE_LOOPBACK},
	    {"a.localhost", ZONE_LOOPBACK},
	    {"LOCALHOST.", ZONE_LOOPBACK},
	    {"127.0.0.1", ZONE_LOOPBACK},
	    {"169.254.169.254", ZONE_METADATA},
	    {"[::1]", ZONE_LOOPBACK},
	    {"[fe80::1%25eth0]", ZONE_LINK},
	    {"[::ffff:7f00:1]", ZONE_LOOPBACK},
	    {"[no address]", ZONE_LOOPBACK},
	    {"[2001:db8::1]", ZONE_PUBLIC},
	    {"auth.example", ZONE_PUBLIC},
	    {"notlocalhost.example", ZONE_PUBLIC},
	    {"93.184.216.34", ZONE_PUBLIC},
	    {"", ZONE_PUBLIC},
	    {"10.255.0.1", ZONE_PRIVATE},
	    {"[", ZONE_LOOPBACK},
	    {"127.0.0.1.", ZONE_LOOPBACK},
	    {"127.0.0.1..", ZONE_LOOPBACK},
	    {"0x7f000001.", ZONE_LOOPBACK},
	    {"127.1", ZONE_LOOPBACK},
	    {"0251.0376.43518", ZONE_METADATA},
	    {"169.254.169.254.", ZONE_METADATA},
	    {"0xa.0377.1", ZONE_PRIVATE},
	    {"1572395042", ZONE_PUBLIC},
	    {"4294967296", ZONE_LOOPBACK},
	    {"1.2.3.4.5", ZONE_LOOPBACK},
	    {"a.0X1F", ZONE_LOOPBACK},
	    {"a.0x1g", ZONE_PUBLIC},
	    {"0x7f.example", ZONE_PUBLIC},
	    {"ip6-localhost", ZONE_LOOPBACK},
	    {"ip6-loopback.", ZONE_LOOPBACK},
	    {"localhost.localdomain", ZONE_LOOPBACK},
	    {".", ZONE_PUBLIC},
	    {"localhost.example", ZONE_PUBLIC},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (guard_host_zone(rows[i].host) != rows[i].zone)
			fail_msg("%s", rows[i].host);
}

/* A redirect may lead as far out as the server is, or farther. */
static void test_rule(void **state)
{
	(void)state;
	for (int from = ZONE_METADATA; from <= ZONE_PUBLIC; from++) {
		assert_int_equal(guard_nearest((enum guard_zone)from, false), from);
		assert_int_equal(guard_nearest((enum guard_zone)from, true), from == ZONE_PUBLIC ? ZONE_PRIVATE : from);
	}
	assert_string_equal(guard_zone_text(ZONE_METADATA), "this machine or its link");
	assert_string_equal(guard_zone_hint(ZONE_OWN), "");
	assert_string_equal(guard_zone_text(ZONE_PRIVATE), "a private network");
	assert_non_null(strstr(guard_zone_hint(ZONE_PRIVATE), "[registry HOST]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_own_addresses),
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_rule),
	};
	return cmocka_run_group_tests_name("fetchd http guard", tests, NULL, NULL);
}
