/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a response: what is accepted, ignored and refused. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/response.h"

#define NOW_S  1700000000u /* Tue, 14 Nov 2023 22:13:20 GMT */
#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Feed a header line by line, like libcurl. Returns the verdict on the last line. */
static enum response_progress feed(struct response *r, const char *head)
{
	enum response_progress p = RESPONSE_MORE;
	response_init(r, NOW_S);
	while (*head && p == RESPONSE_MORE) {
		size_t len = strcspn(head, "\n") + 1;
		p = response_line(r, span_of(head, len));
		head += len;
	}
	return p;
}

static void feed_field(struct response *r, const char *field)
{
	char head[1024];
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s\r\n\r\n", field);
	assert_int_equal(feed(r, head), RESPONSE_WHOLE);
}

static void test_status(void **state)
{
	static const struct {
		const char *head;
		enum response_progress want;
		unsigned status;
		bool broken;
	} rows[] = {
	    {"HTTP/1.1 200 OK\r\n\r\n", RESPONSE_WHOLE, 200, false},
	    {"HTTP/1.0 404\r\n\r\n", RESPONSE_WHOLE, 404, false},
	    {"HTTP/1.1 200 OK\r\n", RESPONSE_MORE, 200, false},
	    {"HTTP/1.1 100 Continue\r\n\r\n", RESPONSE_MORE, 100, false},
	    {"HTTP/1.1 103 Early\r\nETag: \"a\"\r\n\r\nHTTP/1.1 206 Part\r\n\r\n", RESPONSE_WHOLE, 206, false},
	    {"HTTP/1.1 20 OK\r\n\r\n", RESPONSE_WHOLE, 0, true},
	    {"HTTP/1.1 2000 OK\r\n\r\n", RESPONSE_WHOLE, 0, true},
	    {"HTTP/1.1 -20 OK\r\n\r\n", RESPONSE_WHOLE, 0, true},
	    {"HTTP/1.1 099 OK\r\n\r\n", RESPONSE_WHOLE, 99, true},
	    {"HTTP/1.1\r\n\r\n", RESPONSE_WHOLE, 0, true},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct response r;
		assert_int_equal(feed(&r, rows[i].head), rows[i].want);
		assert_int_equal(r.broken, rows[i].broken);
		if (!r.broken)
			assert_int_equal(r.status, rows[i].status);
		assert_string_equal(r.etag, ""); /* fields of an interim response do not apply to the final one */
	}
}

static void test_length(void **state)
{
	static const struct {
		const char *fields;
		bool broken;
		uint64_t want;
	} rows[] = {
	    {"Content-Length: 0", false, 0},
	    {"content-length:17 ", false, 17},
	    {"Content-Length: 9223372036854775807", false, INT64_MAX},
	    {"Content-Length: 5\r\nContent-Length: 5", false, 5},
	    {"Content-Length: 9223372036854775808", true, 0},
	    {"Content-Length: 5\r\nContent-Length: 6", true, 0},
	    {"Content-Length: 5, 5", false, 5},
	    {"Content-Length: 5,5 ,5", false, 5},
	    {"Content-Length: 5, 6", true, 0},
	    {"Content-Length: 5,", true, 0},
	    {"Content-Length: ,5", true, 0},
	    {"Content-Length: 5 5", true, 0},
	    {"Content-Length: -1", true, 0},
	    {"Content-Length: +1", true, 0},
	    {"Content-Length: 0x10", true, 0},
	    {"Content-Length:", true, 0},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct response r;
		feed_field(&r, rows[i].fields);
		assert_int_equal(r.broken, rows[i].broken);
		if (!r.broken) {
			assert_true(r.has_length);
			assert_int_equal(r.length, rows[i].want);
		}
	}
}

static void test_range(void **state)
{
	static const struct {
		const char *fields;
		bool broken, has_range, unsatisfied;
		uint64_t first, last, total;
	} rows[] = {
	    {"Content-Range: bytes 0-0/1", false, true, false, 0, 0, 1},
	    {"Content-Range: bytes 5-9/10", false, true, false, 5, 9, 10},
	    {"Content-Range: Bytes 5-9/*", false, true, false, 5, 9, SIZE_UNKNOWN},
	    {"Content-Range: bytes */10", false, false, true, 0, 0, 10},
	    {"Content-Range: bytes 5-10/10", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes 9-5/10", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes */*", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes 5-9", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes 5/10", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes -9/10", true, 0, 0, 0, 0, 0},
	    {"Content-Range: items 5-9/10", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes=5-9/10", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes 5-9/99999999999999999999", true, 0, 0, 0, 0, 0},
	    {"Content-Range: bytes 5-9/10\r\nContent-Range: bytes 5-9/10", true, 0, 0, 0, 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct response r;
		feed_field(&r, rows[i].fields);
		assert_int_equal(r.broken, rows[i].broken);
		if (r.broken)
			continue;
		assert_int_equal(r.has_range, rows[i].has_range);
		assert_int_equal(r.unsatisfied, rows[i].unsatisfied);
		assert_int_equal(r.first, rows[i].first);
		assert_int_equal(r.last, rows[i].last);
		assert_int_equal(r.total, rows[i].total);
	}
}

static void test_validator(void **state)
{
	static const struct {
		const char *fields;
		const char *want;
	} rows[] = {
	    {"ETag: \"abc\"", "\"abc\""},
	    {"ETag: \"\"", "\"\""},
	    {"ETag: W/\"abc\"", ""},
	    {"ETag: abc", ""},
	    {"ETag: \"a\"b\"", ""},
	    {"ETag: \"a b\"", ""},
	    {"ETag: \"a\x7f\"", ""},
	    {"ETag: \"", ""},
	    /* a date is strong only when it is old enough at the time of the answer */
	    {"Last-Modified: Tue, 14 Nov 2023 22:12:00 GMT\r\nDate: Tue, 14 Nov 2023 22:13:00 GMT",
	     "Tue, 14 Nov 2023 22:12:00 GMT"},
	    {"Last-Modified: Tue, 14 Nov 2023 22:12:01 GMT\r\nDate: Tue, 14 Nov 2023 22:13:00 GMT", ""},
	    {"Last-Modified: Tue, 14 Nov 2023 22:12:00 GMT", ""},
	    {"Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nDate: Tue, 14 Nov 2023 22:13:00 GMT", ""},
	    {"Last-Modified: Thu, 01 Jan 1970 00:00:01 GMT\r\nDate: Thu, 01 Jan 1970 00:01:01 GMT",
	     "Thu, 01 Jan 1970 00:00:01 GMT"},
	    {"Last-Modified: Thu, 01 Jan 1970 00:00:01 GMT\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT", ""},
	    {"Last-Modified: yesterday\r\nDate: Tue, 14 Nov 2023 22:13:00 GMT", ""},
	    {"ETag: \"x\"\r\nLast-Modified: Tue, 14 Nov 2023 22:12:00 GMT\r\nDate: Tue, 14 Nov 2023 22:13:00 GMT",
	     "\"x\""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct response r;
		feed_field(&r, rows[i].fields);
		assert_string_equal(response_validator(&r), rows[i].want);
	}
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *field;
		uint64_t want_ms;
	} rows[] = {
	    {"Retry-After: 0", 0},
	    {"Retry-After: 120", 120000},
	    {"Retry-After: 1000000000", RETRY_AFTER_CLAMP_MS},
	    {"Retry-After: 99999999999999999999", RETRY_AFTER_CLAMP_MS},
	    {"Retry-After: 31535999", RETRY_AFTER_CLAMP_MS - 1000},
	    {"Retry-After: -5", 0},
	    {"Retry-After: 1e9", 0},
	    {"Retry-After: soon", 0},
	    {"Retry-After: Tue, 14 Nov 2023 22:13:25 GMT", 5000},
	    {"Retry-After: Tuesday, 14-Nov-23 22:13:25 GMT", 5000},
	    {"Retry-After: Tue Nov 14 22:13:25 2023", 5000},
	    {"Retry-After: Tue, 14 Nov 2023 22:13:15 GMT", 0},
	    {"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_CLAMP_MS},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct response r;
		feed_field(&r, rows[i].field);
		assert_int_equal(r.retry_after_ms, rows[i].want_ms);
	}
}

static void test_texts(void **state)
{
	struct response r;
	(void)state;
	feed_field(&r, "Content-Type: application/json; charset=utf-8\r\nDocker-Content-Digest: " DIGEST
		       "\r\nLocation: /x?y=z");
	assert_string_equal(r.media_type, "application/json");
	assert_string_equal(r.digest, DIGEST);
	assert_string_equal(r.location, "/x?y=z");
	assert_false(r.multipart);
	feed_field(&r, "Content-Type: multipart/byteranges; boundary=x");
	assert_true(r.multipart);
	feed_field(&r, "Content-Type: nothing\r\nDocker-Content-Digest: sha256:../../etc/passwd");
	assert_string_equal(r.media_type, "");
	assert_string_equal(r.digest, "");
	feed_field(&r, "Location: /st\xc3\xb6re/%20 x");
	assert_string_equal(r.location, "/st%C3%B6re/%20 x");
	feed_field(&r, "Location: /\x7f");
	assert_true(r.broken);
	feed_field(&r, "Location: /a\r\nLocation: /b");
	assert_true(r.broken);
	feed_field(&r, "Location: /a\x01");
	assert_true(r.broken);
}

/* A location of `len` bytes after escaping, which turns each byte into one or three. */
static bool location_is_kept(size_t len, char byte)
{
	char line[sizeof("Location: ") + LOCATION_MAX + 2];
	struct response r;
	size_t at = (size_t)snprintf(line, sizeof(line), "Location: ");
	memset(line + at, byte, len);
	line[at + len] = '\0';
	assert_int_equal(feed(&r, "HTTP/1.1 302 Found\r\n"), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_str(line)), RESPONSE_MORE);
	return !r.broken;
}

static void test_location_max(void **state)
{
	(void)state;
	assert_true(location_is_kept(LOCATION_MAX, 'x'));
	assert_false(location_is_kept(LOCATION_MAX + 1, 'x'));
	assert_true(location_is_kept(LOCATION_MAX / 3, '\xe4'));
	assert_false(location_is_kept(LOCATION_MAX / 3 + 1, '\xe4'));
}

static void test_codings(void **state)
{
	static const struct {
		const char *fields;
		bool chunked, coded, transfer_coded, stored_coded;
	} rows[] = {
	    {"X: y", false, false, false, false},
	    {"Content-Encoding: identity", false, false, false, false},
	    {"Content-Encoding:", false, false, false, false},
	    {"Content-Encoding: gzip", false, true, false, false},
	    {"Content-Encoding: zstd, identity", false, true, false, false},
	    {"Content-Encoding: X-Gzip", false, true, false, true},
	    {"Content-Encoding: x-gzip, gzip", false, true, false, false},
	    {"Transfer-Encoding: chunked", true, false, false, false},
	    {"Transfer-Encoding: Chunked", true, false, false, false},
	    {"Transfer-Encoding: gzip, chunked", false, true, true, false},
	    {"Transfer-Encoding: x-gzip", false, true, true, false},
	    {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", true, true, true, false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct response r;
		feed_field(&r, rows[i].fields);
		assert_int_equal(r.chunked, rows[i].chunked);
		assert_int_equal(r.coded, rows[i].coded);
		assert_int_equal(r.transfer_coded, rows[i].transfer_coded);
		assert_int_equal(r.stored_coded, rows[i].stored_coded);
	}
}

static void test_auth(void **state)
{
	struct response r;
	(void)state;
	feed_field(&r, "WWW-Authenticate: Basic realm=\"x\"");
	assert_int_equal(r.challenge.schemes, AUTH_BASIC);
	feed_field(&r, "WWW-Authenticate: bearer realm=\"x\"\r\nwww-authenticate: BASIC");
	assert_int_equal(r.challenge.schemes, AUTH_BASIC | AUTH_BEARER);
	feed_field(&r, "WWW-Authenticate: Negotiate");
	assert_int_equal(r.challenge.schemes, AUTH_OTHER);
}

/* A header at the limit is accepted; one line or byte more is refused, also over several interim responses. */
static void test_limits(void **state)
{
	struct response r;
	char line[1024];
	(void)state;
	response_init(&r, NOW_S);
	assert_int_equal(response_line(&r, span_str("HTTP/1.1 200 OK\r\n")), RESPONSE_MORE);
	for (unsigned i = 2; i < RESPONSE_LINES_MAX; i++)
		assert_int_equal(response_line(&r, span_str("X: y\r\n")), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_str("\r\n")), RESPONSE_WHOLE);
	assert_int_equal(response_line(&r, span_str("\r\n")), RESPONSE_REFUSED);

	memset(line, 'x', sizeof(line));
	response_init(&r, NOW_S);
	for (unsigned i = 0; i < RESPONSE_HEAD_MAX / sizeof(line); i++)
		assert_int_equal(response_line(&r, span_of(line, sizeof(line))), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_of(line, 1)), RESPONSE_REFUSED);

	response_init(&r, NOW_S);
	enum response_progress p = RESPONSE_MORE;
	unsigned lines = 0;
	while (p == RESPONSE_MORE && lines++ <= RESPONSE_LINES_MAX)
		p = response_line(&r, span_str(lines % 2 ? "HTTP/1.1 103 Early\r\n" : "\r\n"));
	assert_int_equal(p, RESPONSE_REFUSED);
	assert_int_equal(lines, RESPONSE_LINES_MAX + 1);
}

/* Trailers count against the limits of the header, and change nothing in it. */
static void test_trailers(void **state)
{
	char line[1024];
	struct response r;
	(void)state;
	assert_int_equal(feed(&r, "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n"), RESPONSE_WHOLE);
	assert_int_equal(response_line(&r, span_str("ETag: \"b\"\r\n")), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_str("HTTP/1.1 404 No\r\n")), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_str("\r\n")), RESPONSE_MORE);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.etag, "\"a\"");
	for (unsigned i = 6; i < RESPONSE_LINES_MAX; i++)
		assert_int_equal(response_line(&r, span_str("X: y\r\n")), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_str("X: y\r\n")), RESPONSE_REFUSED);
	assert_string_equal(r.why.text, "the trailers are too long");

	memset(line, 'x', sizeof(line));
	assert_int_equal(feed(&r, "HTTP/1.1 200 OK\r\n\r\n"), RESPONSE_WHOLE);
	for (unsigned i = 1; i < RESPONSE_HEAD_MAX / sizeof(line); i++)
		assert_int_equal(response_line(&r, span_of(line, sizeof(line))), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_of(line, RESPONSE_HEAD_MAX - r.bytes)), RESPONSE_MORE);
	assert_int_equal(response_line(&r, span_of(line, 1)), RESPONSE_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_status),    cmocka_unit_test(test_length),      cmocka_unit_test(test_range),
	    cmocka_unit_test(test_validator), cmocka_unit_test(test_texts),       cmocka_unit_test(test_location_max),
	    cmocka_unit_test(test_codings),   cmocka_unit_test(test_retry_after), cmocka_unit_test(test_auth),
	    cmocka_unit_test(test_limits),    cmocka_unit_test(test_trailers),
	};
	return cmocka_run_group_tests_name("fetchd http response", tests, NULL, NULL);
}
