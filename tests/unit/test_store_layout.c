/* SPDX-License-Identifier: Apache-2.0 */
/* Stores: created, found or refused, and access to their content. */

/* Own */
#include "tests/unit/unit.h"
#include "tests/unit/unit_flock.h"

/* System */
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* The code under test */
#include "common/base/cleanup.h"
#include "common/store/layout.h"
#include "common/store/storelock.h"

#define OURS "{\"imageLayoutVersion\":\"1.0.0\"}"

static struct unit_dir dir;
static char store[FILE_PATH_SIZE];

static int setup(void **state)
{
	(void)state;
	unit_dir_make(&dir);
	(void)unit_path(&dir, "store", store);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unit_dir_remove(&dir);
	return 0;
}

static struct layout *open_as(enum layout_role role)
{
	struct layout *l = NULL;
	struct reason why = {""};
	if (layout_open(store, role, &l, &why) != 0)
		fail_msg("%s", why.text);
	return l;
}

static void open_and_close(enum layout_role role)
{
	layout_free(open_as(role));
}

static void expect_store(void)
{
	static const char *const dirs[] = {"store/blobs/sha256", "store/blobs/sha512", "store/ingest"};
	for (size_t i = 0; i < LEN(dirs); i++) {
		struct stat st;
		assert_int_equal(fstatat(dir.fd, dirs[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(S_ISDIR(st.st_mode));
		assert_int_equal(st.st_mode & 07777, 0755);
	}
	unit_assert_content(&dir, "store/oci-layout", OURS);
	unit_assert_content(&dir, "store/index.json",
			    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
			    "\"manifests\":[]}");
}

static void test_made_in_either_order(void **state)
{
	(void)state;
	open_and_close(LAYOUT_COMMITTER);
	open_and_close(LAYOUT_INGESTER);
	expect_store();
	teardown(NULL);
	setup(NULL);
	open_and_close(LAYOUT_INGESTER);
	open_and_close(LAYOUT_COMMITTER);
	expect_store();
}

static void test_made_with_parents(void **state)
{
	static const char *const rows[] = {"a/b/store", "c//d/store/"};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct layout *l = NULL;
		char path[FILE_PATH_SIZE];
		assert_int_equal(layout_open(unit_path(&dir, rows[i], path), LAYOUT_COMMITTER, &l, NULL), 0);
		layout_free(l);
	}
	assert_true(unit_exists(&dir, "a/b/store/oci-layout"));
	assert_true(unit_exists(&dir, "c/d/store/oci-layout"));
}

/* Existing files are not changed. */
static void test_opened_again(void **state)
{
	(void)state;
	open_and_close(LAYOUT_COMMITTER);
	unit_write_text(&dir, "store/index.json", "mine");
	unit_write_text(&dir, "store/oci-layout", "{ \"imageLayoutVersion\" :\n\"1.9.0\" }");
	unit_write_text(&dir, "store/else", "mine too");
	open_and_close(LAYOUT_COMMITTER);
	open_and_close(LAYOUT_INGESTER);
	open_and_close(LAYOUT_READER);
	unit_assert_content(&dir, "store/index.json", "mine");
	unit_assert_content(&dir, "store/oci-layout", "{ \"imageLayoutVersion\" :\n\"1.9.0\" }");
}

/* An interrupted creation resumes at any point. */
static void test_interrupted_creation(void **state)
{
	static const char *const rows[][3] = {
	    {NULL},
	    {"d:blobs", NULL},
	    {"d:blobs", "d:blobs/sha256", NULL},
	    {"d:lost+found", NULL},
	    {"d:ingest", NULL},
	    {"f:.index.json.new", NULL},
	    {"f:.oci-layout.new", NULL},
	    {"d:leases", NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
		for (size_t j = 0; rows[i][j]; j++) {
			char name[64];
			(void)snprintf(name, sizeof(name), "store/%s", rows[i][j] + 2);
			if (rows[i][j][0] == 'd')
				assert_int_equal(mkdirat(dir.fd, name, 0755), 0);
			else
				unit_write_text(&dir, name, "half");
		}
		open_and_close(LAYOUT_COMMITTER);
		open_and_close(LAYOUT_INGESTER);
		expect_store();
		teardown(NULL);
		setup(NULL);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *file, *text;
		int reader, maker;
		const char *why;
	} rows[] = {
	    {"absent", NULL, NULL, -ENOENT, 0, "there is no store in '"},
	    {"empty", "", NULL, -ENOENT, 0, "there is no store in '"},
	    {"something else", "store/README", "x", -EINVAL, -EINVAL, "it holds 'README' and no oci-layout"},
	    {"dot file", "store/.git", "x", -EINVAL, -EINVAL, "holds '.git' and no oci-layout"},
	    {"version 2", "store/oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}", -EINVAL, -EINVAL, "version 1"},
	    {"version 10", "store/oci-layout", "{\"imageLayoutVersion\":\"10.0.0\"}", -EINVAL, -EINVAL, "version 1"},
	    {"a number", "store/oci-layout", "{\"imageLayoutVersion\":1.0}", -EINVAL, -EINVAL, "version 1"},
	    {"empty mark", "store/oci-layout", "", -EINVAL, -EINVAL, "version 1"},
	    {"no version", "store/oci-layout", "{}", -EINVAL, -EINVAL, "version 1"},
	    {"trailing bytes", "store/oci-layout", OURS "x", -EINVAL, -EINVAL, "version 1"},
	    {"leading bytes", "store/oci-layout", "x" OURS, -EINVAL, -EINVAL, "version 1"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		static const enum layout_role roles[] = {LAYOUT_READER, LAYOUT_INGESTER, LAYOUT_COMMITTER};
		for (size_t j = 0; j < LEN(roles); j++) {
			struct layout *l = NULL;
			struct reason why = {""};
			if (rows[i].file)
				assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
			if (rows[i].text)
				unit_write_text(&dir, rows[i].file, rows[i].text);
			int r = layout_open(store, roles[j], &l, &why);
			if (r != (roles[j] == LAYOUT_READER ? rows[i].reader : rows[i].maker))
				fail_msg("%s, %zu: %d %s", rows[i].name, j, r, why.text);
			if (r < 0) {
				assert_null(l);
				assert_non_null(strstr(why.text, rows[i].why));
				assert_non_null(strstr(why.text, store));
			}
			layout_free(l);
			teardown(NULL);
			setup(NULL);
		}
	}
}

static void test_not_a_directory(void **state)
{
	(void)state;
	struct layout *l = NULL;
	struct reason why;
	unit_write_text(&dir, "store", "x");
	assert_int_equal(layout_open(store, LAYOUT_COMMITTER, &l, &why), -EINVAL);
	assert_int_equal(layout_open(store, LAYOUT_READER, &l, &why), -EINVAL);
	unit_assert_content(&dir, "store", "x");
}

static void test_long_mark(void **state)
{
	(void)state;
	char text[4097];
	struct layout *l = NULL;
	struct reason why;
	assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
	memset(text, ' ', sizeof(text));
	memcpy(text, OURS, sizeof(OURS) - 1);
	unit_write(&dir, "store/oci-layout", text, 4096);
	assert_int_equal(layout_open(store, LAYOUT_READER, &l, &why), 0);
	layout_free(l);
	unit_write(&dir, "store/oci-layout", text, 4097);
	assert_int_equal(layout_open(store, LAYOUT_READER, &l, &why), -EINVAL);
}

/* blobs/ is a symbolic link: nothing is created or read through it. */
static void test_symlinks_inside(void **state)
{
	static const char *const rows[] = {"store/blobs", "store/ingest"};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct layout *l = NULL;
		struct reason why = {""};
		assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
		assert_int_equal(mkdirat(dir.fd, "elsewhere", 0755), 0);
		assert_int_equal(symlinkat("../elsewhere", dir.fd, rows[i]), 0);
		assert_true(layout_open(store, i == 0 ? LAYOUT_COMMITTER : LAYOUT_INGESTER, &l, &why) < 0);
		assert_int_equal(unlinkat(dir.fd, "elsewhere", AT_REMOVEDIR), 0);
		teardown(NULL);
		setup(NULL);
	}
}

/* As created by skopeo: no ingest/, no blobs/sha512. */
static void test_store_of_another_tool(void **state)
{
	(void)state;
	struct digest d;
	uint64_t size = 0;
	digest_of(HASH_SHA512, "abc", 3, &d);
	assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "store/blobs", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "store/blobs/sha256", 0755), 0);
	unit_write_text(&dir, "store/oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}\n");
	struct layout *l = open_as(LAYOUT_READER);
	assert_int_equal(layout_ingest_fd(l), -1);
	assert_true(layout_blobs_fd(l, HASH_SHA256) >= 0);
	assert_int_equal(layout_blobs_fd(l, HASH_SHA512), -1);
	assert_int_equal(layout_blob_size(l, &d, &size), -ENOENT);
	/* A directory that is created later is found. */
	open_and_close(LAYOUT_COMMITTER);
	assert_true(layout_blobs_fd(l, HASH_SHA512) >= 0);
	layout_free(l);
}

static void test_blobs(void **state)
{
	(void)state;
	struct digest d;
	struct stat st;
	char hex[DIGEST_TEXT_SIZE], name[FILE_PATH_SIZE];
	uint64_t size = 0;
	int none = -1;
	AUTO_FD fd = -1;
	struct layout *l = open_as(LAYOUT_COMMITTER);
	digest_of(HASH_SHA256, "abc", 3, &d);
	digest_format_hex(&d, hex);
	(void)snprintf(name, sizeof(name), "store/blobs/sha256/%s", hex);

	assert_int_equal(layout_blob_open(l, &d, &none, NULL), -ENOENT);
	assert_int_equal(layout_blob_size(l, &d, &size), -ENOENT);
	unit_write_text(&dir, name, "abc");
	assert_int_equal(linkat(dir.fd, name, dir.fd, "backup", 0), 0);
	assert_int_equal(layout_blob_open(l, &d, &fd, &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(layout_blob_size(l, &d, &size), 0);
	assert_int_equal(size, 3);
	assert_int_equal(unlinkat(dir.fd, name, 0), 0);
	assert_int_equal(symlinkat("../../../backup", dir.fd, name), 0);
	assert_int_equal(layout_blob_open(l, &d, &none, NULL), -ELOOP);
	assert_int_equal(layout_blob_size(l, &d, &size), -ELOOP);
	assert_int_equal(unlinkat(dir.fd, name, 0), 0);
	assert_int_equal(mkfifoat(dir.fd, name, 0600), 0);
	assert_int_equal(layout_blob_open(l, &d, &none, NULL), -EINVAL);
	assert_int_equal(layout_blob_size(l, &d, &size), -EINVAL);
	assert_int_equal(none, -1);
	layout_free(l);
}

static void test_documents(void **state)
{
	(void)state;
	AUTO_BUF text = BUF_INIT;
	struct digest d;
	struct reason why;
	char hex[DIGEST_TEXT_SIZE], name[FILE_PATH_SIZE];
	struct layout *l = open_as(LAYOUT_COMMITTER);
	digest_of(HASH_SHA256, "{}", 2, &d);
	digest_format_hex(&d, hex);
	(void)snprintf(name, sizeof(name), "store/blobs/sha256/%s", hex);

	assert_int_equal(layout_document_load(l, &d, &text, &why), -ENOENT);
	unit_write_text(&dir, name, "[]");
	assert_int_equal(layout_document_load(l, &d, &text, &why), -EBADMSG);
	assert_non_null(strstr(why.text, hex));
	assert_int_equal(text.len, 0);
	unit_write_text(&dir, name, "{}");
	assert_int_equal(layout_document_load(l, &d, &text, &why), 0);
	assert_true(span_eq(buf_span(&text), span_str("{}")));
	layout_free(l);
}

static void test_path_and_identity(void **state)
{
	(void)state;
	struct layout *l = open_as(LAYOUT_INGESTER), *other = NULL;
	uint64_t dev[2], ino[2];
	char path[FILE_PATH_SIZE];
	assert_int_equal(symlinkat("store", dir.fd, "link"), 0);
	assert_int_equal(layout_open(unit_path(&dir, "link", path), LAYOUT_READER, &other, NULL), 0);
	assert_string_equal(layout_path(l), store);
	assert_string_equal(layout_path(other), store);
	layout_identity(l, &dev[0], &ino[0]);
	layout_identity(other, &dev[1], &ino[1]);
	assert_int_equal(dev[0], dev[1]);
	assert_int_equal(ino[0], ino[1]);
	assert_true(layout_root_fd(l) >= 0 && layout_ingest_fd(l) >= 0 && layout_ingest_fd(other) >= 0);
	layout_free(l);
	layout_free(other);
	layout_free(NULL);
}

static void test_ingest_id(void **state)
{
	(void)state;
	char id[INGEST_ID_SIZE];
	layout_ingest_id(span_str("abc"), id);
	assert_string_equal(id, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* In a new mount namespace: bind `name` over itself, which makes another mount of the same file system. */
static int open_with_mount(const char *name, enum layout_role role)
{
	char path[FILE_PATH_SIZE];
	struct layout *l;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	(void)unit_path(&dir, name, path);
	if (mount(path, path, NULL, MS_BIND, NULL) < 0)
		return 77;
	return layout_open(store, role, &l, NULL) == -EXDEV ? 0 : 1;
}

static void test_mounts(void **state)
{
	static const char *const rows[] = {"store/ingest", "store/blobs", "store/blobs/sha512"};
	(void)state;
	open_and_close(LAYOUT_COMMITTER);
	open_and_close(LAYOUT_INGESTER);
	for (size_t i = 0; i < 2 * LEN(rows); i++) {
		int status;
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(open_with_mount(rows[i / 2], i % 2 ? LAYOUT_INGESTER : LAYOUT_COMMITTER));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* One lock of each kind, in files that nobody else can open. */
static void test_store_locks(void **state)
{
	static const struct {
		enum layout_role role;
		const char *name;
	} rows[] = {{LAYOUT_INGESTER, "store/ingest/lock"}, {LAYOUT_COMMITTER, "store/commit/lock"}};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct layout *l = open_as(rows[i].role);
		AUTO_FD fd = -1, second = -1;
		struct stat st;
		struct reason why;
		assert_int_equal(storelock_take(l, rows[i].role, "first", &fd, &why), 0);
		assert_int_equal(storelock_take(l, rows[i].role, "second", &second, &why), -EWOULDBLOCK);
		assert_non_null(strstr(why.text, "is already served by first "));
		assert_int_equal(fstatat(dir.fd, rows[i].name, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		layout_free(l);
	}
	struct layout *l = open_as(LAYOUT_COMMITTER);
	AUTO_FD fd = -1;
	struct reason why;
	assert_int_equal(storelock_check(l, &why), 0);
	flock_lies = true;
	assert_int_equal(storelock_check(l, &why), -EOPNOTSUPP);
	assert_int_equal(storelock_take(l, LAYOUT_COMMITTER, "third", &fd, &why), -EOPNOTSUPP);
	assert_non_null(strstr(why.text, "put the store on a local disk"));
	flock_lies = false;
	layout_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_made_in_either_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_made_with_parents, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_opened_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_interrupted_creation, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_a_directory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long_mark, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_symlinks_inside, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_store_of_another_tool, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_blobs, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_path_and_identity, setup, teardown),
	    cmocka_unit_test(test_ingest_id),
	    cmocka_unit_test_setup_teardown(test_mounts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_store_locks, setup, teardown),
	};
	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
