/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of fetchd, from FETCH to END: orders, link, transfers, routes, streams, ranges and the sink, linked to
 * stand-ins for HTTP, loop, clock and pipes. One process, no thread, no sleep: time passes when the test says so.
 * Longer than 500 lines because one server and one ingestd serve all of the tests.
 */

/* Own */
#include "tests/unit/fetchd_settings.h"

/* Wire */
#include "common/wire/stage.h"
#include "tests/unit/stand_in_http.h"
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_pipe.h"
#include "tests/unit/stand_in_random.h"

/* The code under test */
#include "fetchd/orders.h"

#define KIB       1024u
#define PART      (128 * KIB)
#define SIZE_MAX_ (4096 * KIB)
#define TURN_MS   10u
#define INGESTD   77u /* its incarnation */
#define REF       "ref"
#define DIGEST    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SOURCE    "https://a.io/blob"

/* ── a server: for each URL, the answers to the next requests; the last row repeats ── */

struct answer {
	const char *head;  /* NULL: correct, 200 or 206 with everything requested */
	enum http_end end; /* HTTP_WHOLE: after everything is sent */
	bool silent;       /* no answer, and `end` at once */
	size_t send;       /* bytes; 0: all */
	size_t a_turn;     /* bytes; 0: all at once */
	bool stalls;       /* after `send` bytes nothing more is sent */
};

struct place {
	const char *url;
	const struct answer *rows;
	size_t len;
	size_t next;
	/* Used once for a range that starts at `slow_at`. */
	uint64_t slow_at;
	const struct answer *slow;
};

/* State of ingestd and fetchd. */
struct scene {
	struct loop *loop;
	struct settings settings;
	struct fetcher fetcher;
	struct orders *orders;
	struct place *places;
	size_t places_len;
	uint64_t size;
	struct run { /* of each exchange */
		const struct answer *answer;
		size_t sent;
	} runs[EXCHANGES_MAX];

	uint64_t attempt, offset;
	unsigned opened, beats, waits, hellos, counts;
	bool ended;
	uint8_t fail_class; /* of a FAIL, else FAIL_NONE */
	uint16_t http_status;
	char text[TEXT_MAX + 1];
	bool is_full;     /* ingestd receives nothing */
	uint64_t turn_ms; /* time per turn */
};

static uint8_t content[SIZE_MAX_];

static struct place *place_of(struct scene *c, const char *url)
{
	for (size_t i = 0; i < c->places_len; i++)
		if (strcmp(c->places[i].url, url) == 0)
			return &c->places[i];
	fail_msg("nobody is at '%s'", url);
	return NULL;
}

static const struct answer *choose(struct scene *c, const struct exchange *x)
{
	struct place *p = place_of(c, x->url);
	if (p->slow && x->first == p->slow_at) {
		const struct answer *slow = p->slow;
		p->slow = NULL;
		return slow;
	}
	const struct answer *a = &p->rows[p->next];
	if (p->next + 1 < p->len)
		p->next++;
	return a;
}

static uint64_t end_of(const struct scene *c, const struct exchange *x)
{
	return x->last != SIZE_UNKNOWN && x->last + 1 < c->size ? x->last + 1 : c->size;
}

static void head(struct scene *c, struct exchange *x, const struct answer *a)
{
	char text[256];
	if (a->head)
		(void)snprintf(text, sizeof(text), "%s", a->head);
	else if (x->first == 0)
		(void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\nETag: \"one\"\nContent-Length: %llu",
			       (unsigned long long)c->size);
	else
		(void)snprintf(
		    text, sizeof(text), "HTTP/1.1 206 OK\nETag: \"one\"\nContent-Range: bytes %llu-%llu/%llu",
		    (unsigned long long)x->first, (unsigned long long)end_of(c, x) - 1, (unsigned long long)c->size);
	(void)stand_in_head(x, text);
}

static void body(struct scene *c, struct exchange *x, struct run *r)
{
	const struct answer *a = r->answer;
	size_t all = a->head ? 0 : (size_t)(end_of(c, x) - x->first);
	size_t most = a->send > 0 && a->send < all ? a->send : all;
	size_t some = a->a_turn > 0 && a->a_turn < most - r->sent ? a->a_turn : most - r->sent;
	if (some > 0)
		r->sent += stand_in_body(x, content + x->first + r->sent, some);
	if (x->running && r->sent == most && !a->stalls)
		stand_in_end(x, a->end, a->end == HTTP_WHOLE ? "" : "broken off");
}

static void serve(struct scene *c)
{
	for (size_t i = 0; i < stand_in.len; i++) {
		struct exchange *x = &stand_in.all[i];
		struct run *r = &c->runs[i];
		if (!x->running || x->paused)
			continue;
		if (!r->answer)
			r->answer = choose(c, x);
		if (r->answer->silent)
			stand_in_end(x, r->answer->end, "no luck");
		else if (!x->answered)
			head(c, x, r->answer);
		else
			body(c, x, r);
	}
}

/* ── ingestd ── */

static void hear(struct scene *c, const struct message *m)
{
	if (m->type == MSG_HELLO) {
		struct message hello = {.type = MSG_HELLO, .incarnation = INGESTD, .peer = m->incarnation};
		stage_introduce(&hello);
		c->hellos++;
		stand_in_pipe_put(PIPE_ORDERS, &hello);
		return;
	}
	if (m->type == MSG_COUNTS) {
		c->counts++;
		return;
	}
	assert_true(span_eq(m->ref, span_str(REF)));
	assert_int_equal(m->attempt, c->attempt);
	assert_false(c->ended);
	c->opened += m->type == MSG_OPENED;
	c->beats += m->type == MSG_BEAT;
	c->waits += m->type == MSG_BEAT && m->until_s > 0;
	if (m->type == MSG_CHUNK) {
		assert_true(c->opened > 0);
		assert_int_equal(m->offset, c->offset);
		assert_memory_equal(m->payload.data, content + c->offset, m->payload.len);
		c->offset += m->payload.len;
	}
	c->ended = m->type == MSG_END || m->type == MSG_FAIL;
	if (m->type == MSG_FAIL) {
		c->fail_class = m->fail_class;
		c->http_status = m->http_status;
		(void)snprintf(c->text, sizeof(c->text), "%.*s", SPAN_ARG(m->text));
	}
}

static void listen_to(struct scene *c)
{
	struct message m;
	while (!c->is_full && stand_in_pipe_take(PIPE_CHUNKS, &m))
		hear(c, &m);
}

static void turn(struct scene *c)
{
	loop_turn(c->loop, false);
	serve(c);
	listen_to(c);
	stand_in_pass(c->turn_ms);
}

static void run(struct scene *c, unsigned turns)
{
	while (turns-- > 0 && !c->ended)
		turn(c);
}

static void order(struct scene *c, enum message_type type, const char *source)
{
	const struct message m = {
	    .type = type,
	    .ref = span_str(REF),
	    .attempt = type == MSG_FETCH ? ++c->attempt : c->attempt,
	    .source = span_str(source),
	    .offset = c->offset,
	    .size = SIZE_UNKNOWN,
	    .expected = span_str(DIGEST),
	};
	stand_in_pipe_put(PIPE_ORDERS, &m);
}

#define CONFIG                                                                                                         \
	"--ranges=1 --retry-delay=1s --retry-delay-max=8s --max-retries=4 --min-speed=0 --range-size=128K "            \
	"--range-min=256K "

/* Start fetchd with CONFIG and `words`, and exchange HELLO. */
static void begin(struct scene *c, struct place *places, size_t len, uint64_t size, const char *words)
{
	struct reason why;
	char line[512];
	memset(c, 0, sizeof(*c));
	c->places = places;
	c->places_len = len;
	c->size = size;
	c->turn_ms = TURN_MS;
	assert_true(size <= sizeof(content));
	(void)snprintf(line, sizeof(line), "%s%s", CONFIG, words);
	if (unit_settings(line, &c->settings, &why) < 0)
		fail_msg("%s", why.text);
	c->loop = stand_in_loop_begin(stand_in_pipe_is_ready);
	assert_int_equal(fetcher_open(&c->fetcher, c->loop, &c->settings), 0);
	assert_int_equal(orders_new(&c->fetcher, "/nowhere", &c->orders), 0);
	for (unsigned i = 0; i < 10 && c->counts == 0; i++)
		turn(c);
	assert_true(c->hellos > 0 && c->counts > 0);
}

static void finish(struct scene *c)
{
	orders_free(c->orders);
	fetcher_close(&c->fetcher);
	stand_in_loop_end();
}

#define AT(address, answers)                                                                                           \
	{                                                                                                              \
		.url = (address), .rows = (answers), .len = LEN(answers)                                               \
	}

/* Number the pages of the content, so that a misplaced byte is detected. */
static int make_content(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i % 251);
	return 0;
}

static void assert_fetched(const struct scene *c)
{
	if (!c->ended || c->fail_class != FAIL_NONE || c->offset != c->size)
		fail_msg("ended %d, class %d, at %llu: %s", c->ended, c->fail_class, (unsigned long long)c->offset,
			 c->text);
}

/* ── one stream ── */

static void test_simple(void **state)
{
	static const struct answer right[] = {{.end = HTTP_WHOLE}};
	struct place places[] = {AT(SOURCE, right)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), 300 * KIB, "");
	order(&c, MSG_FETCH, SOURCE);
	run(&c, 100);
	assert_fetched(&c);
	assert_int_equal(c.opened, 1);
	assert_int_equal(stand_in.len, 1);
	finish(&c);
}

/* All kinds of interruptions; each time the transfer resumes where it stopped. */
static void test_whole_transfer(void **state)
{
	static const struct answer registry[] = {
	    {.silent = true, .end = HTTP_NO_CONNECTION},
	    {.head = "HTTP/1.1 503 X\nRetry-After: 5"},
	    {.head = "HTTP/1.1 307 X\nLocation: https://cdn.io/data"},
	};
	static const struct answer store[] = {
	    {.send = 100 * KIB, .end = HTTP_BROKEN_OFF},
	    {.head = "HTTP/1.1 403 X"}, /* the signed URL has expired */
	    {.send = 64 * KIB, .end = HTTP_WHOLE},
	    {.end = HTTP_WHOLE},
	};
	struct place places[] = {AT(SOURCE, registry), AT("https://cdn.io/data", store)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), 1000 * KIB, "");
	order(&c, MSG_FETCH, SOURCE);
	uint64_t start_ms = c.loop->now_ms;
	run(&c, 3000);
	assert_fetched(&c);
	assert_int_equal(c.opened, 1);
	assert_true(c.waits >= 5); /* the ends of waits are reported */
	assert_true(c.loop->now_ms - start_ms >= 5000);
	static const struct {
		const char *url;
		uint64_t first;
	} want[] = {
	    {SOURCE, 0},         {SOURCE, 0},
	    {SOURCE, 0},         {"https://cdn.io/data", 0},
	    {SOURCE, 100 * KIB}, {"https://cdn.io/data", 100 * KIB},
	    {SOURCE, 100 * KIB}, {"https://cdn.io/data", 100 * KIB},
	    {SOURCE, 164 * KIB}, {"https://cdn.io/data", 164 * KIB},
	};
	assert_int_equal(stand_in.len, LEN(want));
	for (size_t i = 0; i < LEN(want); i++) {
		assert_string_equal(stand_in.all[i].url, want[i].url);
		assert_int_equal(stand_in.all[i].first, want[i].first);
		assert_int_equal(stand_in.all[i].nearest, strcmp(want[i].url, SOURCE) != 0 ? ZONE_PRIVATE : ZONE_ANY);
	}
	finish(&c);
}

/* The number of requests to a server that breaks off each of them after this many bytes. */
static void test_budget(void **state)
{
	static const struct {
		size_t bytes;
		size_t requests;
		bool finishes;
	} rows[] = {
	    {64 * KIB, 10, true},
	    {1, 5, false},
	    {16 * KIB, 6, false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		const struct answer poor[] = {{.send = rows[i].bytes, .end = HTTP_BROKEN_OFF}};
		struct place places[] = {AT(SOURCE, poor)};
		struct scene c;
		begin(&c, places, LEN(places), 640 * KIB - 1, "");
		order(&c, MSG_FETCH, SOURCE);
		run(&c, 20000);
		assert_true(c.ended);
		assert_int_equal(stand_in.len, rows[i].requests);
		assert_int_equal(c.fail_class, rows[i].finishes ? FAIL_NONE : FAIL_AGAIN);
		finish(&c);
	}
}

static void test_failures(void **state)
{
	static const struct {
		struct answer answer;
		enum fail_class want;
		size_t requests;
		uint16_t status;
	} rows[] = {
	    {{.head = "HTTP/1.1 404 X"}, FAIL_NOT_FOUND, 1, 404},
	    {{.head = "HTTP/1.1 403 X"}, FAIL_DENIED, 1, 403},
	    {{.head = "HTTP/1.1 500 X"}, FAIL_AGAIN, 5, 500},
	    {{.head = "HTTP/1.1 200 X\nContent-Encoding: gzip"}, FAIL_BAD_DATA, 3, 200},
	    {{.head = "HTTP/1.1 206 X\nContent-Range: bytes 0-1/2"}, FAIL_BAD_DATA, 3, 206},
	    {{.silent = true, .end = HTTP_NO_ADDRESS}, FAIL_UNAVAILABLE, 4, 0}, /* a host that never answered */
	    {{.silent = true, .end = HTTP_REFUSED}, FAIL_BAD_DATA, 1, 0},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct place places[] = {{.url = SOURCE, .rows = &rows[i].answer, .len = 1}};
		struct scene c;
		begin(&c, places, LEN(places), KIB, "");
		order(&c, MSG_FETCH, SOURCE);
		run(&c, 20000);
		assert_true(c.ended);
		assert_int_equal(c.fail_class, rows[i].want);
		assert_int_equal(c.http_status, rows[i].status);
		assert_int_equal(stand_in.len, rows[i].requests);
		assert_non_null(strstr(c.text, "cannot fetch '" SOURCE "': "));
		finish(&c);
	}
}

/* What is no answer to a range does not end the transfer: it is asked for again, and then everything. */
static void test_wrong_answers(void **state)
{
	static const char *const heads[] = {
	    "HTTP/1.1 206 X\nContent-Range: bytes 0-307199/307200",
	    "HTTP/1.1 206 X\nContent-Range: bytes 102400-307199/307201",
	    "HTTP/1.1 206 X\nContent-Range: bytes 102400-307200/307200",
	    "HTTP/1.1 206 X\nContent-Range: nonsense",
	    "HTTP/1.1 206 X",
	    "HTTP/1.1 206 X\nContent-Type: multipart/byteranges",
	    "HTTP/1.1 206 X\nContent-Range: bytes 102400-307199/307200\nContent-Encoding: gzip",
	    "HTTP/1.1 200 X\nContent-Length: 307201",
	    "HTTP/1.1 200 X\nContent-Length: 307200\nContent-Encoding: gzip",
	    "HTTP/1.1 416 X\nContent-Range: bytes */5",
	};
	(void)state;
	for (size_t i = 0; i < LEN(heads); i++) {
		for (size_t times = 1; times <= 3; times++) {
			struct answer answers[5] = {{.send = 100 * KIB, .end = HTTP_BROKEN_OFF}};
			struct place places[] = {{.url = SOURCE, .rows = answers, .len = times + 2}};
			struct scene c;
			for (size_t n = 1; n <= times; n++)
				answers[n] = (struct answer){.head = heads[i]};
			answers[times + 1] = (struct answer){.end = HTTP_WHOLE};
			begin(&c, places, LEN(places), 300 * KIB, "");
			order(&c, MSG_FETCH, SOURCE);
			run(&c, 20000);
			assert_fetched(&c);
			assert_int_equal(c.opened, 1);
			assert_int_equal(stand_in.len, times + 2);
			assert_int_equal(stand_in.all[times].first, 100 * KIB);
			assert_int_equal(stand_in.all[times + 1].first, times < 3 ? 100 * KIB : 0);
			finish(&c);
		}
	}
}

/* ── orders ── */

/* A connection breaks and loses chunks in flight. ingestd orders the rest again. */
static void test_lost_in_flight(void **state)
{
	static const struct answer slow[] = {{.a_turn = 16 * KIB, .end = HTTP_WHOLE}};
	struct place places[] = {AT(SOURCE, slow)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), 2048 * KIB, "");
	order(&c, MSG_FETCH, SOURCE);
	run(&c, 70);
	c.is_full = true;
	run(&c, 5);
	uint64_t had = c.offset;
	assert_true(had > 0 && stand_in_pipes[PIPE_CHUNKS].len > 0);
	stand_in_pipe_break(PIPE_CHUNKS);
	c.is_full = false;
	unsigned hellos = c.hellos;
	run(&c, 20);
	assert_true(c.hellos > hellos);
	assert_int_equal(c.offset, had);
	for (size_t i = 0; i < stand_in.len; i++)
		assert_false(stand_in.all[i].running);
	order(&c, MSG_FETCH, SOURCE);
	run(&c, 1000);
	assert_fetched(&c);
	assert_int_equal(stand_in_last()->first, had);
	finish(&c);
}

/* Chunks that do not fit into the pipe wait, and the server is paused. Nothing is lost or duplicated. */
static void test_full_pipe(void **state)
{
	static const struct answer right[] = {{.a_turn = 128 * KIB, .end = HTTP_WHOLE}};
	struct place places[] = {AT(SOURCE, right)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), SIZE_MAX_, "");
	order(&c, MSG_FETCH, SOURCE);
	c.is_full = true;
	run(&c, 100);
	assert_true(stand_in_last()->paused);
	c.is_full = false;
	run(&c, 1000);
	assert_fetched(&c);
	assert_int_equal(stand_in.len, 1);
	finish(&c);
}

static void test_cancel(void **state)
{
	static const struct answer slow[] = {{.a_turn = KIB, .end = HTTP_WHOLE}};
	struct place places[] = {AT(SOURCE, slow)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), 1024 * KIB, "");
	order(&c, MSG_FETCH, SOURCE);
	run(&c, 20);
	assert_true(stand_in_last()->running);
	order(&c, MSG_CANCEL, "");
	run(&c, 3);
	assert_false(stand_in_last()->running);
	finish(&c);
}

/* ── ranges ── */

#define RANGED "--ranges=4 "

/* A slow stream with fast ranges beside it: together they request each byte once. */
static void test_ranges(void **state)
{
	static const struct answer rows[] = {{.a_turn = 16 * KIB, .end = HTTP_WHOLE}, {.end = HTTP_WHOLE}};
	struct place places[] = {AT(SOURCE, rows)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), SIZE_MAX_, RANGED);
	order(&c, MSG_FETCH, SOURCE);
	run(&c, 2000);
	assert_fetched(&c);
	assert_int_equal(c.opened, 1);
	assert_int_equal(stand_in.all[0].first, 0);
	assert_int_equal(stand_in.all[0].last, SIZE_UNKNOWN);
	uint64_t end = stand_in.all[1].first;
	assert_true(end > 0);
	for (size_t i = 1; i < stand_in.len; i++) {
		assert_int_equal(stand_in.all[i].first, end);
		end = stand_in.all[i].last + 1;
	}
	assert_int_equal(end, SIZE_MAX_);
	finish(&c);
}

/* One range stalls while the others are fast. It is requested again from where it stopped. */
static void test_slow_range(void **state)
{
	static const struct answer rows[] = {{.a_turn = 16 * KIB, .end = HTTP_WHOLE}, {.end = HTTP_WHOLE}};
	static const struct answer stall = {.send = 50 * KIB, .stalls = true};
	struct place places[] = {AT(SOURCE, rows)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), SIZE_MAX_, RANGED);
	order(&c, MSG_FETCH, SOURCE);
	while (stand_in.len < 2)
		turn(&c);
	places[0].slow_at = stand_in.all[1].first + 5 * PART;
	places[0].slow = &stall;
	c.turn_ms = 0;
	run(&c, 200);
	assert_false(c.ended);
	c.turn_ms = TURN_MS;
	run(&c, 2000);
	assert_fetched(&c);
	unsigned again = 0;
	for (size_t i = 0; i < stand_in.len; i++)
		again += stand_in.all[i].first == places[0].slow_at + 50 * KIB;
	assert_int_equal(again, 1);
	finish(&c);
}

/* Later ranges are refused, broken or mishandled. One stream takes over at the first missing byte. */
static void test_ranges_that_end(void **state)
{
	static const struct {
		struct answer answer;
		unsigned retries; /* at least, as counted by the transfer */
	} rows[] = {
	    {{.head = "HTTP/1.1 403 X"}, 0},
	    {{.head = "HTTP/1.1 416 X"}, 0},
	    {{.head = "HTTP/1.1 200 X\nContent-Length: 4194304"}, 0},
	    {{.head = "HTTP/1.1 503 X\nRetry-After: 3600"}, 1},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		static const struct answer right[] = {{.a_turn = 16 * KIB, .end = HTTP_WHOLE}, {.end = HTTP_WHOLE}};
		struct place places[] = {AT(SOURCE, right)};
		struct scene c;
		begin(&c, places, LEN(places), SIZE_MAX_, RANGED "--retry-after-max=2h ");
		order(&c, MSG_FETCH, SOURCE);
		while (stand_in.len < 2)
			turn(&c);
		places[0].slow_at = stand_in.all[1].first + 6 * PART;
		places[0].slow = &rows[i].answer;
		run(&c, 400000);
		assert_fetched(&c);
		assert_int_equal(c.opened, 1);
		finish(&c);
	}
}

/* A full pipe, a limit and a reload while ranges run. */
static void test_ranges_held_back(void **state)
{
	static const struct answer rows[] = {{.a_turn = 16 * KIB, .end = HTTP_WHOLE}, {.end = HTTP_WHOLE}};
	struct place places[] = {AT(SOURCE, rows)};
	struct scene c;
	(void)state;
	begin(&c, places, LEN(places), SIZE_MAX_, RANGED);
	order(&c, MSG_FETCH, SOURCE);
	while (stand_in.len < 3)
		turn(&c);
	c.is_full = true;
	run(&c, 50);
	assert_true(c.fetcher.room.used <= 4 * PART);
	c.is_full = false;
	c.settings.all.speed.per_transfer = 1024 * KIB;
	c.settings.generation++;
	uint64_t start_ms = c.loop->now_ms, had = c.offset;
	run(&c, 20000);
	assert_fetched(&c);
	uint64_t least_ms = (SIZE_MAX_ - had) / (1024 * KIB) * 1000;
	assert_true(c.loop->now_ms - start_ms + 1000 > least_ms);
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_simple),          cmocka_unit_test(test_whole_transfer),
	    cmocka_unit_test(test_budget),          cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_wrong_answers),   cmocka_unit_test(test_lost_in_flight),
	    cmocka_unit_test(test_full_pipe),       cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_ranges),          cmocka_unit_test(test_slow_range),
	    cmocka_unit_test(test_ranges_that_end), cmocka_unit_test(test_ranges_held_back),
	};
	return cmocka_run_group_tests_name("fetchd fetch", tests, make_content, NULL);
}
