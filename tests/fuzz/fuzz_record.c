/* SPDX-License-Identifier: Apache-2.0 */
/* The transfer file: a readable record is unchanged after writing and reading, and torn ends are ignored. */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"

/* Store */
#include "common/store/layout.h"
#include "common/store/record.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

static void check_again(const struct record *t)
{
	AUTO_BUF once = BUF_INIT, twice = BUF_INIT;
	struct record back;
	struct reason why;

	FUZZ_CHECK(ref_check(span_str(t->ref), NULL) == 0);
	FUZZ_CHECK(record_format(t, &once) == 0);
	FUZZ_CHECK(record_whole_len(buf_span(&once)) == once.len);
	FUZZ_CHECK(record_parse(buf_span(&once), &back, &why) == 0);
	FUZZ_CHECK(record_format(&back, &twice) == 0);
	FUZZ_CHECK(span_eq(buf_span(&once), buf_span(&twice)));
}

static char directory[] = "/tmp/sluice-fuzz-XXXXXX";
static int directory_fd = -1;

static void remove_directory(void)
{
	(void)unlinkat(directory_fd, INGEST_TRANSFER, 0);
	(void)rmdir(directory);
}

static void make_directory(void)
{
	FUZZ_CHECK(mkdtemp(directory) != NULL);
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(directory_fd >= 0 && atexit(remove_directory) == 0);
}

/* The same bytes in a directory give the same record, only under the name of its ref. */
static void check_loaded(struct span text, const struct record *t)
{
	static struct record loaded;
	struct reason why = {{0}};
	char id[INGEST_ID_SIZE];
	size_t whole_len = 0, written;

	if (directory_fd < 0)
		make_directory();
	AUTO_FD fd = openat(directory_fd, INGEST_TRANSFER, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && file_write_all(fd, text.data, text.len, &written) == 0);
	layout_ingest_id(span_str(t ? t->ref : "another"), id);
	int r = record_load(directory_fd, id, &loaded, &whole_len, &why);
	FUZZ_CHECK((r == 0) == (t != NULL));
	FUZZ_CHECK(r == 0 ? whole_len == record_whole_len(text) && strcmp(loaded.ref, t->ref) == 0
			  : why.text[0] != '\0');
	if (!t)
		return;
	layout_ingest_id(span_str("another"), id);
	FUZZ_CHECK(record_load(directory_fd, id, &loaded, NULL, &why) ==
		   (strcmp(t->ref, "another") == 0 ? 0 : -EBADMSG));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = {data, len};
	static struct record t, of_whole;
	struct reason why = {{0}};

	size_t whole_len = record_whole_len(text);
	FUZZ_CHECK(whole_len <= len);
	int r = record_parse(text, &t, &why);
	FUZZ_CHECK(r == 0 || why.text[0] != '\0');
	FUZZ_CHECK(whole_len > 0 || r < 0);
	if (len <= RECORD_FILE_MAX)
		check_loaded(text, r == 0 ? &t : NULL);
	if (r < 0)
		return 0;
	FUZZ_CHECK(record_parse(span_of(data, whole_len), &of_whole, &why) == 0);
	FUZZ_CHECK(strcmp(t.ref, of_whole.ref) == 0 && t.attempt == of_whole.attempt && t.size == of_whole.size);
	check_again(&t);
	return 0;
}
