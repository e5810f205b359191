/*
 * Ingests: the behaviours of containerd's content test suite (a writer's conformance table), and every half-made state
 * that a kill or a power cut can leave.
 */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "ingestd/sync.h"

/* Base */
#include "common/base/lock.h"

/* Wire */
#include "common/wire/message.h"

#define CONTENT_LEN 300000

static struct unit_dir dir;
static struct ingest_home home;
static uint8_t content[CONTENT_LEN];
static struct digest content_digest;

static int set_up(void **state)
{
	struct reason why;
	char path[FILE_PATH_SIZE];

	(void)state;
	unit_dir_make(&dir);
	memset(&home, 0, sizeof(home));
	assert_int_equal(layout_open(unit_path(&dir, "store", path), LAYOUT_INGESTER, &home.layout, &why), 0);
	home.program = "test";
	home.boot_id[0] = 1;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 2654435761u >> 13);
	digest_of(HASH_SHA256, content, sizeof(content), &content_digest);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	layout_free(home.layout);
	unit_dir_remove(&dir);
	return 0;
}

static struct ingest *open_ref(const char *ref)
{
	struct ingest *in;
	struct reason why = {""};

	if (ingest_open(&home, span_str(ref), INGEST_MAKE, &in, &why) < 0)
		fail_msg("%s: %s", ref, why.text);
	return in;
}

static void append(struct ingest *in, size_t from, size_t to)
{
	size_t accepted;

	assert_int_equal(ingest_append(in, content + from, to - from, &accepted), 0);
	assert_int_equal(accepted, to - from);
	assert_int_equal(in->offset, to);
}

static void expect(struct ingest *in)
{
	in->record.expected = content_digest;
	in->record.has_expected = true;
	in->record.size = sizeof(content);
	assert_int_equal(ingest_note(in), 0);
}

static void checkpoint(struct ingest *in)
{
	struct sync_job job;

	sync_prepare(&job, SYNC_CHECKPOINT, in);
	sync_run(&job);
	assert_int_equal(sync_finish(&job), 0);
}

static void assert_prefix(const struct ingest *in, size_t len)
{
	struct digest want, got;

	digest_of(HASH_SHA256, content, len, &want);
	ingest_digest(in, &got);
	assert_int_equal(in->offset, len);
	assert_true(digest_eq(&want, &got));
}

static void assert_match(const struct ingest *in)
{
	struct digest got;

	assert_int_equal(ingest_check(in, &got), SEAL_MATCH);
}

/* A path in the ingest's directory, relative to the test's. */
static const char *file_of(const struct ingest *in, const char *name)
{
	static char path[FILE_PATH_SIZE];

	(void)snprintf(path, sizeof(path), "store/ingest/%s/%s", in->id, name);
	return path;
}

static void test_status_after_each_write(void **state)
{
	(void)state;
	struct ingest *in = open_ref("status");
	assert_prefix(in, 0);
	for (size_t at = 0; at < 60000; at += 10000) {
		append(in, at, at + 10000);
		assert_prefix(in, at + 10000);
		assert_prefix(in, at + 10000); /* asking does not disturb it */
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

/* The second writer of a ref is told who holds it, and gets it when the first is done. */
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

/* Nothing at all is content too. */
static void test_empty(void **state)
{
	struct ingest *in = open_ref("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

	(void)state;
	in->record.size = 0;
	assert_match(in);
	ingest_close(in);
}

/* A wrong size or digest keeps the data and frees the ref; with the right ones it succeeds without another write. */
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

/* Killed after the append and before the slot: the bytes are hashed again, and the blob is read back at the end. */
static void test_killed_between_append_and_slot(void **state)
{
	struct ingest *in = open_ref("killed");
	size_t behind = CHUNK_PAYLOAD_MAX;

	(void)state;
	append(in, 0, 1000);
	assert_int_equal(write(in->data_fd, content + 1000, behind), (ssize_t)behind);
	ingest_close(in);
	in = open_ref("killed");
	assert_prefix(in, 1000 + behind);
	assert_int_equal(in->rehashed_now, behind);
	assert_int_equal(in->provenance, PROVENANCE_MENDED);
	ingest_close(in);
	in = open_ref("killed"); /* the mark stays */
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
	in = open_ref("foreign");
	assert_prefix(in, 1000);
	assert_int_equal(in->provenance, PROVENANCE_MENDED);
	append(in, 1000, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

/* After a reboot size alone is no evidence: back to what was synced, and read back at the end. */
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
	in = open_ref("reboot");
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
	in = open_ref("reboot");
	assert_prefix(in, 0);
	assert_int_equal(in->provenance, 0); /* nothing crossed it */
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
	in = open_ref("broken");
	assert_prefix(in, 0);
	assert_non_null(strstr(in->resumed, "shorter"));
	ingest_close(in);
}

/* After a failed sync the bytes since the last good one are gone, whatever the file says. */
static void test_roll_back(void **state)
{
	struct ingest *in = open_ref("rolled");

	(void)state;
	append(in, 0, 100000);
	checkpoint(in);
	append(in, 100000, 200000);
	assert_int_equal(ingest_roll_back(in), 0);
	assert_prefix(in, 100000);
	assert_int_equal(in->provenance, PROVENANCE_MENDED);
	append(in, 100000, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

/* No durable slot outlives the bytes that it vouched for. */
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
	in = open_ref("slots");
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
	in = open_ref("sealed"); /* killed before the seal was sent */
	assert_prefix(in, CONTENT_LEN);
	assert_true(in->record.has_sealed);
	assert_int_equal(unlinkat(in->dir_fd, INGEST_DATA, 0), 0);
	ingest_close(in);
	in = open_ref("sealed"); /* commitd has renamed it, and the receipt was lost */
	assert_true(in->is_moved);
	assert_int_equal(in->offset, CONTENT_LEN);
	assert_int_equal(ingest_truncate(in), 0); /* the blob is not there either: begin again */
	assert_false(in->is_moved);
	append(in, 0, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
}

/* Every file of the directory missing, empty, or full of something else: never a wedge, never a wrong digest. */
static void test_half_made(void **state)
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
			in = open_ref("half");
			if (in->offset < CONTENT_LEN)
				append(in, (size_t)in->offset, CONTENT_LEN);
			expect(in);
			assert_int_equal(ingest_check(in, &got), SEAL_MATCH);
			assert_int_equal(ingest_remove(in), 0);
			free(path);
		}
}

/* Somebody's link at `data` is refused, and what it points at is not touched. */
static void test_links_are_refused(void **state)
{
	struct reason why;
	struct ingest *in = open_ref("links");
	char path[FILE_PATH_SIZE], victim[FILE_PATH_SIZE];

	(void)state;
	unit_write_text(&dir, "victim", "precious");
	(void)snprintf(path, sizeof(path), "%s", file_of(in, INGEST_DATA));
	ingest_close(in);
	for (int hard = 0; hard < 2; hard++) {
		assert_int_equal(unlinkat(dir.fd, path, 0), 0);
		if (hard)
			assert_int_equal(linkat(dir.fd, "victim", dir.fd, path, 0), 0);
		else
			assert_int_equal(symlinkat(unit_path(&dir, "victim", victim), dir.fd, path), 0);
		assert_true(ingest_open(&home, span_str("links"), INGEST_MAKE, &in, &why) < 0);
		assert_non_null(strstr(why.text, "data"));
		unit_assert_content(&dir, "victim", "precious");
	}
}

/* The record is appended whole, and begun anew before it grows over its limit. */
static void test_record_stays_small(void **state)
{
	struct ingest *in = open_ref("record");
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		in->record.attempt++;
		assert_int_equal(ingest_note(in), 0);
		assert_int_equal(fstat(in->transfer_fd, &st), 0);
		assert_true(st.st_size <= TRANSFER_FILE_MAX);
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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
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
	    TEST(test_killed_between_append_and_slot),
	    TEST(test_foreign_bytes_are_cut_off),
	    TEST(test_reboot),
	    TEST(test_reboot_without_a_durable_slot),
	    TEST(test_data_shorter_than_its_durable_slot),
	    TEST(test_roll_back),
	    TEST(test_truncate_drops_the_slots),
	    TEST(test_sealed),
	    TEST(test_half_made),
	    TEST(test_links_are_refused),
	    TEST(test_record_stays_small),
	    TEST(test_remove),
	};
	return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
