/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of fetchd, as assembled in serve.c, on stand-ins for HTTP, loop, clock, pipes and random numbers: it connects,
 * takes orders, sends its counters, reloads, stops. test_fetchd_fetch.c has the failures of transfers.
 */

/* Own */
#include "tests/unit/fetchd_settings.h"

#include "tests/unit/stand_in_confine.h"
#include "tests/unit/stand_in_http.h"
#include "tests/unit/stand_in_random.h"
#include "tests/unit/stand_in_stage.h"

/* Wire */
#include "common/wire/counters.h"

/* The code under test */
#include "fetchd/serve.h"

#define REF       "ref"
#define SOURCE    "https://a.io/blob"
#define DIGEST    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIZE      300000u
#define PIECE     10000u
#define TURN_MS   10u
#define TURNS_MAX 10000u
#define INGESTD   77u /* its incarnation */
#define CONFIG    "sluice.conf"

static struct unit_dir dir;
static struct settings settings;
static struct call call;
static char words[FILE_PATH_SIZE];
static uint8_t content[SIZE];

/* State of ingestd. */
static struct {
	uint64_t self, attempt, offset;
	unsigned hellos, counts;
	bool ended;
	uint8_t fail_class;
} got;

static void configure(const char *text)
{
	unit_write_text(&dir, CONFIG, text);
}

static int setup(void **state)
{
	(void)state;
	unit_dir_make(&dir);
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (uint8_t)(i % 251);
	memset(&got, 0, sizeof(got));
	got.self = INGESTD;
	configure("[fetchd]\nranges = 1\n");
	(void)snprintf(words, sizeof(words), "--config=%s/" CONFIG, dir.path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unit_dir_remove(&dir);
	return 0;
}

static int serve(void (*script)(void))
{
	struct reason why;
	call = unit_call(words);
	call.settings = &settings;
	if (unit_settings(words, &settings, &why) < 0)
		fail_msg("%s", why.text);
	stand_in_stage.script = script;
	return serve_run(&call);
}

/* ── ingestd and a server ── */

static void hear(const struct message *m)
{
	struct message hello = {.type = MSG_HELLO, .incarnation = got.self, .peer = m->incarnation};
	switch (m->type) {
	case MSG_HELLO:
		stage_introduce(&hello);
		got.hellos++;
		stand_in_pipe_put(PIPE_ORDERS, &hello);
		break;
	case MSG_COUNTS:
		got.counts++;
		break;
	case MSG_CHUNK:
		assert_int_equal(m->attempt, got.attempt);
		assert_int_equal(m->offset, got.offset);
		assert_memory_equal(m->payload.data, content + got.offset, m->payload.len);
		got.offset += m->payload.len;
		break;
	case MSG_FAIL:
		got.fail_class = m->fail_class;
		got.ended = true;
		break;
	case MSG_END:
		got.ended = true;
		break;
	default:
		break;
	}
}

/* Serve the request, a piece per turn. */
static void answer(struct exchange *x, size_t *sent)
{
	char head[128];
	if (x->paused)
		return;
	if (!x->answered && x->first == 0)
		(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\nETag: \"one\"\nContent-Length: %u", SIZE);
	else
		(void)snprintf(head, sizeof(head), "HTTP/1.1 206 OK\nETag: \"one\"\nContent-Range: bytes %llu-%u/%u",
			       (unsigned long long)x->first, SIZE - 1, SIZE);
	if (!x->answered) {
		(void)stand_in_head(x, head);
		return;
	}
	size_t left = SIZE - (size_t)x->first - *sent;
	*sent += stand_in_body(x, content + x->first + *sent, left < PIECE ? left : PIECE);
	if (x->running && x->first + *sent == SIZE)
		stand_in_end(x, HTTP_WHOLE, "");
}

static void turn(void)
{
	static size_t sent[EXCHANGES_MAX];
	struct message m;
	loop_turn(&stand_in_loop, false);
	for (size_t i = 0; i < stand_in.len; i++) {
		if (!stand_in.all[i].answered)
			sent[i] = 0;
		if (stand_in.all[i].running)
			answer(&stand_in.all[i], &sent[i]);
	}
	while (stand_in_pipe_take(PIPE_CHUNKS, &m))
		hear(&m);
	stand_in_pass(TURN_MS);
}

static void turn_until(bool (*is_so)(void))
{
	for (unsigned i = 0; !is_so(); i++) {
		if (i == TURNS_MAX)
			fail_msg("in vain: at %llu", (unsigned long long)got.offset);
		turn();
	}
}

static bool is_greeted(void)
{
	return got.hellos > 0 && got.counts > 0;
}

static bool is_half_there(void)
{
	return got.offset >= SIZE / 2;
}

static bool has_ended(void)
{
	return got.ended;
}

static void order(void)
{
	const struct message m = {
	    .type = MSG_FETCH,
	    .ref = span_str(REF),
	    .attempt = ++got.attempt,
	    .source = span_str(SOURCE),
	    .offset = got.offset,
	    .size = SIZE_UNKNOWN,
	    .expected = span_str(DIGEST),
	};
	stand_in_pipe_put(PIPE_ORDERS, &m);
}

static void finish(void)
{
	turn_until(has_ended);
	assert_int_equal(got.fail_class, FAIL_NONE);
	assert_int_equal(got.offset, SIZE);
}

/* ── tests ── */

static void play_transfer(void)
{
	turn_until(is_greeted);
	unsigned counts = got.counts;
	order();
	finish();
	assert_int_equal(stand_in.len, 1);
	for (unsigned i = 0; i < 2 * COUNTS_EVERY_MS / TURN_MS; i++)
		turn();
	assert_true(got.counts > counts); /* sent without a request */
}

static void test_transfer(void **state)
{
	(void)state;
	assert_int_equal(serve(play_transfer), 0);
}

/* The new limit applies to the running transfer. An unreadable file changes nothing. */
static void play_reload(void)
{
	turn_until(is_greeted);
	order();
	turn_until(is_half_there);
	uint64_t had = got.offset, since_ms = stand_in_loop.now_ms;
	configure("[fetchd]\nranges = 1\ntransfer-bandwidth = 100K\n");
	stand_in_stage_reload();
	configure("[fetchd]\ntransfer-bandwidth = fast\n");
	stand_in_stage_reload();
	assert_int_equal(settings.all.speed.per_transfer, 100 * 1024);
	finish();
	assert_int_equal(stand_in.len, 1);
	uint64_t least_ms = (SIZE - had) * 1000 / (100 * 1024);
	assert_true(stand_in_loop.now_ms - since_ms + 1000 > least_ms);
}

static void test_reload(void **state)
{
	(void)state;
	assert_int_equal(serve(play_reload), 0);
}

/* After a new ingestd, the old one's order is dropped, and the new order resumes where that had stopped. */
static void play_new_ingestd(void)
{
	turn_until(is_greeted);
	order();
	turn_until(is_half_there);
	struct message hello = {.type = MSG_HELLO, .incarnation = ++got.self};
	stage_introduce(&hello);
	stand_in_pipe_put(PIPE_ORDERS, &hello);
	loop_turn(&stand_in_loop, false);
	assert_false(stand_in.all[0].running);
	stand_in_pipe_break(PIPE_CHUNKS);
	uint64_t had = got.offset;
	order();
	finish();
	assert_int_equal(stand_in.len, 2);
	assert_int_equal(stand_in_last()->first, had);
}

static void test_another_ingestd(void **state)
{
	(void)state;
	assert_int_equal(serve(play_new_ingestd), 0);
}

/* It ends at once and sends no more requests, because it has nothing to save. */
static void play_stop(void)
{
	turn_until(is_greeted);
	order();
	turn_until(is_half_there);
	stand_in_stage_stop();
	assert_true(stand_in_stage_ended());
}

static void test_stops(void **state)
{
	(void)state;
	assert_int_equal(serve(play_stop), 0);
	for (size_t i = 0; i < stand_in.len; i++)
		assert_false(stand_in.all[i].running);
}

/* A restarted fetchd does not know the orders of the old one. */
static void play_again(void)
{
	got.hellos = got.counts = 0;
	turn_until(is_greeted);
	order();
	finish();
}

static void test_restart(void **state)
{
	(void)state;
	assert_int_equal(serve(play_stop), 0);
	uint64_t had = got.offset;
	assert_int_equal(serve(play_again), 0);
	assert_int_equal(stand_in.len, 1);
	assert_int_equal(stand_in.all[0].first, had);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(test_transfer), SCENE(test_reload),  SCENE(test_another_ingestd),
	    SCENE(test_stops),    SCENE(test_restart),
	};
	return cmocka_run_group_tests_name("fetchd serve", tests, NULL, NULL);
}
