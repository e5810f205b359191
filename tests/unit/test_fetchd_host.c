/* SPDX-License-Identifier: Apache-2.0 */
/* Turns with a host: never more than the limit, in the order of the queue, whoever leaves it. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/host.h"

static char order[16];

struct guest {
	char name;
	struct turn turn;
};

static void go(void *self)
{
	const struct guest *g = self;
	size_t len = strlen(order);
	order[len] = g->name;
	order[len + 1] = '\0';
}

static void guests_init(struct guest *gs, size_t gs_len)
{
	order[0] = '\0';
	for (size_t i = 0; i < gs_len; i++)
		gs[i] = (struct guest){.name = (char)('a' + (char)i), .turn = {.go = go, .self = &gs[i]}};
}

static void origin_make(struct origin *o, unsigned n)
{
	*o = (struct origin){.tls = true, .port = 443};
	(void)snprintf(o->host, sizeof(o->host), "h%u.example", n);
}

static void test_queue(void **state)
{
	struct hosts *hs;
	struct guest g[5];
	struct origin o;
	(void)state;
	assert_int_equal(hosts_new(&hs), 0);
	guests_init(g, LEN(g));
	origin_make(&o, 1);
	assert_int_equal(turn_begin(hs, &o, 2, &g[0].turn), 1);
	assert_int_equal(turn_begin(hs, &o, 2, &g[1].turn), 1);
	assert_int_equal(turn_begin(hs, &o, 2, &g[2].turn), 0);
	assert_int_equal(turn_begin(hs, &o, 2, &g[3].turn), 0);
	assert_int_equal(turn_begin(hs, &o, 2, &g[4].turn), 0);
	turn_end(&g[3].turn); /* leaves the queue from the middle */
	assert_string_equal(order, "");
	turn_end(&g[0].turn);
	assert_string_equal(order, "c");
	turn_end(&g[0].turn); /* idle: nothing */
	assert_string_equal(order, "c");
	turn_end(&g[2].turn);
	assert_string_equal(order, "ce");
	assert_int_equal(turn_begin(hs, &o, 2, &g[0].turn), 0);
	turn_end(&g[0].turn); /* leaves the queue from the end */
	turn_end(&g[1].turn);
	turn_end(&g[4].turn);
	assert_int_equal(turn_begin(hs, &o, 2, &g[0].turn), 1);
	assert_int_equal(g[0].turn.host->holding, 1);
	turn_end(&g[0].turn);
	assert_string_equal(order, "ce");
	hosts_free(hs);
}

/* An optional connection is not taken from anybody who waits. */
static void test_optional_connection(void **state)
{
	struct hosts *hs;
	struct guest g[4];
	struct origin o;
	(void)state;
	assert_int_equal(hosts_new(&hs), 0);
	guests_init(g, LEN(g));
	origin_make(&o, 1);
	assert_true(turn_try(hs, &o, 2, &g[0].turn));
	assert_int_equal(turn_begin(hs, &o, 2, &g[1].turn), 1);
	assert_false(turn_try(hs, &o, 2, &g[2].turn));
	assert_null(g[2].turn.host);
	assert_int_equal(turn_begin(hs, &o, 2, &g[3].turn), 0);
	/* More are allowed by now, but others came first. */
	assert_false(turn_try(hs, &o, 3, &g[2].turn));
	turn_end(&g[0].turn);
	assert_string_equal(order, "d");
	turn_end(&g[1].turn);
	assert_true(turn_try(hs, &o, 2, &g[2].turn));
	turn_end(&g[2].turn);
	turn_end(&g[3].turn);
	hosts_free(hs);
}

static void test_ranges_off(void **state)
{
	struct hosts *hs;
	struct origin one, two;
	(void)state;
	assert_int_equal(hosts_new(&hs), 0);
	origin_make(&one, 1);
	origin_make(&two, 2);
	assert_true(host_ranges_allowed(hs, &one, 1000));
	host_ranges_off(hs, &one, 2000);
	assert_false(host_ranges_allowed(hs, &one, 1999));
	assert_true(host_ranges_allowed(hs, &two, 1999));
	assert_true(host_ranges_allowed(hs, &one, 2000));
	hosts_free(hs);
}

static void test_hosts_are_apart(void **state)
{
	struct hosts *hs;
	struct guest g[2];
	struct origin one, two;
	(void)state;
	assert_int_equal(hosts_new(&hs), 0);
	guests_init(g, LEN(g));
	origin_make(&one, 1);
	two = one;
	two.port = 444;
	assert_int_equal(turn_begin(hs, &one, 1, &g[0].turn), 1);
	g[0].turn.host->answered = true;
	assert_int_equal(turn_begin(hs, &two, 1, &g[1].turn), 1);
	assert_false(g[1].turn.host->answered);
	turn_end(&g[0].turn);
	turn_end(&g[1].turn);
	hosts_free(hs);
}

/* A table full of hosts in use has no room. An idle host is replaced, with its state. */
static void test_limit(void **state)
{
	static struct guest g[HOSTS_MAX + 1];
	struct hosts *hs;
	struct origin o;
	(void)state;
	assert_int_equal(hosts_new(&hs), 0);
	guests_init(g, LEN(g));
	for (unsigned i = 0; i < HOSTS_MAX; i++) {
		origin_make(&o, i);
		assert_int_equal(turn_begin(hs, &o, 1, &g[i].turn), 1);
	}
	origin_make(&o, HOSTS_MAX);
	assert_int_equal(turn_begin(hs, &o, 1, &g[HOSTS_MAX].turn), -EAGAIN);
	assert_null(g[HOSTS_MAX].turn.host);
	g[7].turn.host->answered = true;
	turn_end(&g[7].turn);
	assert_int_equal(turn_begin(hs, &o, 1, &g[HOSTS_MAX].turn), 1);
	assert_false(g[HOSTS_MAX].turn.host->answered);
	for (unsigned i = 0; i < LEN(g); i++)
		turn_end(&g[i].turn);
	hosts_free(hs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_queue),      cmocka_unit_test(test_optional_connection),
	    cmocka_unit_test(test_ranges_off), cmocka_unit_test(test_hosts_are_apart),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("fetchd host", tests, NULL, NULL);
}
