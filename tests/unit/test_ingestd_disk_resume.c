/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resumed ingests: every incomplete state that a kill, a power cut or another program can leave.
 */

/* Own */
#include "tests/unit/test_ingestd_disk.h"

/* Wire */
#include "common/wire/message.h"

/* Open it again. It resumes at the offset of ingest_peek(). */
static struct ingest *reopen_ref(const char *ref)
{
	uint64_t offset = peek(ref);
	struct ingest *in = open_ref(ref);

	assert_int_equal(in->offset, offset);
	assert_int_equal(peek(ref), offset); /* while another process has it open */
	return in;
}

/* Killed between append and slot: the bytes are hashed again, and the blob is read back at the end. */
static void test_killed_between_append_and_slot(void **state)
{
	struct ingest *in = open_ref("killed");
	size_t behind = CHUNK_PAYLOAD_MAX;

	(void)state;
	append(in, 0, 1000);
	assert_int_equal(write(in->data_fd, content + 1000, behind), (ssize_t)behind);
	ingest_close(in);
	in = reopen_ref("killed");
	assert_prefix(in, 1000 + behind);
	assert_int_equal(in->rehashed_now, behind);
	assert_int_equal(in->provenance, PROVENANCE_MENDED);
	ingest_close(in);
	in = reopen_ref("killed"); /* the mark stays */
	assert_int_equal(in->rehashed_now, 0);
	assert_int_equal(in->rehashed, behind);
	assert_int_equal(in->provenance, PROVENANCE_MENDED);
	ingest_close(in);
}

static void test_foreign_bytes_are_cut_off(void **state)
{
	struct ingest *in = open_ref("foreign");

	(void)state;
	append(in, 0, 1000);
	assert_int_equal(write(in->data_fd, content, CHUNK_PAYLOAD_MAX + 1), CHUNK_PAYLOAD_MAX + 1);
	ingest_close(in);
	in = reopen_ref("foreign");
	assert_prefix(in, 1000);
	assert_int_equal(in->provenance, PROVENANCE_MENDED);
	append(in, 1000, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

/* After a reboot the size proves nothing: resume at the synced bytes, and read back at the end. */
static void test_reboot(void **state)
{
	struct ingest *in = open_ref("reboot");

	(void)state;
	append(in, 0, 100000);
	checkpoint(in);
	append(in, 100000, 200000);
	checkpoint(in);
	append(in, 200000, 250000);
	ingest_close(in);
	home.boot_id[0] = 2;
	in = reopen_ref("reboot");
	assert_prefix(in, 200000);
	assert_int_equal(in->provenance, PROVENANCE_REBOOTED);
	append(in, 200000, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

static void test_reboot_without_a_durable_slot(void **state)
{
	struct ingest *in = open_ref("reboot");

	(void)state;
	append(in, 0, 100000);
	ingest_close(in);
	home.boot_id[0] = 2;
	in = reopen_ref("reboot");
	assert_prefix(in, 0);
	assert_int_equal(in->provenance, 0); /* no bytes from before the reboot */
	ingest_close(in);
}

static void test_data_shorter_than_its_durable_slot(void **state)
{
	struct ingest *in = open_ref("broken");

	(void)state;
	append(in, 0, 100000);
	checkpoint(in);
	assert_int_equal(ftruncate(in->data_fd, 99999), 0);
	ingest_close(in);
	in = reopen_ref("broken");
	assert_prefix(in, 0);
	assert_non_null(strstr(in->resumed, "shorter"));
	ingest_close(in);
}

/*
 * After a failed sync the bytes since the last good one are lost, whatever the file shows. The record may be incomplete
 * on disk, so it is written again, as a new file.
 */
static void test_roll_back(void **state)
{
	struct ingest *in = open_ref("rolled");
	struct stat before, after;

	(void)state;
	append(in, 0, 100000);
	checkpoint(in);
	append(in, 100000, 200000);
	in->record.attempt = 7;
	assert_int_equal(ingest_note(in), 0);
	assert_int_equal(ingest_note(in), 0);
	assert_int_equal(fstat(in->record_fd, &before), 0);
	assert_int_equal(ingest_roll_back(in), 0);
	assert_prefix(in, 100000);
	assert_int_equal(fstat(in->record_fd, &after), 0);
	assert_true(after.st_ino != before.st_ino && after.st_size < before.st_size);
	assert_int_equal(ingest_note(in), 0);
	ingest_close(in);
	in = reopen_ref("rolled");
	assert_int_equal(in->record.attempt, 7);
	assert_prefix(in, 100000);
	assert_int_equal(in->provenance, PROVENANCE_MENDED);
	append(in, 100000, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

/* Truncation also removes the durable slots. */
static void test_truncate_drops_the_slots(void **state)
{
	struct ingest *in = open_ref("slots");

	(void)state;
	append(in, 0, 100000);
	checkpoint(in);
	assert_int_equal(ingest_truncate(in), 0);
	append(in, 0, 150000);
	ingest_close(in);
	home.boot_id[0] = 2;
	in = reopen_ref("slots");
	assert_prefix(in, 0);
	ingest_close(in);
}

static void test_sealed(void **state)
{
	struct ingest *in = open_ref("sealed");
	struct sync_job job;
	struct stat st;

	(void)state;
	append(in, 0, CONTENT_LEN);
	expect(in);
	sync_prepare(&job, SYNC_SEAL, in);
	sync_run(&job);
	assert_int_equal(sync_finish(&job), 0);
	assert_int_equal(fstat(in->data_fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	in->record.has_sealed = true;
	in->record.sealed = content_digest;
	assert_int_equal(ingest_note(in), 0);
	ingest_close(in);
	in = reopen_ref("sealed"); /* killed before the seal was sent */
	assert_prefix(in, CONTENT_LEN);
	assert_true(in->record.has_sealed);
	assert_int_equal(unlinkat(in->dir_fd, INGEST_DATA, 0), 0);
	ingest_close(in);
	in = reopen_ref("sealed"); /* commitd has renamed it, and the receipt was lost */
	assert_true(in->is_moved);
	assert_int_equal(in->offset, CONTENT_LEN);
	assert_int_equal(ingest_truncate(in), 0); /* the blob does not exist either: start over */
	assert_false(in->is_moved);
	append(in, 0, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

/* What was sealed and turns out wrong is writable again, and not readable by more users than before. */
static void test_unsealed_as_the_umask_says(void **state)
{
	static const struct {
		mode_t umask, want;
	} rows[] = {{077, 0600}, {027, 0640}, {022, 0644}, {002, 0644}};
	struct sync_job job;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		mode_t before = umask(rows[i].umask);
		struct ingest *in = open_ref("unsealed");
		append(in, 0, CONTENT_LEN);
		assert_int_equal(fstat(in->data_fd, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].want);
		sync_prepare(&job, SYNC_SEAL, in);
		sync_run(&job);
		assert_int_equal(sync_finish(&job), 0);
		assert_int_equal(ingest_truncate(in), 0);
		assert_int_equal(fstat(in->data_fd, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].want);
		assert_int_equal(ingest_remove(in), 0);
		(void)umask(before);
	}
}

/* Each file of the directory missing, empty or full of garbage: never a wedge, never a wrong digest. */
static void test_incomplete_ingest(void **state)
{
	static const char *const names[] = {INGEST_TRANSFER, INGEST_DATA, INGEST_CHECKPOINT, INGEST_LOCK};
	enum { GONE, EMPTY, GARBAGE, WAYS };

	(void)state;
	for (size_t i = 0; i < LEN(names); i++)
		for (int way = GONE; way < WAYS; way++) {
			struct ingest *in = open_ref("half");
			struct digest got;
			append(in, 0, 100000);
			expect(in);
			char *path = strdup(file_of(in, names[i]));
			ingest_close(in);
			if (way == GONE)
				assert_int_equal(unlinkat(dir.fd, path, 0), 0);
			else
				unit_write(&dir, path, "garbage\n=\0\n", way == EMPTY ? 0 : 11);
			in = reopen_ref("half");
			if (in->offset < CONTENT_LEN)
				append(in, (size_t)in->offset, CONTENT_LEN);
			expect(in);
			assert_int_equal(ingest_check(in, &got), SEAL_MATCH);
			assert_int_equal(ingest_remove(in), 0);
			free(path);
		}
}

/* A symbolic link at `data` is refused, and its target is not touched. */
static void test_symlinks_are_refused(void **state)
{
	struct reason why;
	struct ingest *in = open_ref("links");
	char path[FILE_PATH_SIZE], victim[FILE_PATH_SIZE];

	(void)state;
	unit_write_text(&dir, "victim", "precious");
	(void)snprintf(path, sizeof(path), "%s", file_of(in, INGEST_DATA));
	ingest_close(in);
	assert_int_equal(unlinkat(dir.fd, path, 0), 0);
	assert_int_equal(symlinkat(unit_path(&dir, "victim", victim), dir.fd, path), 0);
	assert_true(ingest_open(&home, span_str("links"), INGEST_MAKE, &in, &why) < 0);
	assert_non_null(strstr(why.text, "data"));
	unit_assert_content(&dir, "victim", "precious");
}

/* Nothing is written through a second name that is not a blob's. The slots do not apply to the new file. */
static void test_foreign_second_name(void **state)
{
	struct ingest *in = open_ref("second");
	struct stat st;

	(void)state;
	append(in, 0, 100000);
	checkpoint(in);
	assert_int_equal(linkat(dir.fd, file_of(in, INGEST_DATA), dir.fd, "backup", 0), 0);
	ingest_close(in);
	in = reopen_ref("second");
	assert_int_equal(in->offset, 0);
	append(in, 0, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
	in = reopen_ref("second");
	assert_prefix(in, CONTENT_LEN);
	ingest_close(in);
	assert_int_equal(fstatat(dir.fd, "backup", &st, 0), 0);
	assert_int_equal(st.st_size, 100000);
}

/* A power cut during a commit: the blob has its name, but the record does not say `sealed`. */
static void test_named_and_not_sealed(void **state)
{
	char name[DIGEST_TEXT_SIZE], path[FILE_PATH_SIZE];

	(void)state;
	digest_format_hex(&content_digest, name);
	(void)snprintf(path, sizeof(path), "store/blobs/sha256/%s", name);
	assert_int_equal(mkdirat(dir.fd, "store/blobs", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "store/blobs/sha256", 0755), 0);
	for (int both = 0; both < 2; both++) { /* both names exist, as btrfs may leave them */
		struct ingest *in = open_ref("named");
		append(in, 0, CONTENT_LEN);
		checkpoint(in);
		expect(in);
		assert_int_equal(linkat(dir.fd, file_of(in, INGEST_DATA), dir.fd, path, 0), 0);
		if (!both)
			assert_int_equal(unlinkat(dir.fd, file_of(in, INGEST_DATA), 0), 0);
		ingest_close(in);
		in = reopen_ref("named");
		assert_true(in->is_moved && in->record.has_sealed);
		assert_int_equal(in->record.size, CONTENT_LEN);
		assert_true(digest_eq(&in->record.sealed, &content_digest));
		assert_int_equal(ingest_remove(in), 0);
		assert_int_equal(unlinkat(dir.fd, path, 0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_killed_between_append_and_slot),
	    TEST(test_foreign_bytes_are_cut_off),
	    TEST(test_reboot),
	    TEST(test_reboot_without_a_durable_slot),
	    TEST(test_data_shorter_than_its_durable_slot),
	    TEST(test_roll_back),
	    TEST(test_truncate_drops_the_slots),
	    TEST(test_sealed),
	    TEST(test_unsealed_as_the_umask_says),
	    TEST(test_incomplete_ingest),
	    TEST(test_symlinks_are_refused),
	    TEST(test_foreign_second_name),
	    TEST(test_named_and_not_sealed),
	};
	return cmocka_run_group_tests_name("ingest-resume", tests, NULL, NULL);
}
