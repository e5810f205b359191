/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in a temporary directory, and its content before and after a commit.
 * Longer than 150 lines because it is code, linked to each test that includes it.
 */
#ifndef SLUICE_TEST_COMMITD_STORE_H
#define SLUICE_TEST_COMMITD_STORE_H

/* System */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Base */
#include "common/base/file.h"

/* Store */
#include "common/store/layout.h"
#include "common/store/record.h"

#define PATH_SIZE 512

struct store {
	char path[PATH_SIZE];
	struct layout *layout;
};

static inline void store_open(struct store *s)
{
	struct reason why;
	(void)snprintf(s->path, sizeof(s->path), "/tmp/sluice-test-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	assert_int_equal(layout_open(s->path, LAYOUT_COMMITTER, &s->layout, &why), 0);
	(void)mkdirat(layout_root_fd(s->layout), LAYOUT_INGEST, 0755);
}

static inline int store_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static inline void store_close(struct store *s)
{
	layout_free(s->layout);
	assert_int_equal(nftw(s->path, store_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void write_file(const char *path, const void *data, size_t len, mode_t mode)
{
	(void)chmod(path, 0600); /* what is there may be read-only, and we are not root */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, len, NULL), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static inline void write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text), 0444);
}

/* Whether the file holds exactly this text. */
static inline bool file_is(const char *path, const char *text)
{
	AUTO_BUF b = BUF_INIT;
	return file_load_at(AT_FDCWD, path, 1u << 20, &b) == 0 && span_eq(buf_span(&b), span_str(text));
}

static inline bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static inline struct digest digest_of_text(const char *text)
{
	struct digest d;
	digest_of(HASH_SHA256, text, strlen(text), &d);
	return d;
}

static inline void ingest_dir(const struct store *s, const char *ref, char ret_path[static PATH_SIZE])
{
	char id[INGEST_ID_SIZE];
	layout_ingest_id(span_str(ref), id);
	assert_true(snprintf(ret_path, PATH_SIZE, "%.200s/ingest/%s", s->path, id) < PATH_SIZE);
}

static inline void ingest_data(const struct store *s, const char *ref, char ret_path[static PATH_SIZE])
{
	ingest_dir(s, ref, ret_path);
	size_t len = strlen(ret_path);
	(void)snprintf(ret_path + len, PATH_SIZE - len, "/data");
}

static inline void blob_of(const struct store *s, const struct digest *d, char ret_path[static PATH_SIZE])
{
	char hex[DIGEST_TEXT_SIZE];
	digest_format_hex(d, hex);
	assert_true(snprintf(ret_path, PATH_SIZE, "%.200s/blobs/%s/%s", s->path, hash_name(d->alg), hex) < PATH_SIZE);
}

/* Make an ingest's directory, with sealed data unless `text` is NULL. */
static inline void ingest_make(const struct store *s, const char *ref, const char *text)
{
	char path[PATH_SIZE];
	ingest_dir(s, ref, path);
	assert_int_equal(mkdir(path, 0755), 0);
	ingest_data(s, ref, path);
	if (text)
		write_text(path, text);
}

/* Write an ingest's record as a sealer does; nothing if there is no ingest. */
static inline void ingest_note_as_sealed(const struct store *s, const char *ref, const struct digest *d, uint64_t size)
{
	AUTO_BUF text = BUF_INIT;
	struct record record;
	char path[PATH_SIZE];
	ingest_dir(s, ref, path);
	if (!exists(path))
		return;
	record_init(&record);
	(void)snprintf(record.ref, sizeof(record.ref), "%s", ref);
	record.has_sealed = true;
	record.sealed = *d;
	record.size = size;
	assert_int_equal(record_format(&record, &text), 0);
	size_t len = strlen(path);
	(void)snprintf(path + len, PATH_SIZE - len, "/" INGEST_TRANSFER);
	(void)chmod(path, 0600);
	/* Through stdio, which no stand-in counts or lets fail. */
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
	assert_int_equal(fclose(f), 0);
}

/* The path of data in commitd's custody. */
static inline void taken_from(const struct store *s, const char *ref, char ret_path[static PATH_SIZE])
{
	char id[INGEST_ID_SIZE];
	layout_ingest_id(span_str(ref), id);
	assert_true(snprintf(ret_path, PATH_SIZE, "%.200s/" LAYOUT_COMMIT "/%s", s->path, id) < PATH_SIZE);
}

/* Make a blob, as an earlier commit leaves it. */
static inline struct digest blob_make(const struct store *s, const char *text)
{
	struct digest d = digest_of_text(text);
	char path[PATH_SIZE];
	blob_of(s, &d, path);
	write_text(path, text);
	return d;
}

#endif
