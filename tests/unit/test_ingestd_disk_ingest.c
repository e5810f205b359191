/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingests: the behaviours of containerd's content test suite, a writer's conformance table.
 */

/* Own */
#include "tests/unit/test_ingestd_disk.h"

/* Wire */
#include "common/wire/message.h"

static void test_status_after_each_write(void **state)
{
	(void)state;
	struct ingest *in = open_ref("status");
	assert_prefix(in, 0);
	for (size_t at = 0; at < 60000; at += 10000) {
		append(in, at, at + 10000);
		assert_prefix(in, at + 10000);
		assert_prefix(in, at + 10000); /* reading it changes nothing */
	}
	assert_true(in->record.started_s > 0);
	ingest_close(in);
}

static void test_several_writers_at_once(void **state)
{
	struct ingest *in[8];
	char ref[16];

	(void)state;
	for (size_t i = 0; i < LEN(in); i++) {
		(void)snprintf(ref, sizeof(ref), "writer-%zu", i);
		in[i] = open_ref(ref);
	}
	for (size_t at = 0; at < CONTENT_LEN; at += CONTENT_LEN / 10)
		for (size_t i = 0; i < LEN(in); i++)
			append(in[i], at, at + CONTENT_LEN / 10);
	for (size_t i = 0; i < LEN(in); i++) {
		expect(in[i]);
		assert_match(in[i]);
		ingest_close(in[i]);
	}
}

/* The second writer of a ref is told who holds the lock, and gets it after the first. */
static void test_second_writer(void **state)
{
	struct ingest *in = open_ref("held"), *second;
	struct reason why;

	(void)state;
	assert_int_equal(ingest_open(&home, span_str("held"), INGEST_MAKE, &second, &why), -EWOULDBLOCK);
	assert_non_null(strstr(why.text, "test"));
	assert_non_null(strstr(why.text, "since 20"));
	ingest_close(in);
	ingest_close(open_ref("held"));
}

static void test_resume_after_close(void **state)
{
	struct ingest *in = open_ref("resume");

	(void)state;
	expect(in);
	uint64_t started_s = in->record.started_s;
	append(in, 0, 12345);
	ingest_close(in);
	in = open_ref("resume");
	assert_prefix(in, 12345);
	assert_int_equal(in->rehashed_now, 0);
	assert_int_equal(in->provenance, 0);
	assert_int_equal(in->record.started_s, started_s);
	assert_int_equal(in->record.size, CONTENT_LEN);
	append(in, 12345, CONTENT_LEN);
	assert_match(in);
	ingest_close(in);
}

static void test_truncate_then_rewrite(void **state)
{
	static const size_t percents[] = {0, 10, 50, 90, 100};

	(void)state;
	for (size_t i = 0; i < LEN(percents); i++) {
		struct ingest *in = open_ref("truncate");
		size_t part = CONTENT_LEN / 100 * percents[i];
		if (part > 0)
			append(in, 0, part);
		assert_int_equal(ingest_truncate(in), 0);
		assert_prefix(in, 0);
		append(in, 0, CONTENT_LEN);
		expect(in);
		assert_match(in);
		assert_int_equal(ingest_remove(in), 0);
	}
}

static void test_six_bytes(void **state)
{
	struct ingest *in = open_ref("small");
	struct digest got, want;
	size_t accepted;

	(void)state;
	digest_of(HASH_SHA256, "hello\n", 6, &want);
	assert_int_equal(ingest_append(in, "hello\n", 6, &accepted), 0);
	in->record.expected = want;
	in->record.has_expected = true;
	assert_int_equal(ingest_check(in, &got), SEAL_MATCH);
	ingest_close(in);
}

/* Empty content is valid. */
static void test_empty(void **state)
{
	struct ingest *in = open_ref("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

	(void)state;
	in->record.size = 0;
	assert_match(in);
	ingest_close(in);
}

/* After a wrong size or digest the data is kept and the ref is free. The right ones succeed without another write. */
static void test_wrong_expectations_keep_the_data(void **state)
{
	struct ingest *in = open_ref("wrong");
	struct digest got;

	(void)state;
	append(in, 0, CONTENT_LEN);
	in->record.size = CONTENT_LEN + 1;
	assert_int_equal(ingest_check(in, &got), SEAL_WRONG_SIZE);
	in->record.size = CONTENT_LEN;
	digest_of(HASH_SHA256, "x", 1, &in->record.expected);
	in->record.has_expected = true;
	assert_int_equal(ingest_check(in, &got), SEAL_WRONG_DIGEST);
	assert_true(digest_eq(&got, &content_digest));
	ingest_close(in);
	in = open_ref("wrong");
	assert_prefix(in, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

static void test_sha512(void **state)
{
	struct digest want;
	char ref[DIGEST_TEXT_SIZE];

	(void)state;
	digest_of(HASH_SHA512, content, sizeof(content), &want);
	digest_format(&want, ref);
	struct ingest *in = open_ref(ref);
	append(in, 0, 1000);
	ingest_close(in);
	in = open_ref(ref);
	append(in, 1000, CONTENT_LEN);
	assert_match(in);
	assert_int_equal(ingest_set_alg(in, HASH_SHA256), -EBUSY);
	ingest_close(in);
}

/* Of a URL, what may be a secret goes from the whole file once it has failed; other sources stay as they are. */
static void test_failure_forgets_the_query(void **state)
{
	static const struct {
		const char *source, *want;
	} rows[] = {
	    {"https://example.test/f?sig=SECRET", "https://example.test/f"},
	    {"https://example.test/f?a=SECRET#SECRET", "https://example.test/f"},
	    {"https://example.test/f#SECRET?SECRET", "https://example.test/f"},
	    {"https://example.test?SECRET", "https://example.test"},
	    {"https://example.test/f", "https://example.test/f"},
	    {"manifest://example.test/a:1", "manifest://example.test/a:1"},
	    {"", ""},
	};
	char path[FILE_PATH_SIZE], text[RECORD_FILE_MAX];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct ingest *in = open_ref("failed");
		(void)snprintf(in->record.source, sizeof(in->record.source), "%s", rows[i].source);
		assert_int_equal(ingest_note(in), 0);
		in->record.failed = FAIL_AGAIN;
		assert_int_equal(ingest_note_failed(in), 0);
		assert_string_equal(in->record.source, rows[i].want);
		(void)snprintf(path, sizeof(path), "store/ingest/%s/transfer", in->id);
		int fd = openat(dir.fd, path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, text, sizeof(text) - 1);
		assert_true(n > 0);
		text[n] = '\0';
		assert_null(strstr(text, "SECRET"));
		assert_int_equal(close(fd), 0);
		ingest_close(in);
		in = open_ref("failed");
		assert_string_equal(in->record.source, rows[i].want);
		assert_int_equal(in->record.failed, FAIL_AGAIN);
		ingest_close(in);
	}
}

/* Each state is appended to the record, which is rewritten before it exceeds its limit. */
static void test_record_stays_small(void **state)
{
	struct ingest *in = open_ref("record");
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		in->record.attempt++;
		assert_int_equal(ingest_note(in), 0);
		assert_int_equal(fstat(in->record_fd, &st), 0);
		assert_true(st.st_size <= RECORD_FILE_MAX);
	}
	ingest_close(in);
	in = open_ref("record");
	assert_int_equal(in->record.attempt, 2000);
	ingest_close(in);
}

static void test_remove(void **state)
{
	struct reason why;
	struct ingest *in = open_ref("removed");

	(void)state;
	append(in, 0, 10);
	assert_int_equal(ingest_remove(in), 0);
	assert_int_equal(ingest_open(&home, span_str("removed"), INGEST_EXISTING, &in, &why), -ENOENT);
}

/* Replace each file in turn by something that ingest_open() refuses. */
static void test_discard(void **state)
{
	static const char *const files[] = {INGEST_DATA, INGEST_CHECKPOINT, INGEST_TRANSFER, INGEST_LOCK};
	char victim[FILE_PATH_SIZE];
	struct reason why;
	struct ingest *in;

	(void)state;
	unit_write_text(&dir, "victim", "victim");
	assert_int_equal(ingest_discard(&home, span_str("taken"), &why), -ENOENT);
	for (size_t i = 0; i < LEN(files); i++) {
		in = open_ref("taken");
		append(in, 0, 10);
		assert_int_equal(ingest_discard(&home, span_str("taken"), &why), -EWOULDBLOCK);
		assert_int_equal(unlinkat(in->dir_fd, files[i], 0), 0);
		assert_int_equal(symlinkat(unit_path(&dir, "victim", victim), in->dir_fd, files[i]), 0);
		ingest_close(in);
		assert_int_equal(ingest_open(&home, span_str("taken"), INGEST_MAKE, &in, &why), -ELOOP);
		assert_non_null(strstr(why.text, files[i]));
		assert_int_equal(ingest_discard(&home, span_str("taken"), &why), 0);
		assert_int_equal(ingest_open(&home, span_str("taken"), INGEST_EXISTING, &in, &why), -ENOENT);
	}
	unit_assert_content(&dir, "victim", "victim");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_status_after_each_write),
	    TEST(test_several_writers_at_once),
	    TEST(test_second_writer),
	    TEST(test_resume_after_close),
	    TEST(test_truncate_then_rewrite),
	    TEST(test_six_bytes),
	    TEST(test_empty),
	    TEST(test_wrong_expectations_keep_the_data),
	    TEST(test_sha512),
	    TEST(test_record_stays_small),
	    TEST(test_failure_forgets_the_query),
	    TEST(test_remove),
	    TEST(test_discard),
	};
	return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
