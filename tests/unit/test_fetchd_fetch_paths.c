/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A big blob on paths of different latency and rate, on a set clock: how many requests it takes, how long, and how much
 * memory. The core of fetchd on stand-ins for HTTP, loop and clock; the server answers after the latency and sends at the
 * rate of a connection, and the kernel holds some of it while we do not read.
 */

/* Own */
#include "tests/unit/fetchd_settings.h"

/* Stand-ins */
#include "tests/unit/stand_in_http.h"
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_random.h"

/* System */
#include <fcntl.h>

/* The code under test */
#include "fetchd/fetch.h"

#define MB     1000000u
#define URL    "https://a.io/blob"
#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WINDOW (8u * 1152 << 10)

struct path {
	uint64_t latency_ms; /* of an answer */
	uint64_t rate;       /* bytes per second and connection */
	uint64_t buffer;     /* bytes that the kernel holds for a connection */
};

struct scene {
	struct loop *loop;
	struct settings settings;
	struct fetcher fetcher;
	struct path path;
	uint64_t size;
	int fd;
	struct fetch *fetch;
	bool done;
	enum fail_class outcome;
	uint64_t most;          /* bytes in the window */
	uint64_t longest;       /* range */
	size_t breaks;          /* this exchange breaks off; 0: none */
	uint64_t refused_after; /* the first range from here on is refused; 0: none */
	struct wire {           /* of each exchange */
		uint64_t since_ms;
		uint64_t sent; /* by the server */
		uint64_t had;  /* by us */
	} wires[EXCHANGES_MAX];
};

static bool is_ready(int fd)
{
	(void)fd;
	return false;
}

static void on_done(void *self, struct fetch *f)
{
	struct scene *c = self;
	c->done = true;
	c->outcome = fetch_outcome(f);
	c->fetch = NULL;
	fetch_free(f);
}

static const struct fetch_hooks hooks = {on_done};

static void begin(struct scene *c, const char *words, uint64_t size, const struct path *path)
{
	struct reason why;
	const struct fetch_order order = {
	    .ref = span_str("ref"),
	    .attempt = 1,
	    .source = span_str(URL),
	    .size = size,
	    .expected = span_str(DIGEST),
	};
	memset(c, 0, sizeof(*c));
	c->path = *path;
	c->size = size;
	if (unit_settings(words, &c->settings, &why) < 0)
		fail_msg("%s", why.text);
	c->loop = stand_in_loop_begin(is_ready);
	c->fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(c->fd >= 0);
	assert_int_equal(fetcher_open(&c->fetcher, c->loop, &c->settings), 0);
	assert_int_equal(sink_new_fd(c->loop, c->fd, SINK_RAW, &c->fetcher.sink), 0);
	assert_int_equal(fetch_new(&c->fetcher, &order, &hooks, c, &c->fetch), 0);
	fetch_start(c->fetch);
}

static void finish(struct scene *c)
{
	fetch_free(c->fetch);
	assert_int_equal(c->fetcher.room.used, 0);
	sink_free(c->fetcher.sink);
	fetcher_close(&c->fetcher);
	(void)close(c->fd);
	stand_in_loop_end();
}

/* ── the server, a millisecond at a time ── */

static uint64_t end_of(const struct scene *c, const struct exchange *x)
{
	return x->last != SIZE_UNKNOWN && x->last + 1 < c->size ? x->last + 1 : c->size;
}

static void answer(struct scene *c, struct exchange *x)
{
	char text[256];
	bool refused = c->refused_after > 0 && x->first >= c->refused_after;
	x->answer_ms = c->path.latency_ms;
	if (refused)
		c->refused_after = 0;
	if (refused)
		(void)snprintf(text, sizeof(text), "HTTP/1.1 403 X");
	else if (x->first == 0)
		(void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\nContent-Length: %llu",
			       (unsigned long long)c->size);
	else
		(void)snprintf(text, sizeof(text), "HTTP/1.1 206 OK\nContent-Range: bytes %llu-%llu/%llu",
			       (unsigned long long)x->first, (unsigned long long)end_of(c, x) - 1,
			       (unsigned long long)c->size);
	if (stand_in_head(x, text) && x->response.status == 403)
		stand_in_end(x, HTTP_WHOLE, "");
}

static void serve_one(struct scene *c, struct exchange *x, struct wire *w)
{
	static const uint8_t bytes[1 << 20];
	uint64_t all = end_of(c, x) - x->first, more = c->path.rate / 1000;
	if (!x->answered) {
		if (c->loop->now_ms - w->since_ms >= c->path.latency_ms)
			answer(c, x);
		return;
	}
	uint64_t free = c->path.buffer - (w->sent - w->had);
	if (x->paused && more > free)
		more = free;
	w->sent = all - w->sent < more ? all : w->sent + more;
	while (x->running && !x->paused && w->had < w->sent) {
		uint64_t some = w->sent - w->had < sizeof(bytes) ? w->sent - w->had : sizeof(bytes);
		w->had += stand_in_body(x, bytes, (size_t)some);
	}
	if (x->running && c->breaks == (size_t)(x - stand_in.all) && w->had >= all / 2)
		stand_in_end(x, HTTP_BROKEN_OFF, "broken off");
	else if (x->running && w->had == all)
		stand_in_end(x, HTTP_WHOLE, "");
}

static void turn(struct scene *c)
{
	for (unsigned i = 0; i < 3; i++)
		loop_turn(c->loop, false);
	size_t len = stand_in.len;
	for (size_t i = 0; i < len; i++) {
		struct exchange *x = &stand_in.all[i];
		if (c->wires[i].since_ms == 0) {
			c->wires[i].since_ms = c->loop->now_ms;
			if (x->first > 0 && end_of(c, x) - x->first > c->longest)
				c->longest = end_of(c, x) - x->first;
		}
		if (x->running)
			serve_one(c, x, &c->wires[i]);
	}
	if (c->fetcher.room.used > c->most)
		c->most = c->fetcher.room.used;
	stand_in_pass(1);
}

/* To the end. The number of milliseconds. */
static uint64_t run(struct scene *c)
{
	uint64_t start_ms = c->loop->now_ms;
	while (!c->done && c->loop->now_ms - start_ms < 1000000)
		turn(c);
	assert_true(c->done);
	assert_int_equal(c->outcome, FAIL_NONE);
	return c->loop->now_ms - start_ms;
}

#define QUICK "--retry-delay=10ms --retry-delay-max=10ms --min-speed=0 "

/* How many requests, how long, and how long the ranges are. Eight connections take an eighth of the time, and a start. */
static void test_paths(void **state)
{
	static const struct {
		const char *name;
		struct path path;
		const char *words;
		uint64_t size;
		size_t requests_max;
		uint64_t ms_max;
		uint64_t longest_min, longest_max;
	} rows[] = {
	    {"50 ms, 12.5 MB/s", {50, 12500000, 1250000}, "", 60 * MB, 14, 1400, 4 << 20, 6 << 20},
	    {"smaller buffers", {50, 12500000, 625000}, "", 60 * MB, 14, 1650, 4 << 20, 6 << 20},
	    {"hardly any buffers", {50, 12500000, 128000}, "", 60 * MB, 14, 2150, 4 << 20, 6 << 20},
	    {"short ranges", {50, 12500000, 1250000}, "--range-size=384K ", 60 * MB, 150, 1800, 384 << 10, 384 << 10},
	    {"near", {1, 20000000, 250000}, "", 60 * MB, 150, 560, 384 << 10, 384 << 10},
	    {"on this machine", {0, 20000000, 250000}, "", 60 * MB, 150, 540, 384 << 10, 384 << 10},
	    {"far", {200, 12500000, 5000000}, "", 200 * MB, 16, 6000, 16 << 20, 16 << 20},
	    {"limited", {50, 1000000, 100000}, "", 60 * MB, 160, 9500, 384 << 10, 512 << 10},
	    {"poor", {300, 100000, 60000}, "", 20 * MB, 60, 35000, 384 << 10, 384 << 10},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		char words[256];
		(void)snprintf(words, sizeof(words), QUICK "%s", rows[i].words);
		begin(&c, words, rows[i].size, &rows[i].path);
		uint64_t ms = run(&c);
		if (stand_in.len > rows[i].requests_max || ms > rows[i].ms_max || c.longest < rows[i].longest_min ||
		    c.longest > rows[i].longest_max || c.most > WINDOW)
			fail_msg("%s: %zu requests, %llu ms, up to %llu bytes, %llu in the window", rows[i].name,
				 stand_in.len, (unsigned long long)ms, (unsigned long long)c.longest,
				 (unsigned long long)c.most);
		finish(&c);
	}
}

static const struct path far_away = {50, 12500000, 625000};

/* A long range breaks off: it continues where it stopped, while others are held. */
static void test_broken_range(void **state)
{
	(void)state;
	for (size_t nth = 1; nth < 12; nth++) {
		struct scene c;
		begin(&c, QUICK, 60 * MB, &far_away);
		c.breaks = nth;
		(void)run(&c);
		assert_true(stand_in.len <= 16);
		finish(&c);
	}
}

/* One range is refused, and the ranges after it are held: the stream takes over, up to them. */
static void test_refused_range(void **state)
{
	(void)state;
	for (uint64_t at = 8 * MB; at < 56 * MB; at += 3 * MB) {
		struct scene c;
		begin(&c, QUICK, 60 * MB, &far_away);
		c.refused_after = at;
		(void)run(&c);
		assert_true(c.most <= WINDOW);
		finish(&c);
	}
}

/* The reader is slow: the window is full, and nothing overtakes it. */
static void test_limited_bandwidth(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, QUICK, 60 * MB, &far_away);
	while (c.longest < 4 << 20)
		turn(&c);
	c.settings.all.speed.per_transfer = 5 * MB;
	c.settings.generation++;
	assert_true(run(&c) > 5000);
	assert_true(c.most <= WINDOW);
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_broken_range),
	    cmocka_unit_test(test_refused_range),
	    cmocka_unit_test(test_limited_bandwidth),
	};
	return cmocka_run_group_tests_name("fetchd fetch: paths", tests, NULL, NULL);
}
