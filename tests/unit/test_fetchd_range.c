/* SPDX-License-Identifier: Apache-2.0 */
/* One range: the meaning of each answer, the state of its part, and the effect on the transfer. */

/* Own */
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/stand_in_http.h"

/* The code under test */
#include "fetchd/range.h"

#define PART     PART_CHUNK_SIZE
#define START    (10u * PART) /* of the part */
#define SIZE     (20u * PART)
#define NOW_MS   1000000u
#define DELAY_MS 100u

static uint8_t data[PART];

/* A range and its surroundings. */
struct scene {
	struct loop *loop;
	struct http *http;
	FILE *file;
	struct sink *sink;
	struct outlet outlet;
	struct window_room room;
	struct bucket bucket;
	struct hosts *hosts;
	struct turn stream_turn;
	struct throttle throttle;
	struct policy policy;
	struct range_group group;
	struct range range;
	struct want want;
	unsigned changes;
};

static void on_change(void *self)
{
	struct scene *c = self;
	c->changes++;
}

static void on_resume(void *self)
{
	(void)self;
}

static void scene_make(struct scene *c)
{
	memset(c, 0, sizeof(*c));
	stand_in_clock_set(NOW_MS);
	assert_int_equal(loop_new(&c->loop), 0);
	assert_int_equal(http_new(c->loop, &c->http), 0);
	assert_int_equal(hosts_new(&c->hosts), 0);
	c->file = tmpfile();
	assert_non_null(c->file);
	assert_int_equal(sink_new_fd(c->loop, fileno(c->file), SINK_RAW, &c->sink), 0);
	c->outlet.ref = span_str("ref");
	c->outlet.offset = START - PART;
	outlet_init(&c->outlet, c->sink);
	throttle_init(&c->throttle, c->loop, &c->bucket, &c->stream_turn, on_resume, c);
	c->policy.host.retry =
	    (struct retry_settings){.max = 100, .delay_ms = DELAY_MS, .delay_max_ms = DELAY_MS, .after_max_ms = 10000};
	c->group = (struct range_group){.http = c->http,
					.throttle = &c->throttle,
					.policy = &c->policy,
					.outlet = &c->outlet,
					.changed = on_change,
					.self = c};
	assert_int_equal(window_new(&c->room, &c->outlet, 1, PART, PART, &c->group.window), 0);
	window_begin(c->group.window, START);
	c->range.group = &c->group;
	c->range.part = window_add(c->group.window, 1, SIZE, PART);
	assert_non_null(c->range.part);
	range_begin(&c->range);
	c->want = (struct want){.size = SIZE, .size_max = INT64_MAX, .checked = true};
}

static void scene_remove(struct scene *c)
{
	range_drop(&c->range);
	window_free(c->group.window);
	assert_int_equal(c->room.used, 0);
	throttle_release(&c->throttle);
	outlet_release(&c->outlet);
	sink_free(c->sink);
	(void)fclose(c->file);
	hosts_free(c->hosts);
	http_free(c->http);
	loop_free(c->loop);
	stand_in_clock_release();
}

static struct exchange *scene_ask(struct scene *c)
{
	struct http_ask ask = {.url = "http://a.io/"};
	assert_true(range_ask(&c->range, &ask, &c->want));
	assert_int_equal(c->range.state, RANGE_RUNNING);
	assert_int_equal(c->range.part->state, PART_ASKED);
	return stand_in_last();
}

static bool answer_right(struct scene *c, struct exchange *x)
{
	char head[128];
	const struct part *p = c->range.part;
	(void)snprintf(head, sizeof(head), "HTTP/1.1 206 X\nContent-Range: bytes %llu-%llu/%u",
		       (unsigned long long)p->at, (unsigned long long)p->end - 1, SIZE);
	return stand_in_head(x, head);
}

#define RANGE   "Content-Range: bytes 1310720-1441791/2621440"
#define PART_OK "HTTP/1.1 206 X\n" RANGE

/* An answer, its end, and the expected result. The group has the version "one". */
static const struct row {
	const char *name;
	const char *head; /* NULL: none */
	size_t body;
	enum http_end end; /* unless the range stopped it itself */
	enum range_verdict want;
	enum range_answer answer;
	enum part_state part;
	const char *why; /* text of the reason after a failure */
} answers[] = {
    {"whole", PART_OK, PART, HTTP_WHOLE, RANGE_DONE, RANGE_GOOD, PART_WHOLE, NULL},
    {"whole, of the same version", PART_OK "\nETag: \"one\"", PART, HTTP_WHOLE, RANGE_DONE, RANGE_GOOD, PART_WHOLE,
     NULL},
    {"broken off", PART_OK, 1000, HTTP_BROKEN_OFF, RANGE_AGAIN, RANGE_GOOD, PART_MISSING, "words"},
    {"ended early", PART_OK, 1000, HTTP_WHOLE, RANGE_AGAIN, RANGE_GOOD, PART_MISSING, "ended early"},
    {"no answer", NULL, 0, HTTP_BROKEN_OFF, RANGE_AGAIN, RANGE_UNANSWERED, PART_MISSING, "words"},
    {"no connection", NULL, 0, HTTP_NO_CONNECTION, RANGE_AGAIN, RANGE_UNANSWERED, PART_MISSING, "words"},
    {"503", "HTTP/1.1 503 X", 0, HTTP_WHOLE, RANGE_AGAIN, RANGE_BUSY, PART_MISSING, "503"},
    {"too long a wait", "HTTP/1.1 503 X\nRetry-After: 11", 0, HTTP_WHOLE, RANGE_FAILED, RANGE_BUSY, PART_MISSING,
     "503"},
    {"401", "HTTP/1.1 401 X", 0, HTTP_WHOLE, RANGE_TO_STREAM, RANGE_ELSEWHERE, PART_MISSING, NULL},
    {"403", "HTTP/1.1 403 X", 0, HTTP_WHOLE, RANGE_TO_STREAM, RANGE_ELSEWHERE, PART_MISSING, NULL},
    {"404", "HTTP/1.1 404 X", 0, HTTP_WHOLE, RANGE_TO_STREAM, RANGE_ELSEWHERE, PART_MISSING, NULL},
    {"redirect", "HTTP/1.1 307 X\nLocation: /y", 0, HTTP_WHOLE, RANGE_TO_STREAM, RANGE_ELSEWHERE, PART_MISSING, NULL},
    {"200", "HTTP/1.1 200 X\nContent-Length: 2621440", 0, HTTP_WHOLE, RANGE_OFF, RANGE_MISHANDLED, PART_ASKED,
     "status 200"},
    {"416", "HTTP/1.1 416 X", 0, HTTP_WHOLE, RANGE_OFF, RANGE_MISHANDLED, PART_ASKED, "416"},
    {"another part", "HTTP/1.1 206 X\nContent-Range: bytes 0-9/2621440", 0, HTTP_WHOLE, RANGE_OFF, RANGE_MISHANDLED,
     PART_ASKED, "instead of"},
    {"a shorter part", "HTTP/1.1 206 X\nContent-Range: bytes 1310720-1441790/2621440", 0, HTTP_WHOLE, RANGE_OFF,
     RANGE_MISHANDLED, PART_ASKED, "206"},
    {"of another size", "HTTP/1.1 206 X\nContent-Range: bytes 1310720-1441791/9", 0, HTTP_WHOLE, RANGE_OFF,
     RANGE_MISHANDLED, PART_ASKED, ""},
    {"of another version", PART_OK "\nETag: \"two\"", 0, HTTP_WHOLE, RANGE_OFF, RANGE_CHANGED, PART_ASKED, "206"},
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(answers); i++) {
		const struct row *row = &answers[i];
		struct scene c;
		scene_make(&c);
		(void)snprintf(c.group.validator, sizeof(c.group.validator), "\"one\"");
		struct exchange *x = scene_ask(&c);
		if (row->head && stand_in_head(x, row->head))
			(void)stand_in_body(x, data, row->body);
		if (x->running)
			stand_in_end(x, row->end, "words");
		assert_int_equal(c.range.state, RANGE_ENDED);
		assert_true(c.changes > 0);
		enum range_verdict verdict = range_settle(&c.range, 0);
		if (verdict != row->want || c.range.answer != row->answer || c.range.part->state != row->part ||
		    (row->why && !strstr(c.range.failure.why.text, row->why)))
			fail_msg("%s: verdict %d, answer %d, part %d: %s", row->name, verdict, c.range.answer,
				 c.range.part->state, c.range.failure.why.text);
		scene_remove(&c);
	}
}

static void test_request(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c);
	struct exchange *x = scene_ask(&c);
	assert_int_equal(x->first, START);
	assert_int_equal(x->last, START + PART - 1);
	assert_false(x->fresh);

	/* resumes where it stopped, on a new connection, after a delay */
	assert_true(answer_right(&c, x));
	assert_int_equal(stand_in_body(x, data, 1000), 1000);
	stand_in_end(x, HTTP_BROKEN_OFF, "");
	assert_int_equal(range_settle(&c.range, UINT32_MAX), RANGE_AGAIN);
	assert_int_equal(c.range.not_before_ms, NOW_MS + DELAY_MS);
	x = scene_ask(&c);
	assert_int_equal(x->first, START + 1000);
	assert_int_equal(x->last, START + PART - 1);
	assert_true(x->fresh);
	scene_remove(&c);
}

static enum range_verdict bring(struct scene *c, size_t len)
{
	struct exchange *x = scene_ask(c);
	assert_true(answer_right(c, x));
	assert_int_equal(stand_in_body(x, data, len), len);
	stand_in_end(x, HTTP_BROKEN_OFF, "");
	return range_settle(&c->range, 0);
}

/* Single bytes do not keep it alive; a full refill does. */
static void test_budget(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c);
	for (unsigned i = 0; i < RANGE_RETRIES; i++)
		assert_int_equal(bring(&c, 1), RANGE_AGAIN);
	assert_int_equal(bring(&c, 1), RANGE_FAILED);
	assert_int_equal(c.range.part->at, START + RANGE_RETRIES + 1); /* and the bytes are kept */
	assert_int_equal(c.range.failure.class, FAIL_AGAIN);
	scene_remove(&c);

	scene_make(&c);
	for (unsigned i = 0; i < RANGE_RETRIES; i++)
		assert_int_equal(bring(&c, 1), RANGE_AGAIN);
	assert_int_equal(bring(&c, RETRY_REFILL_BYTES), RANGE_AGAIN);
	assert_int_equal(bring(&c, 1), RANGE_FAILED);
	scene_remove(&c);
}

static void test_more_than_requested(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c);
	struct exchange *x = scene_ask(&c);
	assert_true(answer_right(&c, x));
	assert_int_equal(stand_in_body(x, data, PART - 1), PART - 1);
	(void)stand_in_body(x, data, 2);
	assert_false(x->running);
	assert_int_equal(range_settle(&c.range, 0), RANGE_OFF);
	assert_non_null(strstr(c.range.failure.why.text, "more than the requested range"));
	scene_remove(&c);
}

/*
 * The stream reaches the part while the range waits for its answer. The answer is not used, unless the stream is gone.
 */
static void test_overtaken(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c);
	struct exchange *x = scene_ask(&c);
	c.outlet.offset = START + 1;
	assert_false(answer_right(&c, x));
	assert_int_equal(range_settle(&c.range, 0), RANGE_PASSED);
	scene_remove(&c);

	scene_make(&c);
	c.group.alone = true;
	x = scene_ask(&c);
	c.outlet.offset = START + 1;
	assert_true(answer_right(&c, x));
	scene_remove(&c);
}

/* The turn is returned with the exchange, however that ends. */
static void test_turn(void **state)
{
	struct scene c;
	struct origin home = {.port = 80, .host = "a.io"};
	(void)state;
	scene_make(&c);
	assert_true(turn_try(c.hosts, &home, 1, &c.range.turn));
	struct exchange *x = scene_ask(&c);
	stand_in_end(x, HTTP_BROKEN_OFF, "");
	assert_true(c.range.turn.holding);
	assert_int_equal(range_settle(&c.range, 0), RANGE_AGAIN);
	assert_false(c.range.turn.holding);

	assert_true(turn_try(c.hosts, &home, 1, &c.range.turn));
	(void)scene_ask(&c);
	range_reopen(&c.range);
	assert_false(c.range.turn.holding);
	assert_int_equal(c.range.part->state, PART_MISSING);
	assert_true(scene_ask(&c)->fresh);
	range_cancel(&c.range);
	part_missing(c.range.part);

	assert_true(turn_try(c.hosts, &home, 1, &c.range.turn));
	struct http_ask ask = {.url = "http://a.io/"};
	stand_in.out_of_memory = true;
	assert_false(range_ask(&c.range, &ask, &c.want));
	assert_false(c.range.turn.holding);
	scene_remove(&c);
}

static void test_held_back(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c);
	c.policy.host.speed.per_transfer = 1000;
	struct exchange *x = scene_ask(&c);
	assert_true(answer_right(&c, x));
	assert_int_equal(stand_in_body(x, data, PART), PIECE_MAX);
	assert_true(x->paused);
	assert_int_equal(c.range.part->at, START + PIECE_MAX);
	scene_remove(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),   cmocka_unit_test(test_request),
	    cmocka_unit_test(test_budget),    cmocka_unit_test(test_more_than_requested),
	    cmocka_unit_test(test_overtaken), cmocka_unit_test(test_turn),
	    cmocka_unit_test(test_held_back),
	};
	return cmocka_run_group_tests_name("fetchd range", tests, NULL, NULL);
}
