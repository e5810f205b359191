/* SPDX-License-Identifier: Apache-2.0 */
/* Files get a manifest and a name. */

/* Own */
#include "tests/unit/test_commitd_store.h"
#include "tests/unit/unit.h"

/* OCI */
#include "common/oci/manifest.h"

/* The code under test */
#include "commitd/filing.h"

#define FILE_TEXT "some file"
#define URL       "https://host.test/dir/file.bin"
#define PLACE     "host.test/dir/file.bin"
#define EMPTY     "{}"

static struct store st;
static struct naming *naming;
static struct pins pins;
static char file_digest[DIGEST_TEXT_SIZE], local[NAME_MAX_BYTES + 1];

static int setup(void **state)
{
	(void)state;
	store_open(&st);
	assert_int_equal(naming_new(st.layout, &naming), 0);
	const struct digest d = digest_of_text(FILE_TEXT);
	digest_format(&d, file_digest);
	naming_local(&d, local);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	naming_free(naming);
	store_close(&st);
	return 0;
}

static struct message request(void)
{
	return (struct message){
	    .type = MSG_SET_FILE,
	    .digest = span_str(file_digest),
	    .size = strlen(FILE_TEXT),
	    .media_type = span_str("text/plain"),
	    .text = span_str("file.bin"),
	    .source = span_str(URL),
	};
}

/* What becomes of a request. The name is `ret_edit`'s. */
static enum fail_class file(const struct message *m, struct naming_edit *ret_edit)
{
	AUTO_BUF manifest = BUF_INIT;
	struct naming_batch batch = STAILQ_HEAD_INITIALIZER(batch);
	struct reason why;
	*ret_edit = (struct naming_edit){.name = ""};
	assert_int_equal(filing_parse(m, ret_edit, &manifest, &why), 0);
	filing_store(st.layout, &pins, ret_edit, buf_span(&manifest));
	STAILQ_INSERT_TAIL(&batch, ret_edit, next);
	(void)naming_apply(naming, &batch);
	naming_edit_release(ret_edit);
	return ret_edit->outcome;
}

static bool leads_to(const char *name, const struct digest *d)
{
	struct names *n = NULL;
	struct descriptor found;
	assert_int_equal(names_load(st.layout, &n, NULL), 0);
	int r = names_find(n, name, &found);
	names_free(n);
	return r == 0 && digest_eq(&found.digest, d);
}

/* The manifest, byte for byte: it is the same for the same file, today and with every later release. */
static void test_manifest(void **state)
{
	(void)state;
	AUTO_BUF manifest = BUF_INIT;
	struct naming_edit e = {.name = ""};
	struct message m = request();
	struct reason why;
	char want[2048];
	assert_int_equal(filing_parse(&m, &e, &manifest, &why), 0);
	(void)snprintf(want, sizeof(want),
		       "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
		       "\"artifactType\":\"application/vnd.sluice.file.v1\",\"config\":{\"mediaType\":"
		       "\"application/vnd.oci.empty.v1+json\",\"digest\":"
		       "\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2},"
		       "\"layers\":[{\"mediaType\":\"text/plain\",\"digest\":\"%s\",\"size\":9,"
		       "\"annotations\":{\"org.opencontainers.image.title\":\"file.bin\"}}],"
		       "\"annotations\":{\"vnd.sluice.url\":\"" URL "\"}}",
		       file_digest);
	assert_string_equal(manifest.data, want);
	assert_string_equal(e.name, PLACE);
}

static void test_media_types(void **state)
{
	static const struct {
		const char *served, *want;
	} rows[] = {
	    {"", "application/octet-stream"},          {"text/html", "text/html"},
	    {"Text/HTML; charset=utf-8", "text/html"}, {"application/vnd.x+json ;a=b", "application/vnd.x+json"},
	    {"text", "application/octet-stream"},      {"text/", "application/octet-stream"},
	    {"/html", "application/octet-stream"},     {"a/b/c", "application/octet-stream"},
	    {"a/\"b", "application/octet-stream"},     {"a/\xc3\xa4", "application/octet-stream"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF manifest = BUF_INIT;
		struct naming_edit e = {.name = ""};
		struct message m = request();
		struct manifest parsed;
		struct reason why;
		m.media_type = span_str(rows[i].served);
		assert_int_equal(filing_parse(&m, &e, &manifest, &why), 0);
		assert_int_equal(manifest_parse(buf_span(&manifest), e.descriptor.media_type, &parsed, &why), 0);
		assert_string_equal(parsed.artifact_type, ARTIFACT_TYPE_FILE);
		assert_int_equal(parsed.entries_len, 2);
		assert_string_equal(parsed.entries[1].media_type, rows[i].want);
		manifest_release(&parsed);
	}
}

static void test_names(void **state)
{
	static const struct {
		const char *asked, *url, *want; /* NULL: that of the digest alone */
	} rows[] = {
	    {"", URL, PLACE},
	    {"", "http://127.0.0.1:5000/f", "127.0.0.1:5000/f"},
	    {"", "http://[::1]:80/f", "[::1]:80/f"},
	    {"", "http://host.test", "host.test"},
	    {"", "http://host.test/", NULL},
	    {"", "http://host.test/a%20b", NULL},
	    {"", "http://host.test//a", NULL},
	    {"mine:1", "http://host.test/", "mine:1"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF manifest = BUF_INIT;
		struct naming_edit e = {.name = ""};
		struct message m = request();
		struct reason why;
		m.name = span_str(rows[i].asked);
		m.source = span_str(rows[i].url);
		assert_int_equal(filing_parse(&m, &e, &manifest, &why), 0);
		assert_string_equal(e.name, rows[i].want ? rows[i].want : local);
	}
}

static void test_refuses(void **state)
{
	struct message rows[] = {request(), request(), request(), request(), request(), request(), request()};
	(void)state;
	rows[0].name = span_str("../x");
	rows[1].source = span_str(URL "?token=hidden");
	rows[2].source = span_str(URL "#part");
	rows[3].source = span_str("https://user@host.test/x");
	rows[4].source = span_str("manifest://host.test/a:1");
	rows[5].digest = span_str("sha256:12");
	rows[6].size = SIZE_UNKNOWN;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF manifest = BUF_INIT;
		struct naming_edit e = {.name = ""};
		struct reason why = {""};
		assert_int_equal(filing_parse(&rows[i], &e, &manifest, &why), -EINVAL);
		assert_true(why.text[0] != '\0' && !strstr(why.text, "hidden"));
	}
}

static void test_stored(void **state)
{
	(void)state;
	const struct digest content = blob_make(&st, FILE_TEXT);
	struct message m = request(), other = request();
	struct naming_edit e, again;
	(void)content;
	assert_int_equal(file(&m, &e), FAIL_NONE);
	assert_string_equal(e.name, PLACE);
	assert_true(leads_to(PLACE, &e.descriptor.digest));
	/* The same, and described in another way: the name keeps its manifest. */
	other.media_type = span_str("image/png");
	assert_int_equal(file(&m, &again), FAIL_NONE);
	assert_true(digest_eq(&again.descriptor.digest, &e.descriptor.digest));
	assert_int_equal(file(&other, &again), FAIL_NONE);
	assert_true(digest_eq(&again.descriptor.digest, &e.descriptor.digest));
	assert_string_equal(again.name, PLACE);
}

/* A name that we choose gives way to other content; one that is asked for does not. */
static void test_other_content_has_the_name(void **state)
{
	(void)state;
	static const char other_text[] = "another file";
	(void)blob_make(&st, FILE_TEXT);
	const struct digest other = blob_make(&st, other_text);
	char text[DIGEST_TEXT_SIZE];
	struct message m = request(), second = request();
	struct naming_edit e, e2;
	assert_int_equal(file(&m, &e), FAIL_NONE);
	digest_format(&other, text);
	second.digest = span_str(text);
	second.size = strlen(other_text);
	assert_int_equal(file(&second, &e2), FAIL_NONE);
	assert_true(strncmp(e2.name, "files.local/sha256-", 19) == 0);
	assert_true(leads_to(e2.name, &e2.descriptor.digest) && leads_to(PLACE, &e.descriptor.digest));
	second.name = span_str(PLACE);
	assert_int_equal(file(&second, &e2), FAIL_NONE);
	assert_string_equal(e2.name, PLACE);
	assert_true(leads_to(PLACE, &e2.descriptor.digest));
	/* Now it is ours that gives way. */
	assert_int_equal(file(&m, &e), FAIL_NONE);
	assert_string_equal(e.name, local);
}

/* Nothing is written for a file that is not stored; one of another size gets no name. */
static void test_not_stored(void **state)
{
	(void)state;
	struct message m = request();
	struct naming_edit e;
	char path[PATH_SIZE];
	const struct digest empty = digest_of_text(EMPTY);
	assert_int_equal(file(&m, &e), FAIL_NOT_FOUND);
	blob_of(&st, &empty, path);
	assert_false(exists(path));
	(void)blob_make(&st, FILE_TEXT);
	m.size++;
	assert_int_equal(file(&m, &e), FAIL_BAD_DATA);
}

/* Other bytes under the name of a document are reported. */
static void test_in_the_way(void **state)
{
	(void)state;
	struct message m = request();
	struct naming_edit e;
	char path[PATH_SIZE];
	const struct digest empty = digest_of_text(EMPTY);
	(void)blob_make(&st, FILE_TEXT);
	blob_of(&st, &empty, path);
	static const char *const wrong[] = {"[]", "longer"};
	for (size_t i = 0; i < LEN(wrong); i++) {
		write_text(path, wrong[i]);
		assert_int_equal(file(&m, &e), FAIL_BAD_DATA);
		assert_non_null(strstr(e.why.text, "is in the way"));
	}
	write_text(path, EMPTY);
	assert_int_equal(file(&m, &e), FAIL_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_manifest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_media_types, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stored, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_other_content_has_the_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_stored, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_in_the_way, setup, teardown),
	};
	return cmocka_run_group_tests_name("commitd filing", tests, NULL, NULL);
}
