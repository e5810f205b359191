/* SPDX-License-Identifier: Apache-2.0 */
/* The stream: the state after each event, the bytes that it takes, and the result at its end. */

/* Own */
#include "tests/unit/stand_in_http.h"

/* The code under test */
#include "fetchd/stream.h"

#define SIZE   100
#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static uint8_t data[2 << 20];

/* A stream with an outlet into a file. */
struct scene {
	struct loop *loop;
	struct http *http;
	FILE *file;
	struct sink *sink;
	struct outlet outlet;
	struct bucket bucket;
	struct turn turn;
	struct policy policy;
	struct throttle throttle;
	struct stream stream;
	struct want want;
	struct stream_piece piece;
	uint64_t wall;
};

static bool on_head(void *self, const struct response *r)
{
	struct scene *c = self;
	return stream_head(&c->stream, r);
}

static enum body_answer on_body(void *self, const void *bytes, size_t len)
{
	struct scene *c = self;
	c->piece = stream_body(&c->stream, &c->outlet, &c->throttle, &c->policy, c->wall, bytes, len);
	return c->piece.answer;
}

static void on_end(void *self, enum http_end end, int error, const struct reason *why)
{
	struct scene *c = self;
	stream_end(&c->stream, end, error, why);
}

static void on_resume(void *self)
{
	(void)self;
}

static const struct http_hooks hooks = {on_head, on_body, on_end};

static void scene_make(struct scene *c, uint64_t offset, uint64_t size)
{
	memset(c, 0, sizeof(*c));
	assert_int_equal(loop_new(&c->loop), 0);
	assert_int_equal(http_new(c->loop, &c->http), 0);
	c->file = tmpfile();
	assert_non_null(c->file);
	assert_int_equal(sink_new_fd(c->loop, fileno(c->file), SINK_RAW, &c->sink), 0);
	c->outlet.ref = span_str("ref");
	c->outlet.offset = offset;
	outlet_init(&c->outlet, c->sink);
	throttle_init(&c->throttle, c->loop, &c->bucket, &c->turn, on_resume, c);
	c->want = (struct want){.offset = offset, .size = size, .size_max = INT64_MAX, .checked = true};
	c->wall = SIZE_UNKNOWN;
}

static void scene_remove(struct scene *c)
{
	stream_release(&c->stream);
	throttle_release(&c->throttle);
	outlet_release(&c->outlet);
	sink_free(c->sink);
	(void)fclose(c->file);
	http_free(c->http);
	loop_free(c->loop);
}

static struct exchange *scene_ask(struct scene *c, bool head)
{
	const struct http_ask ask = {.url = "http://a.io/", .first = c->want.offset, .head = head};
	assert_int_equal(stream_ask(&c->stream, c->http, &ask, &c->want, &hooks, c), 0);
	assert_int_equal(c->stream.state, STREAM_ASKED);
	return stand_in_last();
}

static enum stream_verdict scene_settle(struct scene *c, struct failure *ret_failure)
{
	uint64_t size = c->want.size;
	if (c->stream.state == STREAM_OVER && c->stream.judgement.verdict == VERDICT_TAKE)
		size = c->stream.judgement.size;
	assert_false(stream_runs(&c->stream));
	return stream_settle(&c->stream, c->outlet.offset, size, c->wall, ret_failure);
}

#define PART "HTTP/1.1 206 OK\nContent-Range: bytes 40-99/100\nContent-Length: 60"

/* An answer from header to end, and the expected result. */
struct row {
	const char *name;
	uint64_t offset, size, wall;
	bool head_only;
	const char *head; /* NULL: none */
	size_t body;
	enum http_end end; /* unless the stream stopped it itself */
	enum stream_verdict want;
	enum fail_class class;
	uint64_t want_offset;
};

static const struct row answers[] = {
    {"all", 0, 100, 0, false, "HTTP/1.1 200 OK\nContent-Length: 100", 100, HTTP_WHOLE, STREAM_ALL, 0, 100},
    {"the rest", 40, 100, 0, false, PART, 60, HTTP_WHOLE, STREAM_ALL, 0, 100},
    {"all for a range", 40, 100, 0, false, "HTTP/1.1 200 OK\nContent-Length: 100", 100, HTTP_WHOLE, STREAM_ALL, 0, 100},
    {"no length", 0, SIZE_UNKNOWN, 0, false, "HTTP/1.1 200 OK", 70, HTTP_WHOLE, STREAM_ALL, 0, 70},
    {"no length, shorter than the known size", 0, 100, 0, false, "HTTP/1.1 200 OK", 70, HTTP_WHOLE, STREAM_RETRY,
     FAIL_AGAIN, 70},
    {"shorter than what arrived", 40, SIZE_UNKNOWN, 0, false, "HTTP/1.1 200 OK", 30, HTTP_WHOLE, STREAM_RETRY,
     FAIL_AGAIN, 40},
    {"short", 0, 100, 0, false, "HTTP/1.1 200 OK\nContent-Length: 100", 10, HTTP_BROKEN_OFF, STREAM_RETRY, FAIL_AGAIN,
     10},
    {"broken off after the end", 0, 100, 0, false, "HTTP/1.1 200 OK\nContent-Length: 100", 100, HTTP_BROKEN_OFF,
     STREAM_ALL, 0, 100},
    {"stalled", 40, 100, 0, false, PART, 10, HTTP_STALLED, STREAM_RETRY, FAIL_AGAIN, 50},
    {"broken framing", 0, 100, 0, false, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", 10, HTTP_REFUSED,
     STREAM_GIVE_UP, FAIL_BAD_DATA, 10},
    {"too much", 0, SIZE_UNKNOWN, 0, false, "HTTP/1.1 200 OK\nContent-Length: 5", 10, HTTP_WHOLE, STREAM_GIVE_UP,
     FAIL_BAD_DATA, 0},
    {"up to the wall", 0, 100, 60, false, "HTTP/1.1 200 OK\nContent-Length: 100", 100, HTTP_WHOLE, STREAM_AT_WALL, 0,
     60},
    {"no answer", 0, 100, 0, false, NULL, 0, HTTP_BROKEN_OFF, STREAM_RETRY, FAIL_AGAIN, 0},
    {"no address", 0, 100, 0, false, NULL, 0, HTTP_NO_ADDRESS, STREAM_RETRY, FAIL_UNAVAILABLE, 0},
    {"no connection", 0, 100, 0, false, NULL, 0, HTTP_NO_CONNECTION, STREAM_RETRY, FAIL_UNAVAILABLE, 0},
    {"no TLS", 0, 100, 0, false, NULL, 0, HTTP_NO_TLS, STREAM_RETRY, FAIL_UNAVAILABLE, 0},
    {"refused by the proxy", 0, 100, 0, false, NULL, 0, HTTP_DENIED, STREAM_GIVE_UP, FAIL_DENIED, 0},
    {"no HTTP", 0, 100, 0, false, NULL, 0, HTTP_REFUSED, STREAM_GIVE_UP, FAIL_BAD_DATA, 0},
    {"our side", 0, 100, 0, false, NULL, 0, HTTP_FAILED, STREAM_RETRY, FAIL_AGAIN, 0},
    {"redirect", 0, 100, 0, false, "HTTP/1.1 307 X\nLocation: /y\nContent-Length: 3", 3, HTTP_WHOLE, STREAM_REDIRECT, 0,
     0},
    {"401", 0, 100, 0, false, "HTTP/1.1 401 X\nWWW-Authenticate: Basic realm=x", 0, HTTP_WHOLE, STREAM_CHALLENGE,
     FAIL_DENIED, 0},
    {"403", 0, 100, 0, false, "HTTP/1.1 403 X", 0, HTTP_WHOLE, STREAM_FORBIDDEN, FAIL_DENIED, 0},
    {"404", 0, 100, 0, false, "HTTP/1.1 404 X", 0, HTTP_WHOLE, STREAM_GIVE_UP, FAIL_NOT_FOUND, 0},
    {"503", 0, 100, 0, false, "HTTP/1.1 503 X\nRetry-After: 7", 0, HTTP_WHOLE, STREAM_RETRY, FAIL_AGAIN, 0},
    {"416", 40, 100, 0, false, "HTTP/1.1 416 X", 0, HTTP_WHOLE, STREAM_NO_RANGE, FAIL_BAD_DATA, 40},
    {"416 that tells the size", 40, SIZE_UNKNOWN, 0, false, "HTTP/1.1 416 X\nContent-Range: bytes */100", 0, HTTP_WHOLE,
     STREAM_NARROW, 0, 40},
    {"416 at the end", 40, SIZE_UNKNOWN, 0, false, "HTTP/1.1 416 X\nContent-Range: bytes */40", 0, HTTP_WHOLE,
     STREAM_COMPLETE, 0, 40},
    {"a part of all", 0, 100, 0, false, "HTTP/1.1 206 X\nContent-Length: 5", 0, HTTP_WHOLE, STREAM_WRONG, FAIL_BAD_DATA,
     0},
    {"another part", 40, 100, 0, false, "HTTP/1.1 206 X\nContent-Range: bytes 50-99/100", 0, HTTP_WHOLE, STREAM_WRONG,
     FAIL_BAD_DATA, 40},
    {"more than the part", 40, 100, 0, false, PART, 70, HTTP_WHOLE, STREAM_WRONG, FAIL_BAD_DATA, 40},
    {"broken framing of a part", 40, 100, 0, false, PART, 10, HTTP_REFUSED, STREAM_WRONG, FAIL_BAD_DATA, 50},
    {"another size", 0, 100, 0, false, "HTTP/1.1 200 OK\nContent-Length: 101", 0, HTTP_WHOLE, STREAM_GIVE_UP,
     FAIL_BAD_DATA, 0},
    {"digest", 0, SIZE_UNKNOWN, 0, true, "HTTP/1.1 200 OK\nDocker-Content-Digest: " DIGEST, 0, HTTP_WHOLE,
     STREAM_RESOLVED, 0, 0},
    {"no digest", 0, SIZE_UNKNOWN, 0, true, "HTTP/1.1 200 OK", 0, HTTP_WHOLE, STREAM_GET, 0, 0},
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(answers); i++) {
		const struct row *row = &answers[i];
		struct scene c;
		struct failure failure;
		scene_make(&c, row->offset, row->size);
		c.wall = row->wall > 0 ? row->wall : SIZE_UNKNOWN;
		struct exchange *x = scene_ask(&c, row->head_only);
		if (row->head && stand_in_head(x, row->head))
			(void)stand_in_body(x, data, row->body);
		if (x->running)
			stand_in_end(x, row->end, "words");
		assert_int_equal(c.stream.state, row->head ? STREAM_OVER : STREAM_BROKEN);
		enum stream_verdict verdict = scene_settle(&c, &failure);
		if (verdict != row->want || failure.class != row->class || c.outlet.offset != row->want_offset)
			fail_msg("%s: verdict %d, class %d, offset %llu: %s", row->name, verdict, failure.class,
				 (unsigned long long)c.outlet.offset, failure.why.text);
		scene_remove(&c);
	}
}

/* An unwanted body is read, so that its connection can be used again, unless the answer is faulty. */
static void test_connection_is_kept(void **state)
{
	static const struct {
		const char *head;
		bool goes_on;
	} rows[] = {
	    {"HTTP/1.1 200 OK\nContent-Length: 100", true}, {"HTTP/1.1 404 X\nContent-Length: 10", true},
	    {"HTTP/1.1 503 X\nContent-Length: 10", true},   {"HTTP/1.1 200 OK\nContent-Encoding: gzip", false},
	    {"HTTP/1.1 200 OK\nContent-Length: 99", false}, /* of another size */
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		scene_make(&c, 0, 100);
		struct exchange *x = scene_ask(&c, false);
		if (stand_in_head(x, rows[i].head) != rows[i].goes_on)
			fail_msg("%s", rows[i].head);
		if (x->running)
			stand_in_end(x, HTTP_WHOLE, "");
		scene_remove(&c);
	}
}

/* Details of the failure. */
static void test_failure(void **state)
{
	struct scene c;
	struct failure failure;
	(void)state;
	scene_make(&c, 0, SIZE);
	struct exchange *x = scene_ask(&c, false);
	assert_true(stand_in_head(x, "HTTP/1.1 503 X\nRetry-After: 7"));
	assert_int_equal(c.stream.state, STREAM_DRAINING);
	stand_in_end(x, HTTP_WHOLE, "");
	assert_int_equal(scene_settle(&c, &failure), STREAM_RETRY);
	assert_int_equal(failure.http_status, 503);
	assert_int_equal(failure.retry_after_ms, 7000);
	assert_string_equal(failure.why.text, "503 Service Unavailable");

	/* the next request starts without it */
	x = scene_ask(&c, false);
	stand_in_end(x, HTTP_BROKEN_OFF, "closed");
	assert_int_equal(scene_settle(&c, &failure), STREAM_RETRY);
	assert_int_equal(failure.http_status, 0);
	assert_int_equal(failure.retry_after_ms, 0);
	assert_int_equal(failure.end, HTTP_BROKEN_OFF);
	assert_string_equal(failure.why.text, "closed");
	scene_remove(&c);
}

/* An unwanted body is read to keep the connection, up to a limit. */
static void test_unwanted(void **state)
{
	struct scene c;
	struct failure failure;
	(void)state;
	scene_make(&c, 0, SIZE);
	struct exchange *x = scene_ask(&c, false);
	assert_true(stand_in_head(x, "HTTP/1.1 404 X"));
	assert_int_equal(stand_in_body(x, data, UNWANTED_MAX), UNWANTED_MAX);
	assert_true(x->running);
	assert_int_equal(x->progress, 0);
	(void)stand_in_body(x, data, 1);
	assert_false(x->running);
	assert_int_equal(scene_settle(&c, &failure), STREAM_GIVE_UP);
	assert_int_equal(failure.class, FAIL_NOT_FOUND);
	assert_int_equal(c.outlet.offset, 0);
	scene_remove(&c);
}

/* If a server shortens a range, the next one is requested at once if it sent enough, else it counts as a failure. */
static void test_capped(void **state)
{
	static const struct {
		uint64_t bytes;
		enum stream_verdict want;
	} rows[] = {
	    {SHORT_RANGE_MIN - 1, STREAM_RETRY},
	    {SHORT_RANGE_MIN, STREAM_NEXT},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct scene c;
		struct failure failure;
		char head[128];
		scene_make(&c, 1, 2 * sizeof(data));
		(void)snprintf(head, sizeof(head), "HTTP/1.1 206 X\nContent-Range: bytes 1-%llu/%llu",
			       (unsigned long long)rows[i].bytes, 2ull * sizeof(data));
		struct exchange *x = scene_ask(&c, false);
		assert_true(stand_in_head(x, head));
		assert_int_equal(stand_in_body(x, data, (size_t)rows[i].bytes), rows[i].bytes);
		stand_in_end(x, HTTP_WHOLE, "");
		assert_int_equal(scene_settle(&c, &failure), rows[i].want);
		scene_remove(&c);
	}
}

/* A limit pauses the stream and loses no bytes. */
static void test_held_back(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c, 0, SIZE_UNKNOWN);
	c.policy.bandwidth = 1000;
	struct exchange *x = scene_ask(&c, false);
	assert_true(stand_in_head(x, "HTTP/1.1 200 OK"));
	assert_int_equal(stand_in_body(x, data, 3 * PIECE_MAX), PIECE_MAX); /* the debt is paid by waiting afterwards */
	assert_true(x->paused);
	assert_true(throttle_is_paused(&c.throttle));
	assert_int_equal(c.outlet.offset, PIECE_MAX);
	assert_int_equal(c.piece.fresh, 0);
	scene_remove(&c);
}

/* The reader has gone. */
static void test_broken_outlet(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c, 0, SIZE_UNKNOWN);
	assert_int_equal(close(fileno(c.file)), 0);
	struct exchange *x = scene_ask(&c, false);
	assert_true(stand_in_head(x, "HTTP/1.1 200 OK"));
	(void)stand_in_body(x, data, sizeof(data));
	assert_false(x->running);
	assert_int_equal(c.piece.error, -EBADF);
	scene_remove(&c);
}

static void test_out_of_memory(void **state)
{
	struct scene c;
	const struct http_ask ask = {.url = "http://a.io/"};
	(void)state;
	scene_make(&c, 0, SIZE);
	stand_in.out_of_memory = true;
	assert_int_equal(stream_ask(&c.stream, c.http, &ask, &c.want, &hooks, &c), -ENOMEM);
	assert_int_equal(c.stream.state, STREAM_IDLE);
	scene_remove(&c);
}

/* Which answers are good, and flowing, for the ranges beside the stream. */
static void test_for_ranges(void **state)
{
	struct scene c;
	(void)state;
	scene_make(&c, 40, SIZE);
	assert_false(stream_is_good(&c.stream));
	struct exchange *x = scene_ask(&c, false);
	assert_false(stream_is_good(&c.stream));
	assert_true(stand_in_head(x, "HTTP/1.1 200 OK\nContent-Length: 100"));
	assert_true(stream_is_good(&c.stream));
	assert_false(stream_is_flowing(&c.stream)); /* bytes that are there already are skipped first */
	assert_int_equal(stand_in_body(x, data, 40), 40);
	assert_true(stream_is_flowing(&c.stream));
	stand_in_end(x, HTTP_BROKEN_OFF, "");
	assert_true(stream_is_good(&c.stream));
	assert_false(stream_is_flowing(&c.stream));
	stream_reset(&c.stream);
	assert_false(stream_is_good(&c.stream));
	scene_remove(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),       cmocka_unit_test(test_connection_is_kept),
	    cmocka_unit_test(test_failure),       cmocka_unit_test(test_unwanted),
	    cmocka_unit_test(test_capped),        cmocka_unit_test(test_held_back),
	    cmocka_unit_test(test_broken_outlet), cmocka_unit_test(test_out_of_memory),
	    cmocka_unit_test(test_for_ranges),
	};
	return cmocka_run_group_tests_name("fetchd stream", tests, NULL, NULL);
}
