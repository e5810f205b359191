/* SPDX-License-Identifier: Apache-2.0 */
/* index.json: a readable one can be edited; the result has the edit, and everything else is unchanged. */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/file.h"

/* OCI */
#include "common/store/names.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

#define NEW_NAME "localhost:5000/fuzz:1"

static char path[FUZZ_PLACE_SIZE];

static void remove_store(void)
{
	static const char *const parts[] = {"oci-layout", "index.json", "blobs/sha256", "blobs", "ingest", ""};
	char part[96];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		(void)snprintf(part, sizeof(part), "%s/%s", path, parts[i]);
		(void)remove(part);
	}
}

static void write_file(const char *name, const void *data, size_t len)
{
	char where[96];
	(void)snprintf(where, sizeof(where), "%s/%s", path, name);
	AUTO_FD fd = open(where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	FUZZ_CHECK(fd >= 0 && file_pwrite_all(fd, data, len, 0) == 0);
}

static struct layout *store(void)
{
	static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	static struct layout *l;
	struct reason why;

	if (l)
		return l;
	fuzz_place(path);
	FUZZ_CHECK(atexit(remove_store) == 0);
	write_file("oci-layout", version, sizeof(version) - 1);
	FUZZ_CHECK(layout_open(path, LAYOUT_READER, &l, &why) == 0);
	return l;
}

static void check_entries(const struct names *n)
{
	const char *name;
	struct descriptor d;

	for (size_t i = 0; i < names_len(n); i++)
		if (names_at(n, i, &name, &d) == 0)
			FUZZ_CHECK(d.size <= INT64_MAX);
}

/*
 * Set a name, write, read: it is there, as at most one new entry. Then remove the name: if it was not there before, the
 * document is as it was, byte for byte.
 */
static void check_edit(struct names *n)
{
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .size = 7, .digest.alg = HASH_SHA256}, found;
	struct names *again;
	struct reason why;
	size_t before = names_len(n);
	bool is_new = names_find(n, NEW_NAME, &found) == -ENOENT;
	AUTO_BUF original = BUF_INIT;

	FUZZ_CHECK(buf_append(&original, names_text(n).data, names_text(n).len) == 0);
	FUZZ_CHECK(names_set(n, NEW_NAME, &d, NULL) == 0 && names_len(n) <= before + 1);
	struct span text = names_text(n);
	write_file("index.json", text.data, text.len);
	FUZZ_CHECK(names_load(store(), &again, &why) == 0);
	FUZZ_CHECK(names_find(again, NEW_NAME, &found) == 0 && digest_eq(&found.digest, &d.digest));
	FUZZ_CHECK(names_len(again) == names_len(n));
	FUZZ_CHECK(names_remove(again, NEW_NAME) == 0);
	FUZZ_CHECK(names_find(again, NEW_NAME, &found) == -ENOENT);
	FUZZ_CHECK(!is_new || span_eq(names_text(again), buf_span(&original)));
	names_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct layout *l = store();
	struct names *n;
	struct reason why = {{0}};

	write_file("index.json", data, len);
	int r = names_load(l, &n, &why);
	if (r < 0) {
		FUZZ_CHECK(strstr(why.text, "index.json") != NULL);
		return 0;
	}
	check_entries(n);
	check_edit(n);
	names_free(n);
	return 0;
}
