/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `commitd commit`: frames in, digests out, exit codes.
 */

/* Own */
#include "tests/unit/test_commitd_seal.h"

/* System */
#include <sysexits.h>

/* Base */
#include "common/base/lock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/frame.h"

/* The code under test */
#include "commitd/tool.h"

static struct store st;
static char in_path[PATH_SIZE], out_path[PATH_SIZE];

static int setup(void **state)
{
	(void)state;
	store_open(&st);
	(void)snprintf(in_path, sizeof(in_path), "%.200s/in", st.path);
	(void)snprintf(out_path, sizeof(out_path), "%.200s/out", st.path);
	write_file(in_path, "", 0, 0600);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(&st);
	return 0;
}

static void add_bytes(const char *text)
{
	int fd = open(in_path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void add_message(const struct message *m)
{
	int fd = open(in_path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(frame_write(fd, m), 0);
	(void)close(fd);
}

/* A valid seal of `text`. */
static void add_seal(const char *ref, const char *text, uint8_t provenance)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m = store_seal(&st, ref, text, provenance, digest);
	add_message(&m);
}

static int run(bool verify_always)
{
	AUTO_FD in = open(in_path, O_RDONLY | O_CLOEXEC);
	AUTO_FD out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(in >= 0 && out >= 0);
	const struct settings settings = {.store = st.path,
					  .verify = verify_always ? VERIFY_ALWAYS : VERIFY_WHEN_ASKED};
	return tool_commit(&settings, in, out);
}

static void append_line(struct buf *out, const char *text)
{
	char digest[DIGEST_TEXT_SIZE];
	struct digest d = digest_of_text(text);
	digest_format(&d, digest);
	assert_int_equal(buf_appendf(out, "%s\n", digest), 0);
}

static void test_commits_and_prints(void **state)
{
	AUTO_BUF want = BUF_INIT;
	char dir[PATH_SIZE];
	(void)state;
	ingest_make(&st, "one", "1");
	ingest_make(&st, "two", "22");
	add_seal("one", "1", 0);
	add_seal("two", "22", PROVENANCE_REBOOTED);
	append_line(&want, "1");
	append_line(&want, "22");
	assert_int_equal(run(false), EX_OK);
	assert_true(file_is(out_path, want.data));
	ingest_dir(&st, "one", dir);
	assert_false(exists(dir));
	ingest_dir(&st, "two", dir);
	assert_false(exists(dir));
	/* The same line again. */
	assert_int_equal(run(true), EX_OK);
	assert_true(file_is(out_path, want.data));
}

static void test_one_bad_among_good(void **state)
{
	AUTO_BUF want = BUF_INIT;
	char dir[PATH_SIZE];
	(void)state;
	ingest_make(&st, "bad", "x");
	ingest_make(&st, "good", "2");
	add_seal("bad", "1", PROVENANCE_MENDED);
	add_seal("good", "2", 0);
	append_line(&want, "2");
	assert_int_equal(run(false), EX_DATAERR);
	assert_true(file_is(out_path, want.data));
	ingest_dir(&st, "bad", dir);
	assert_true(exists(dir));
}

static void test_locked_ingest_is_skipped(void **state)
{
	AUTO_FD dir_fd = -1;
	AUTO_FD lock_fd = -1;
	char dir[PATH_SIZE];
	(void)state;
	ingest_make(&st, "one", "1");
	ingest_dir(&st, "one", dir);
	assert_int_equal(dir_open_at(AT_FDCWD, dir, false, &dir_fd), 0);
	assert_int_equal(lock_take_at(dir_fd, INGEST_LOCK, LOCK_EXCLUSIVE, "test", &lock_fd, NULL), 0);
	add_seal("one", "1", 0);
	assert_int_equal(run(false), EX_OK);
	assert_true(exists(dir));
}

static void test_exit_codes(void **state)
{
	static const struct {
		const char *name, *bytes;
		int want;
	} rows[] = {
	    {"nothing", "", EX_TEMPFAIL},
	    {"text", "sha256:00\n", EX_DATAERR},
	    {"cut off", "\1\1", EX_TEMPFAIL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].name);
		write_file(in_path, rows[i].bytes, strlen(rows[i].bytes), 0600);
		assert_int_equal(run(false), rows[i].want);
		assert_true(file_is(out_path, ""));
	}
}

static void test_other_messages(void **state)
{
	struct message m = {.type = MSG_OK};
	struct message seal = {.type = MSG_SEALED, .ref = span_str("r"), .digest = span_str("md5:00"), .size = 1};
	(void)state;
	add_message(&m);
	assert_int_equal(run(false), EX_DATAERR);
	write_file(in_path, "", 0, 0600);
	add_message(&seal);
	assert_int_equal(run(false), EX_DATAERR);
	write_file(in_path, "", 0, 0600);
	add_seal("gone", "gone", 0);
	assert_int_equal(run(false), EX_TEMPFAIL);
}

static void test_good_then_garbage(void **state)
{
	AUTO_BUF want = BUF_INIT;
	(void)state;
	ingest_make(&st, "one", "1");
	add_seal("one", "1", 0);
	add_bytes("garbage");
	append_line(&want, "1");
	assert_int_equal(run(false), EX_DATAERR);
	assert_true(file_is(out_path, want.data));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_commits_and_prints, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_bad_among_good, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_locked_ingest_is_skipped, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_exit_codes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_other_messages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_good_then_garbage, setup, teardown),
	};
	log_init("test");
	return cmocka_run_group_tests_name("commitd tool", tests, NULL, NULL);
}
