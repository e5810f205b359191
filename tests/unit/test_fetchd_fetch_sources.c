/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several transfers and several sources, one of which is dead: who is asked, and how often. The core of fetchd on
 * stand-ins for HTTP, loop and clock.
 */

/* Own */
#include "tests/unit/fetchd_settings.h"

/* Stand-ins */
#include "tests/unit/stand_in_http.h"
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_random.h"

/* The code under test */
#include "fetchd/fetch.h"

#define LAYERS   24u
#define STALL_MS 3000u
#define TURN_MS  10u
#define SIZE     100000u
#define HEX      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum mood {
	MOOD_RIGHT,
	MOOD_SILENT,  /* accepts, and stalls */
	MOOD_ABSENT,  /* refuses connections */
	MOOD_MISSING, /* 404 */
	MOOD_AWAY,    /* redirects to cdn.io */
	MOOD_STALLS,  /* in the body */
};

struct scene {
	struct loop *loop;
	struct settings settings;
	struct fetcher fetcher;
	FILE *out;
	struct layer {
		struct fetch *fetch;
		bool done;
		enum fail_class outcome;
	} layers[LAYERS];
	uint64_t since_ms[EXCHANGES_MAX];
	struct place {
		const char *url; /* its beginning */
		enum mood mood;
		unsigned asked, most; /* requests, and the most at a time */
	} places[4];
};

static bool is_ready(int fd)
{
	(void)fd;
	return false;
}

static void on_done(void *self, struct fetch *f)
{
	struct layer *l = self;
	l->done = true;
	l->outcome = fetch_outcome(f);
	l->fetch = NULL;
	fetch_free(f);
}

static const struct fetch_hooks hooks = {on_done};

static void begin(struct scene *c, const char *words)
{
	struct reason why;
	memset(c, 0, sizeof(*c));
	c->places[0] = (struct place){.url = "https://mirror.io/"};
	c->places[1] = (struct place){.url = "https://second.io/"};
	c->places[2] = (struct place){.url = "https://a.io/"};
	c->places[3] = (struct place){.url = "https://cdn.io/"};
	if (unit_settings(words, &c->settings, &why) < 0)
		fail_msg("%s", why.text);
	c->loop = stand_in_loop_begin(is_ready);
	c->out = tmpfile();
	assert_non_null(c->out);
	assert_int_equal(fetcher_open(&c->fetcher, c->loop, &c->settings), 0);
	assert_int_equal(sink_new_fd(c->loop, fileno(c->out), SINK_RAW, &c->fetcher.sink), 0);
}

static void mirror(struct scene *c, const char *url)
{
	assert_int_equal(registries_set(&c->settings.registries, "a.io", "mirror", url, NULL), 0);
}

static void finish(struct scene *c)
{
	for (size_t i = 0; i < LAYERS; i++)
		fetch_free(c->layers[i].fetch);
	sink_free(c->fetcher.sink);
	fetcher_close(&c->fetcher);
	(void)fclose(c->out);
	stand_in_loop_end();
}

static void start(struct scene *c, size_t first, size_t len)
{
	for (size_t i = first; i < first + len; i++) {
		const struct fetch_order order = {
		    .ref = span_str("ref"),
		    .attempt = 1,
		    .source = span_str("blob://a.io/app@sha256:" HEX),
		    .size = SIZE,
		    .expected = span_str("sha256:" HEX),
		};
		struct layer *l = &c->layers[i];
		*l = (struct layer){0};
		assert_int_equal(fetch_new(&c->fetcher, &order, &hooks, l, &l->fetch), 0);
		fetch_start(l->fetch);
	}
}

/* ── the servers ── */

static struct place *place_of(struct scene *c, const struct exchange *x)
{
	for (size_t i = 0; i < LEN(c->places); i++)
		if (strncmp(x->url, c->places[i].url, strlen(c->places[i].url)) == 0)
			return &c->places[i];
	fail_msg("nobody is at '%s'", x->url);
	return NULL;
}

static void take_in(struct scene *c)
{
	unsigned running[LEN(c->places)] = {0};
	for (size_t i = 0; i < stand_in.len; i++) {
		struct place *p = place_of(c, &stand_in.all[i]);
		running[p - c->places] += stand_in.all[i].running;
		if (c->since_ms[i] == 0) {
			c->since_ms[i] = c->loop->now_ms;
			p->asked++;
		}
	}
	for (size_t i = 0; i < LEN(c->places); i++)
		if (running[i] > c->places[i].most)
			c->places[i].most = running[i];
}

static void serve_one(struct scene *c, struct exchange *x, uint64_t waited_ms)
{
	static const uint8_t bytes[SIZE];
	static const char whole[] = "HTTP/1.1 200 X\nContent-Length: 100000";
	switch (place_of(c, x)->mood) {
	case MOOD_RIGHT:
		if (stand_in_head(x, whole) && stand_in_body(x, bytes, SIZE) == SIZE && x->running)
			stand_in_end(x, HTTP_WHOLE, "");
		return;
	case MOOD_SILENT:
		if (waited_ms >= STALL_MS)
			stand_in_end(x, HTTP_STALLED, "no bytes arrived");
		return;
	case MOOD_ABSENT:
		stand_in_end(x, HTTP_NO_CONNECTION, "refused");
		return;
	case MOOD_MISSING:
		if (stand_in_head(x, "HTTP/1.1 404 X"))
			stand_in_end(x, HTTP_WHOLE, "");
		return;
	case MOOD_AWAY:
		if (stand_in_head(x, "HTTP/1.1 307 X\nLocation: https://cdn.io/data"))
			stand_in_end(x, HTTP_WHOLE, "");
		return;
	case MOOD_STALLS:
		if (!x->answered && stand_in_head(x, whole))
			(void)stand_in_body(x, bytes, 1000);
		if (x->running && waited_ms >= STALL_MS)
			stand_in_end(x, HTTP_STALLED, "no bytes arrived");
		return;
	}
}

static void turn(struct scene *c)
{
	loop_turn(c->loop, false);
	take_in(c);
	size_t len = stand_in.len; /* those that come meanwhile have their turn later */
	for (size_t i = 0; i < len; i++)
		if (stand_in.all[i].running)
			serve_one(c, &stand_in.all[i], c->loop->now_ms - c->since_ms[i]);
	stand_in_pass(TURN_MS);
}

static size_t done(const struct scene *c, enum fail_class outcome)
{
	size_t n = 0;
	for (size_t i = 0; i < LAYERS; i++)
		n += c->layers[i].done && c->layers[i].outcome == outcome;
	return n;
}

static void run_ms(struct scene *c, uint64_t ms)
{
	for (uint64_t end_ms = c->loop->now_ms + ms; c->loop->now_ms < end_ms;)
		turn(c);
}

static void run_all(struct scene *c, size_t len)
{
	for (unsigned turns = 0; turns < 100000; turns++) {
		size_t over = 0;
		for (size_t i = 0; i < LAYERS; i++)
			over += c->layers[i].done;
		if (over == len)
			return;
		turn(c);
	}
	fail_msg("it does not end");
}

#define QUICK "--retry-delay=1s --retry-delay-max=8s --max-retries=4 --ranges=1"

/* The first layer has found out that the mirror is silent. */
static void begin_with_dead_mirror(struct scene *c)
{
	begin(c, QUICK);
	mirror(c, "https://mirror.io");
	c->places[0].mood = MOOD_SILENT;
	start(c, 0, 1);
	run_all(c, 1);
}

/* ── several sources ── */

/* The first layer finds out; all others go to the registry at once. */
static void test_dead_mirror_costs_one_time_out(void **state)
{
	static const enum mood moods[] = {MOOD_SILENT, MOOD_STALLS, MOOD_ABSENT};
	(void)state;
	for (size_t i = 0; i < LEN(moods); i++) {
		struct scene c;
		begin(&c, QUICK);
		mirror(&c, "https://mirror.io");
		c.places[0].mood = moods[i];
		start(&c, 0, 1);
		run_all(&c, 1);
		uint64_t start_ms = c.loop->now_ms;
		start(&c, 1, LAYERS - 1);
		run_all(&c, LAYERS);
		assert_int_equal(done(&c, FAIL_NONE), LAYERS);
		assert_int_equal(c.places[0].asked, 1);
		assert_int_equal(c.places[2].asked, LAYERS);
		assert_true(c.loop->now_ms - start_ms < STALL_MS);
		assert_int_equal(hosts_open(c.fetcher.hosts), 1);
		finish(&c);
	}
}

/* All ask at once: those who have a connection wait for one time-out, those in line for none. */
static void test_dead_mirror_and_many_at_once(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, QUICK);
	mirror(&c, "https://mirror.io");
	c.places[0].mood = MOOD_SILENT;
	uint64_t start_ms = c.loop->now_ms;
	start(&c, 0, LAYERS);
	run_all(&c, LAYERS);
	assert_int_equal(done(&c, FAIL_NONE), LAYERS);
	assert_int_equal(c.places[0].asked, 8);
	assert_true(c.loop->now_ms - start_ms < 2 * STALL_MS);
	finish(&c);
}

/* One request tries the mirror when its time is over; when that works, all use it again. */
static void test_mirror_comes_back(void **state)
{
	struct scene c;
	(void)state;
	begin_with_dead_mirror(&c);
	run_ms(&c, BREAKER_FACTOR * STALL_MS);
	start(&c, 1, 8);
	run_all(&c, 9);
	assert_int_equal(c.places[0].asked, 2);
	c.places[0].mood = MOOD_RIGHT;
	run_ms(&c, 2 * BREAKER_FACTOR * STALL_MS);
	start(&c, 9, 1);
	run_all(&c, 10);
	start(&c, 10, 5);
	run_all(&c, 15);
	assert_int_equal(done(&c, FAIL_NONE), 15);
	assert_int_equal(c.places[0].asked, 2 + 6);
	assert_int_equal(hosts_open(c.fetcher.hosts), 0);
	finish(&c);
}

/* The storage to which the mirror redirects is dead, and the mirror itself is not. */
static void test_dead_storage_of_a_mirror(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, QUICK);
	mirror(&c, "https://mirror.io");
	c.places[0].mood = MOOD_AWAY;
	c.places[3].mood = MOOD_SILENT;
	start(&c, 0, 1);
	run_all(&c, 1);
	start(&c, 1, LAYERS - 1);
	run_all(&c, LAYERS);
	assert_int_equal(done(&c, FAIL_NONE), LAYERS);
	assert_int_equal(c.places[0].asked, LAYERS);
	assert_int_equal(c.places[3].asked, 1);
	finish(&c);
}

/* What the others lack may be at the one that was passed over: it is asked before the transfer fails. */
static void test_last_resort(void **state)
{
	static const struct {
		enum mood mirror;
		enum fail_class want;
	} rows[] = {{MOOD_RIGHT, FAIL_NONE}, {MOOD_SILENT, FAIL_NOT_FOUND}, {MOOD_MISSING, FAIL_NOT_FOUND}};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		begin(&c, QUICK);
		mirror(&c, "https://mirror.io");
		mirror(&c, "https://second.io");
		c.places[0].mood = MOOD_SILENT;
		start(&c, 0, 1);
		run_all(&c, 1);
		c.places[0].mood = rows[i].mirror;
		c.places[1].mood = c.places[2].mood = MOOD_MISSING;
		start(&c, 1, 1);
		run_all(&c, 2);
		assert_int_equal(c.layers[1].outcome, rows[i].want);
		assert_int_equal(c.places[0].asked, 2);
		finish(&c);
	}
}

/* If all are unavailable, they are asked in turn as if none were. */
static void test_all_sources_dead(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, QUICK);
	mirror(&c, "https://mirror.io");
	c.places[0].mood = c.places[2].mood = MOOD_SILENT;
	start(&c, 0, 1);
	run_ms(&c, 4 * STALL_MS);
	assert_int_equal(hosts_open(c.fetcher.hosts), 2);
	assert_true(c.places[0].asked >= 2 && c.places[2].asked >= 1);
	c.places[2].mood = MOOD_RIGHT;
	start(&c, 1, 7);
	run_all(&c, 8);
	assert_int_equal(done(&c, FAIL_NONE), 8);
	finish(&c);
}

/* ── a single source: it makes no difference ── */

static void test_single_source_dead(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, QUICK);
	c.places[2].mood = MOOD_SILENT;
	start(&c, 0, LAYERS);
	run_all(&c, LAYERS);
	assert_int_equal(done(&c, FAIL_AGAIN), LAYERS);
	assert_int_equal(c.places[2].asked, LAYERS * 4); /* 3 retries of a host that never answered */
	finish(&c);
}

static void test_single_source_comes_back(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, QUICK);
	c.places[2].mood = MOOD_SILENT;
	start(&c, 0, LAYERS);
	run_ms(&c, STALL_MS + STALL_MS / 2);
	assert_int_equal(hosts_open(c.fetcher.hosts), 1);
	c.places[2].mood = MOOD_RIGHT;
	run_all(&c, LAYERS);
	assert_int_equal(done(&c, FAIL_NONE), LAYERS);
	assert_int_equal(hosts_open(c.fetcher.hosts), 0);
	finish(&c);
}

/* The one that tries the mirror again is cancelled: the next one tries. */
static void test_probe_is_cancelled(void **state)
{
	struct scene c;
	(void)state;
	begin_with_dead_mirror(&c);
	run_ms(&c, BREAKER_FACTOR * STALL_MS);
	start(&c, 1, 1);
	turn(&c);
	assert_int_equal(c.places[0].asked, 2);
	fetch_free(c.layers[1].fetch);
	c.layers[1].fetch = NULL;
	start(&c, 2, 3);
	run_all(&c, 4);
	assert_int_equal(c.places[0].asked, 3);
	finish(&c);
}

/* A reload forgets that it was unavailable. */
static void test_reload(void **state)
{
	struct scene c;
	(void)state;
	begin_with_dead_mirror(&c);
	c.places[0].mood = MOOD_RIGHT;
	c.settings.generation++;
	assert_int_equal(fetcher_forget(&c.fetcher), 0);
	assert_int_equal(hosts_open(c.fetcher.hosts), 0);
	start(&c, 1, 3);
	run_all(&c, 4);
	assert_int_equal(c.places[0].asked, 4);
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dead_mirror_costs_one_time_out),
	    cmocka_unit_test(test_dead_mirror_and_many_at_once),
	    cmocka_unit_test(test_mirror_comes_back),
	    cmocka_unit_test(test_dead_storage_of_a_mirror),
	    cmocka_unit_test(test_last_resort),
	    cmocka_unit_test(test_all_sources_dead),
	    cmocka_unit_test(test_single_source_dead),
	    cmocka_unit_test(test_single_source_comes_back),
	    cmocka_unit_test(test_probe_is_cancelled),
	    cmocka_unit_test(test_reload),
	};
	return cmocka_run_group_tests_name("fetchd fetch: sources", tests, NULL, NULL);
}
