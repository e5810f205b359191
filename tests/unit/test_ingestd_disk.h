/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory for ingests, content for them, and checks.
 */
#ifndef SLUICE_TESTS_INGESTD_DISK_H
#define SLUICE_TESTS_INGESTD_DISK_H

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "ingestd/disk/open.h"
#include "ingestd/disk/sync.h"

#define CONTENT_LEN 300000

static struct unit_dir dir;
static struct ingest_home home;
static uint8_t content[CONTENT_LEN];
static struct digest content_digest;

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
	(void)state;
	layout_free(home.layout);
	unit_dir_remove(&dir);
	return 0;
}

static inline struct ingest *open_ref(const char *ref)
{
	struct ingest *in;
	struct reason why = {""};

	if (ingest_open(&home, span_str(ref), INGEST_MAKE, &in, &why) < 0)
		fail_msg("%s: %s", ref, why.text);
	return in;
}

/* The offset at which ingest_open() would resume. */
static inline uint64_t peek(const char *ref)
{
	struct reason why = {""};
	uint64_t offset;

	if (ingest_peek(&home, span_str(ref), &offset, &why) < 0)
		fail_msg("%s: %s", ref, why.text);
	return offset;
}

static inline void append(struct ingest *in, size_t from, size_t to)
{
	size_t accepted;

	assert_int_equal(ingest_append(in, content + from, to - from, &accepted), 0);
	assert_int_equal(accepted, to - from);
	assert_int_equal(in->offset, to);
}

static inline void expect(struct ingest *in)
{
	in->record.expected = content_digest;
	in->record.has_expected = true;
	in->record.size = sizeof(content);
	assert_int_equal(ingest_note(in), 0);
}

static inline void checkpoint(struct ingest *in)
{
	struct sync_job job;

	sync_prepare(&job, SYNC_CHECKPOINT, in);
	sync_run(&job);
	assert_int_equal(sync_finish(&job), 0);
}

static inline void assert_prefix(const struct ingest *in, size_t len)
{
	struct digest want, got;

	digest_of(HASH_SHA256, content, len, &want);
	ingest_digest(in, &got);
	assert_int_equal(in->offset, len);
	assert_true(digest_eq(&want, &got));
}

static inline void assert_match(const struct ingest *in)
{
	struct digest got;

	assert_int_equal(ingest_check(in, &got), SEAL_MATCH);
}

/* A path in the ingest's directory, relative to the test's. */
static inline const char *file_of(const struct ingest *in, const char *name)
{
	static char path[FILE_PATH_SIZE];

	(void)snprintf(path, sizeof(path), "store/ingest/%s/%s", in->id, name);
	return path;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
