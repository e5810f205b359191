/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on each kind of answer. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/judge.h"

#define DIGEST  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ANOTHER "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define LONG_ONE                                                                                                       \
	"sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b9"  \
	"31bd47417a81a538327af927da3e"
#define UNKNOWN SIZE_UNKNOWN

struct row {
	const char *name;
	/* The request. */
	uint64_t offset, size;
	const char *expected, *validator;
	bool checked;
	/* The answer. */
	unsigned status;
	const char *fields;
	/* The verdict. */
	enum verdict verdict;
	enum fail_class fail;
	uint64_t skip, total, end;
};

static void read_head(const struct row *row, struct response *ret_response)
{
	char lines[2048], *line = lines;
	(void)snprintf(lines, sizeof(lines), "HTTP/1.1 %u X\n%s%s\n", row->status, row->fields,
		       row->fields[0] ? "\n" : "");
	response_init(ret_response, 1700000000);
	while (*line) {
		size_t len = strcspn(line, "\n") + 1;
		(void)response_line(ret_response, span_of(line, len));
		line += len;
	}
	assert_true(ret_response->whole);
}

static void judge(const struct row *row, const struct want *how, struct judgement *ret_judgement)
{
	struct response r;
	struct want w = *how;
	w.offset = row->offset;
	w.size = row->size;
	w.size_max = 1000000;
	w.checked = row->checked || row->expected;
	(void)snprintf(w.expected, sizeof(w.expected), "%s", row->expected ? row->expected : "");
	(void)snprintf(w.validator, sizeof(w.validator), "%s", row->validator ? row->validator : "");
	read_head(row, &r);
	response_judge(&r, &w, ret_judgement);
}

/* `how`: further properties of the request. */
static void check_rows_when(const struct row *rows, size_t rows_len, const struct want *how)
{
	for (size_t i = 0; i < rows_len; i++) {
		const struct row *row = &rows[i];
		struct judgement j;
		judge(row, how, &j);
		if (j.verdict != row->verdict || j.fail != row->fail)
			print_error("row '%s': verdict %d, fail %d, '%s'\n", row->name, j.verdict, j.fail, j.why.text);
		assert_int_equal(j.verdict, row->verdict);
		assert_int_equal(j.fail, row->fail);
		assert_int_equal(j.why.text[0] == '\0', row->fail == FAIL_NONE);
		if (j.verdict == VERDICT_TAKE) {
			assert_int_equal(j.skip, row->skip);
			assert_int_equal(j.size, row->total);
			assert_int_equal(j.end, row->end);
		}
	}
}

static void check_rows(const struct row *rows, size_t rows_len)
{
	check_rows_when(rows, rows_len, &(struct want){0});
}

#define TAKE(skip, total, end) VERDICT_TAKE, FAIL_NONE, skip, total, end
#define REFUSE(class)          VERDICT_REFUSE, class, 0, 0, 0
#define WHOLE                  VERDICT_WHOLE, FAIL_BAD_DATA, 0, 0, 0

static void test_whole(void **state)
{
	static const struct row rows[] = {
	    {"plain", 0, UNKNOWN, 0, 0, false, 200, "Content-Length: 10", TAKE(0, 10, 10)},
	    {"no length", 0, UNKNOWN, 0, 0, true, 200, "", TAKE(0, UNKNOWN, UNKNOWN)},
	    {"no length, no digest", 0, UNKNOWN, 0, 0, false, 200, "", REFUSE(FAIL_BAD_DATA)},
	    {"chunks, no digest", 0, UNKNOWN, 0, 0, false, 200, "Transfer-Encoding: chunked",
	     TAKE(0, UNKNOWN, UNKNOWN)},
	    {"no length, known", 0, 10, 0, 0, false, 200, "Transfer-Encoding: chunked", TAKE(0, 10, 10)},
	    {"empty", 0, 0, DIGEST, 0, false, 200, "Content-Length: 0", TAKE(0, 0, 0)},
	    {"too long", 0, 10, DIGEST, 0, false, 200, "Content-Length: 11", REFUSE(FAIL_BAD_DATA)},
	    {"too short", 0, 10, 0, 0, false, 200, "Content-Length: 9", REFUSE(FAIL_BAD_DATA)},
	    {"at the cap", 0, UNKNOWN, 0, 0, false, 200, "Content-Length: 1000000", TAKE(0, 1000000, 1000000)},
	    {"over the cap", 0, UNKNOWN, 0, 0, false, 200, "Content-Length: 1000001", REFUSE(FAIL_BAD_DATA)},
	    {"encoded", 0, 10, 0, 0, false, 200, "Content-Encoding: gzip\nContent-Length: 10", REFUSE(FAIL_BAD_DATA)},
	    {"smuggled", 0, 10, 0, 0, false, 200, "Transfer-Encoding: chunked\nContent-Length: 10",
	     REFUSE(FAIL_BAD_DATA)},
	    {"two lengths", 0, 10, 0, 0, false, 200, "Content-Length: 10\nContent-Length: 9", REFUSE(FAIL_BAD_DATA)},
	    {"same digest", 0, 10, DIGEST, 0, false, 200, "Docker-Content-Digest: " DIGEST, TAKE(0, 10, 10)},
	    {"wrong digest", 0, 10, DIGEST, 0, false, 200, "Docker-Content-Digest: " ANOTHER, REFUSE(FAIL_BAD_DATA)},
	    {"other algorithm", 0, 10, DIGEST, 0, false, 200, "Docker-Content-Digest: " LONG_ONE, TAKE(0, 10, 10)},
	};
	(void)state;
	check_rows(rows, LEN(rows));
}

/* 200 to a range: bytes that are there are skipped, if the content is known to be the same. */
static void test_whole_to_range(void **state)
{
	static const struct row rows[] = {
	    {"digest", 4, 10, DIGEST, 0, false, 200, "Content-Length: 10", TAKE(4, 10, 10)},
	    {"digest, other tag", 4, 10, DIGEST, "\"a\"", false, 200, "ETag: \"b\"", TAKE(4, 10, 10)},
	    {"checked later", 4, 10, 0, 0, true, 200, "Content-Length: 10", TAKE(4, 10, 10)},
	    {"checked, yet changed", 4, 10, 0, "\"a\"", true, 200, "ETag: \"b\"", REFUSE(FAIL_CHANGED)},
	    {"nothing known", 4, 10, 0, 0, false, 200, "Content-Length: 10", REFUSE(FAIL_CHANGED)},
	    {"same tag", 4, 10, 0, "\"a\"", false, 200, "ETag: \"a\"", TAKE(4, 10, 10)},
	    {"other tag", 4, 10, 0, "\"a\"", false, 200, "ETag: \"b\"", REFUSE(FAIL_CHANGED)},
	    {"no tag", 4, 10, 0, "\"a\"", false, 200, "", REFUSE(FAIL_CHANGED)},
	    {"same date", 4, 10, 0, "Tue, 14 Nov 2023 22:12:00 GMT", false, 200,
	     "Last-Modified: Tue, 14 Nov 2023 22:12:00 GMT", TAKE(4, 10, 10)},
	    {"other size", 4, 10, 0, "\"a\"", false, 200, "ETag: \"a\"\nContent-Length: 11", REFUSE(FAIL_CHANGED)},
	    {"other size, digest", 4, 10, DIGEST, 0, false, 200, "Content-Length: 11", REFUSE(FAIL_BAD_DATA)},
	    {"shorter than we", 11, UNKNOWN, DIGEST, 0, false, 200, "Content-Length: 10", REFUSE(FAIL_CHANGED)},
	    {"as long as we", 10, UNKNOWN, DIGEST, 0, false, 200, "Content-Length: 10", TAKE(10, 10, 10)},
	};
	(void)state;
	check_rows(rows, LEN(rows));
}

#define RANGE(text) "Content-Range: bytes " text

static void test_part(void **state)
{
	static const struct row rows[] = {
	    {"exact", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/10\nContent-Length: 6"), TAKE(0, 10, 10)},
	    {"size learned", 4, UNKNOWN, 0, "\"a\"", false, 206, RANGE("4-9/10\nETag: \"a\""), TAKE(0, 10, 10)},
	    {"less than asked", 4, 10, DIGEST, 0, false, 206, RANGE("4-6/10"), TAKE(0, 10, 7)},
	    {"star, known", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/*"), TAKE(0, 10, 10)},
	    {"star, unknown", 4, UNKNOWN, DIGEST, 0, false, 206, RANGE("4-9/*"), REFUSE(FAIL_BAD_DATA)},
	    {"star, too far", 4, 10, DIGEST, 0, false, 206, RANGE("4-10/*"), REFUSE(FAIL_BAD_DATA)},
	    {"starts before", 4, 10, DIGEST, 0, false, 206, RANGE("3-9/10"), REFUSE(FAIL_BAD_DATA)},
	    {"starts behind", 4, 10, DIGEST, 0, false, 206, RANGE("5-9/10"), REFUSE(FAIL_BAD_DATA)},
	    {"the whole", 4, 10, DIGEST, 0, false, 206, RANGE("0-9/10"), REFUSE(FAIL_BAD_DATA)},
	    {"other total", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/11"), REFUSE(FAIL_BAD_DATA)},
	    {"other total, changed", 4, 10, 0, "\"a\"", false, 206, RANGE("4-9/11"), REFUSE(FAIL_CHANGED)},
	    {"no range", 4, 10, DIGEST, 0, false, 206, "Content-Length: 6", REFUSE(FAIL_BAD_DATA)},
	    {"unsatisfied form", 4, 10, DIGEST, 0, false, 206, RANGE("*/10"), REFUSE(FAIL_BAD_DATA)},
	    {"multipart", 4, 10, DIGEST, 0, false, 206,
	     "Content-Type: multipart/byteranges; boundary=x\n" RANGE("4-9/10"), REFUSE(FAIL_BAD_DATA)},
	    {"another length", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/10\nContent-Length: 7"), REFUSE(FAIL_BAD_DATA)},
	    {"encoded", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/10\nContent-Encoding: br"), REFUSE(FAIL_BAD_DATA)},
	    {"not asked for", 0, 10, DIGEST, 0, false, 206, RANGE("0-9/10"), REFUSE(FAIL_BAD_DATA)},
	    {"other tag", 4, 10, 0, "\"a\"", false, 206, RANGE("4-9/10\nETag: \"b\""), REFUSE(FAIL_CHANGED)},
	    {"other tag, digest", 4, 10, DIGEST, "\"a\"", false, 206, RANGE("4-9/10\nETag: \"b\""), TAKE(0, 10, 10)},
	    {"same tag", 4, 10, 0, "\"a\"", false, 206, RANGE("4-9/10\nETag: \"a\""), TAKE(0, 10, 10)},
	    {"weak tag", 4, 10, 0, "\"a\"", false, 206, RANGE("4-9/10\nETag: W/\"a\""), REFUSE(FAIL_CHANGED)},
	    {"no tag", 4, 10, 0, "\"a\"", false, 206, RANGE("4-9/10"), REFUSE(FAIL_CHANGED)},
	    {"no tag, checked", 4, 10, 0, "\"a\"", true, 206, RANGE("4-9/10"), TAKE(0, 10, 10)},
	    {"no date, which a 206 may omit", 4, 10, 0, "Tue, 14 Nov 2023 22:12:00 GMT", false, 206, RANGE("4-9/10"),
	     TAKE(0, 10, 10)},
	    {"overflow", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/18446744073709551616"), REFUSE(FAIL_BAD_DATA)},
	};
	(void)state;
	check_rows(rows, LEN(rows));
}

/* 416 is compared with the known size. It means "complete" only if a digest will be checked. */
static void test_unsatisfied(void **state)
{
	static const struct row rows[] = {
	    {"at the end, digest", 10, UNKNOWN, DIGEST, 0, false, 416, RANGE("*/10"), VERDICT_COMPLETE, 0, 0, 0, 0},
	    {"at the end, checked", 10, UNKNOWN, 0, 0, true, 416, RANGE("*/10"), VERDICT_COMPLETE, 0, 0, 0, 0},
	    {"at the end, unchecked", 10, UNKNOWN, 0, "\"a\"", false, 416, RANGE("*/10"), REFUSE(FAIL_CHANGED)},
	    {"past the end", 11, UNKNOWN, DIGEST, 0, false, 416, RANGE("*/10"), REFUSE(FAIL_CHANGED)},
	    {"below the end", 4, UNKNOWN, DIGEST, 0, false, 416, RANGE("*/10"), VERDICT_NARROW, 0, 0, 0, 0},
	    {"within the size", 4, 10, DIGEST, 0, false, 416, RANGE("*/10"), WHOLE},
	    {"within, no size told", 4, 10, DIGEST, 0, false, 416, "", WHOLE},
	    {"within, no digest", 4, 10, 0, "\"a\"", false, 416, RANGE("*/10"), WHOLE},
	    {"another size", 4, 10, DIGEST, 0, false, 416, RANGE("*/4"), REFUSE(FAIL_BAD_DATA)},
	    {"another size, no digest", 4, 10, 0, "\"a\"", false, 416, RANGE("*/4"), REFUSE(FAIL_CHANGED)},
	    {"no range", 10, UNKNOWN, DIGEST, 0, false, 416, "", WHOLE},
	    {"no range, no digest", 10, UNKNOWN, 0, "\"a\"", false, 416, "", WHOLE},
	    {"not asked for", 0, UNKNOWN, DIGEST, 0, false, 416, RANGE("*/0"), REFUSE(FAIL_BAD_DATA)},
	};
	(void)state;
	check_rows(rows, LEN(rows));
}

/* After a refused range the whole is requested, and bytes that are there are skipped. A second refusal is final. */
static void test_whole_after_range(void **state)
{
	static const struct row rows[] = {
	    {"all", 4, 10, DIGEST, 0, false, 200, "Content-Length: 10", TAKE(4, 10, 10)},
	    {"all, same tag", 4, 10, 0, "\"a\"", false, 200, "ETag: \"a\"", TAKE(4, 10, 10)},
	    {"all, other tag", 4, 10, 0, "\"a\"", false, 200, "ETag: \"b\"", REFUSE(FAIL_CHANGED)},
	    {"all, other size", 4, 10, DIGEST, 0, false, 200, "Content-Length: 11", REFUSE(FAIL_BAD_DATA)},
	    {"part", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/10"), REFUSE(FAIL_BAD_DATA)},
	    {"unsatisfied", 4, 10, DIGEST, 0, false, 416, RANGE("*/10"), REFUSE(FAIL_BAD_DATA)},
	    {"bad request", 4, 10, DIGEST, 0, false, 400, "", REFUSE(FAIL_BAD_DATA)},
	};
	(void)state;
	check_rows_when(rows, LEN(rows), &(struct want){.whole = true});
}

static void test_status(void **state)
{
	static const struct row rows[] = {
	    {"redirect", 0, 10, 0, 0, false, 307, "Location: /x", VERDICT_REDIRECT, 0, 0, 0, 0},
	    {"redirect nowhere", 0, 10, 0, 0, false, 302, "", REFUSE(FAIL_BAD_DATA)},
	    {"not modified", 0, 10, 0, 0, false, 304, "", REFUSE(FAIL_BAD_DATA)},
	    {"no content", 0, 0, 0, 0, false, 204, "", REFUSE(FAIL_BAD_DATA)},
	    {"bad request", 0, 10, 0, 0, false, 400, "", REFUSE(FAIL_BAD_DATA)},
	    {"bad range", 4, 10, DIGEST, 0, false, 400, "", WHOLE},
	    {"bad range, no size", 4, UNKNOWN, DIGEST, 0, false, 400, "", WHOLE},
	    {"login", 0, 10, 0, 0, false, 401, "", VERDICT_LOGIN, FAIL_DENIED, 0, 0, 0},
	    {"forbidden", 0, 10, 0, 0, false, 403, "", REFUSE(FAIL_DENIED)},
	    {"not found", 0, 10, 0, 0, false, 404, "Content-Encoding: gzip", REFUSE(FAIL_NOT_FOUND)},
	    {"gone", 0, 10, 0, 0, false, 410, "", REFUSE(FAIL_NOT_FOUND)},
	    {"timeout", 0, 10, 0, 0, false, 408, "", VERDICT_RETRY, FAIL_AGAIN, 0, 0, 0},
	    {"too many", 0, 10, 0, 0, false, 429, "Retry-After: 1", VERDICT_RETRY, FAIL_AGAIN, 0, 0, 0},
	    {"error", 0, 10, 0, 0, false, 500, "", VERDICT_RETRY, FAIL_AGAIN, 0, 0, 0},
	    {"not implemented", 0, 10, 0, 0, false, 501, "", REFUSE(FAIL_BAD_DATA)},
	    {"unavailable", 4, 10, 0, 0, false, 503, "", VERDICT_RETRY, FAIL_AGAIN, 0, 0, 0},
	    {"strange", 0, 10, 0, 0, false, 999, "", VERDICT_RETRY, FAIL_AGAIN, 0, 0, 0},
	};
	(void)state;
	check_rows(rows, LEN(rows));
}

/* A signed URL has expired: the registry issues a new one. */
static void test_elsewhere(void **state)
{
	static const struct row rows[] = {
	    {"bad request", 4, 10, 0, 0, true, 400, "", REFUSE(FAIL_DENIED)},
	    {"forbidden", 4, 10, 0, 0, true, 403, "", REFUSE(FAIL_DENIED)},
	    {"gone", 4, 10, 0, 0, true, 410, "", REFUSE(FAIL_DENIED)},
	    {"not found", 4, 10, 0, 0, true, 404, "", REFUSE(FAIL_NOT_FOUND)},
	};
	(void)state;
	check_rows_when(rows, LEN(rows), &(struct want){.elsewhere = true});
}

/* An unclear answer to HEAD is followed by GET. */
static void test_head(void **state)
{
	static const struct row rows[] = {
	    {"told", .status = 200, .fields = "Docker-Content-Digest: " DIGEST, .verdict = VERDICT_RESOLVED},
	    {"not told", .status = 200, .fields = "Content-Length: 7", .verdict = VERDICT_GET},
	    {"no digest", .status = 200, .fields = "Docker-Content-Digest: sha256:0", .verdict = VERDICT_GET},
	    {"broken", .status = 200, .fields = "Content-Length: x", .verdict = VERDICT_GET},
	    {"part", .status = 206, .fields = RANGE("0-9/10"), .verdict = VERDICT_GET},
	    {"bad request", .status = 400, .fields = "", .verdict = VERDICT_GET},
	    {"no such method", .status = 405, .fields = "", .verdict = VERDICT_GET},
	    {"not found", .status = 404, .fields = "", .verdict = VERDICT_REFUSE},
	    {"forbidden", .status = 403, .fields = "", .verdict = VERDICT_REFUSE},
	    {"login", .status = 401, .fields = "", .verdict = VERDICT_LOGIN},
	    {"redirect", .status = 307, .fields = "Location: /x", .verdict = VERDICT_REDIRECT},
	    {"too many", .status = 429, .fields = "", .verdict = VERDICT_RETRY},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct response r;
		struct judgement j;
		read_head(&rows[i], &r);
		response_judge_head(&r, &j);
		if (j.verdict != rows[i].verdict)
			fail_msg("%s: verdict %d, '%s'", rows[i].name, j.verdict, j.why.text);
	}
}

/* Servers say of a file how it is compressed as if they did it; encoded on the way it would have other bytes. */
static void test_stored_compressed(void **state)
{
	static const char xgzip[] = "Content-Encoding: x-gzip\nContent-Length: 10";
	static const char gzip[] = "Content-Encoding: gzip\nContent-Length: 10";
	static const struct row named[] = {
	    {"x-gzip", 0, 10, 0, 0, false, 200, xgzip, TAKE(0, 10, 10)},
	    {"gzip", 0, 10, 0, 0, false, 200, gzip, TAKE(0, 10, 10)},
	    {"gzip of a part", 4, 10, DIGEST, 0, false, 206, RANGE("4-9/10\nContent-Encoding: gzip"), TAKE(0, 10, 10)},
	    {"on the way", 0, 10, DIGEST, 0, false, 200, "Transfer-Encoding: gzip", REFUSE(FAIL_BAD_DATA)},
	    {"of another size", 0, 11, DIGEST, 0, false, 200, gzip, REFUSE(FAIL_BAD_DATA)},
	};
	static const struct row unnamed[] = {
	    {"x-gzip, digest", 0, 10, DIGEST, 0, false, 200, xgzip, TAKE(0, 10, 10)},
	    {"x-gzip, checked", 0, UNKNOWN, 0, 0, true, 200, xgzip, TAKE(0, 10, 10)},
	    {"x-gzip, no digest", 0, 10, 0, 0, false, 200, xgzip, REFUSE(FAIL_BAD_DATA)},
	    {"gzip, digest", 0, 10, DIGEST, 0, false, 200, gzip, REFUSE(FAIL_BAD_DATA)},
	};
	(void)state;
	check_rows_when(named, LEN(named), &(struct want){.compressed = true});
	check_rows(unnamed, LEN(unnamed));
	for (size_t i = 0; i < 2; i++) {
		struct judgement j;
		judge(&named[i], &(struct want){.compressed = true, .parsed = true}, &j);
		assert_int_equal(j.verdict, VERDICT_REFUSE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_whole_to_range),
	    cmocka_unit_test(test_part),
	    cmocka_unit_test(test_unsatisfied),
	    cmocka_unit_test(test_whole_after_range),
	    cmocka_unit_test(test_status),
	    cmocka_unit_test(test_elsewhere),
	    cmocka_unit_test(test_head),
	    cmocka_unit_test(test_stored_compressed),
	};
	return cmocka_run_group_tests_name("fetchd http judge", tests, NULL, NULL);
}
