/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are given only to complete images, and the existing index is never damaged. Longer than 500 lines because of the
 * images that its tests share.
 */

/* Own */
#include "tests/unit/test_commitd_store.h"

/* System */
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>

#include "tests/unit/unit.h"

/* jansson */
#include <jansson.h>

/* Store */
#include "common/store/names.h"
#include "common/store/walk.h"

/* The code under test */
#include "commitd/naming.h"

#define NAME   "localhost:5000/a/b:latest"
#define CONFIG "{\"architecture\":\"amd64\",\"os\":\"linux\"}"
#define LAYER  "layer bytes"

static struct store st;
static struct naming *naming;
static char index_path[PATH_SIZE];

static struct {
	size_t bytes;
	unsigned texts, manifests; /* parsed, and those of them that are manifests */
} parsed;

/* jansson's parser, in place of that in its library, so that what it does can be counted. */
json_t *json_loadb(const char *text, size_t len, size_t flags, json_error_t *error)
{
	struct json_t *(*of_library)(const char *, size_t, size_t, json_error_t *);
	void *symbol = dlsym(RTLD_NEXT, "json_loadb");
	assert_non_null(symbol);
	memcpy(&of_library, &symbol, sizeof(symbol));
	parsed.bytes += len;
	parsed.texts++;
	parsed.manifests += memmem(text, len, "\"layers\"", 8) != NULL;
	return of_library(text, len, flags, error);
}

static unsigned syncs_left; /* so many times another program writes the index during our sync */
static void foreign_write(void);

/* In place of the kernel's: no test cuts the power. */
int fsync(int fd)
{
	assert_true(fd >= 0);
	if (syncs_left > 0) {
		syncs_left--;
		foreign_write();
	}
	return 0;
}

static int setup(void **state)
{
	(void)state;
	store_open(&st);
	assert_int_equal(naming_new(st.layout, &naming), 0);
	(void)snprintf(index_path, sizeof(index_path), "%.200s/index.json", st.path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	naming_free(naming);
	store_close(&st);
	return 0;
}

static struct naming_edit edit_make(const char *name, const struct descriptor *d)
{
	struct naming_edit e = {.is_removal = d == NULL};
	(void)snprintf(e.name, sizeof(e.name), "%s", name);
	if (d)
		e.descriptor = *d;
	return e;
}

/* Make edits in one batch. Returns how often the index was written. */
static unsigned apply(struct naming_edit *edits, size_t len)
{
	struct naming_batch batch = STAILQ_HEAD_INITIALIZER(batch);
	for (size_t i = 0; i < len; i++)
		STAILQ_INSERT_TAIL(&batch, &edits[i], next);
	unsigned writes = naming_apply(naming, &batch);
	for (size_t i = 0; i < len; i++)
		naming_edit_release(&edits[i]);
	return writes;
}

static enum fail_class set_name(const char *name, struct descriptor *d, struct reason *why)
{
	struct naming_edit e = edit_make(name, d);
	(void)apply(&e, 1);
	*d = e.descriptor;
	*why = e.why;
	return e.outcome;
}

static enum fail_class remove_name(const char *name, bool *ret_changed, struct reason *why)
{
	struct naming_edit e = edit_make(name, NULL);
	(void)apply(&e, 1);
	*ret_changed = e.changed;
	*why = e.why;
	return e.outcome;
}

static void append_descriptor(struct buf *out, const char *media_type, const struct digest *d, uint64_t size)
{
	char text[DIGEST_TEXT_SIZE];
	digest_format(d, text);
	assert_int_equal(
	    buf_appendf(out, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%" PRIu64 "}", media_type, text, size),
	    0);
}

/* A stored manifest of one config and one layer, which are not stored. */
static struct descriptor manifest_make(const char *config, const char *layer)
{
	AUTO_BUF text = BUF_INIT;
	struct digest config_digest = digest_of_text(config), layer_digest = digest_of_text(layer);
	assert_int_equal(
	    buf_append_str(&text, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"config\":"), 0);
	append_descriptor(&text, "application/vnd.oci.image.config.v1+json", &config_digest, strlen(config));
	assert_int_equal(buf_append_str(&text, ",\"layers\":["), 0);
	append_descriptor(&text, "application/vnd.oci.image.layer.v1.tar+gzip", &layer_digest, strlen(layer));
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .digest = blob_make(&st, text.data)};
	d.size = text.len;
	return d;
}

static struct descriptor index_make(const struct descriptor *inner)
{
	AUTO_BUF text = BUF_INIT;
	assert_int_equal(
	    buf_append_str(&text, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":["),
	    0);
	append_descriptor(&text, inner->media_type, &inner->digest, inner->size);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_INDEX, .digest = blob_make(&st, text.data)};
	d.size = text.len;
	return d;
}

static bool is_named(const char *name, const struct digest *d)
{
	struct names *n = NULL;
	struct descriptor found;
	assert_int_equal(names_load(st.layout, &n, NULL), 0);
	int r = names_find(n, name, &found);
	names_free(n);
	return r == 0 && digest_eq(&found.digest, d);
}

static void test_whole_image(void **state)
{
	struct reason why;
	bool changed = false;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	assert_int_equal(set_name(NAME, &d, &why), FAIL_NONE);
	assert_true(is_named(NAME, &d.digest));
	assert_int_equal(set_name(NAME, &d, &why), FAIL_NONE);
	assert_int_equal(remove_name(NAME, &changed, &why), FAIL_NONE);
	assert_true(changed);
	assert_false(is_named(NAME, &d.digest));
	assert_int_equal(remove_name(NAME, &changed, &why), FAIL_NONE);
	assert_false(changed);
}

static void test_missing_fields_are_filled_in(void **state)
{
	struct reason why;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	uint64_t size = d.size;
	d.size = SIZE_UNKNOWN;
	d.media_type[0] = '\0';
	assert_int_equal(set_name(NAME, &d, &why), FAIL_NONE);
	assert_int_equal(d.size, size);
	assert_string_equal(d.media_type, MEDIA_TYPE_OCI_MANIFEST);
}

/* After a refusal the index is unchanged, byte for byte. */
static void refuse(struct descriptor d, enum fail_class want, const char *text)
{
	AUTO_BUF before = BUF_INIT;
	AUTO_BUF after = BUF_INIT;
	struct reason why;
	assert_int_equal(file_load_at(AT_FDCWD, index_path, 1u << 20, &before), 0);
	assert_int_equal(set_name(NAME, &d, &why), want);
	assert_non_null(strstr(why.text, text));
	assert_int_equal(file_load_at(AT_FDCWD, index_path, 1u << 20, &after), 0);
	assert_true(span_eq(buf_span(&before), buf_span(&after)));
}

static void test_missing_layer(void **state)
{
	char layer_text[DIGEST_TEXT_SIZE];
	struct digest layer = digest_of_text(LAYER);
	(void)state;
	digest_format(&layer, layer_text);
	(void)blob_make(&st, CONFIG);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	refuse(d, FAIL_NOT_FOUND, layer_text);
	refuse(index_make(&d), FAIL_NOT_FOUND, layer_text);
}

static void test_missing_manifest(void **state)
{
	char text[DIGEST_TEXT_SIZE];
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .digest = digest_of_text("nothing"), .size = 7};
	(void)state;
	digest_format(&d.digest, text);
	refuse(d, FAIL_NOT_FOUND, text);
}

static void test_layer_of_another_size(void **state)
{
	char path[PATH_SIZE];
	struct digest layer = digest_of_text(LAYER);
	(void)state;
	(void)blob_make(&st, CONFIG);
	blob_of(&st, &layer, path);
	write_text(path, "cut");
	refuse(manifest_make(CONFIG, LAYER), FAIL_BAD_DATA, "3 bytes");
}

static void test_not_a_manifest(void **state)
{
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .digest = blob_make(&st, "{\"x\":"), .size = 5};
	(void)state;
	refuse(d, FAIL_BAD_DATA, "is not a manifest");
	d.size = 6;
	refuse(d, FAIL_BAD_DATA, "its descriptor says 6");
}

static void test_damaged_manifest(void **state)
{
	char path[PATH_SIZE], hex[DIGEST_TEXT_SIZE];
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER), other = manifest_make(CONFIG, CONFIG);
	AUTO_BUF text = BUF_INIT;
	blob_of(&st, &other.digest, path);
	assert_int_equal(file_load_at(AT_FDCWD, path, 1u << 20, &text), 0);
	blob_of(&st, &d.digest, path);
	write_text(path, text.data);
	digest_format_hex(&d.digest, hex);
	d.size = SIZE_UNKNOWN;
	refuse(d, FAIL_BAD_DATA, hex);
}

static void test_depth(void **state)
{
	struct reason why;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	for (unsigned depth = 0; depth < MANIFEST_NESTING_MAX; depth++)
		d = index_make(&d);
	assert_int_equal(set_name(NAME, &d, &why), FAIL_NONE);
	refuse(index_make(&d), FAIL_BAD_DATA, "nested deeper");
}

static void test_broken_index_is_kept(void **state)
{
	static const char *const broken[] = {"", "{", "[]", "{\"schemaVersion\":2}{}", "{\"manifests\":7}"};
	struct reason why;
	bool changed = false;
	(void)state;
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	struct descriptor d = manifest_make(CONFIG, LAYER);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		write_file(index_path, broken[i], strlen(broken[i]), 0644);
		refuse(d, FAIL_BAD_DATA, "index.json");
		assert_int_equal(remove_name(NAME, &changed, &why), FAIL_BAD_DATA);
		assert_true(file_is(index_path, broken[i]));
	}
}

/* A whole image: its config and layer are stored. */
static struct descriptor image_make(void)
{
	(void)blob_make(&st, CONFIG);
	(void)blob_make(&st, LAYER);
	return manifest_make(CONFIG, LAYER);
}

/* Names that are set and removed together share a write, and each has an outcome of its own. */
static void test_batch(void **state)
{
	(void)state;
	struct descriptor d = image_make(), missing = d;
	struct digest other = digest_of_text("nothing");
	missing.digest = other;
	struct naming_edit edits[] = {
	    edit_make("a", &d),   edit_make("b", &d), edit_make("c", &missing), edit_make("d", NULL),
	    edit_make("a", NULL), edit_make("e", &d), edit_make("b", &d),
	};
	static const enum fail_class outcomes[] = {0, 0, FAIL_NOT_FOUND, 0, 0, 0, 0};
	static const bool changed[] = {true, true, false, false, true, true, true};
	assert_int_equal(apply(edits, LEN(edits)), 1);
	for (size_t i = 0; i < LEN(edits); i++) {
		assert_int_equal(edits[i].outcome, outcomes[i]);
		assert_int_equal(edits[i].changed, changed[i]);
	}
	assert_non_null(strstr(edits[2].why.text, "cannot name 'c'"));
	assert_false(is_named("a", &d.digest));
	assert_true(is_named("b", &d.digest) && is_named("e", &d.digest));
	/* None of these needs a write. */
	struct naming_edit idle[] = {edit_make("c", &missing), edit_make("d", NULL)};
	assert_int_equal(apply(idle, LEN(idle)), 0);
	assert_int_equal(idle[0].outcome, FAIL_NOT_FOUND);
	assert_int_equal(idle[1].outcome, FAIL_NONE);
}

/* The content of a batch is checked once, however many names it gets; but not for another batch. */
static void test_batch_checks_once(void **state)
{
	(void)state;
	struct descriptor d = image_make(), bare = d;
	bare.size = SIZE_UNKNOWN;
	bare.media_type[0] = '\0';
	struct naming_edit edits[] = {edit_make("a", &d), edit_make("b", &bare), edit_make("c", &d)};
	parsed.manifests = 0;
	assert_int_equal(apply(edits, LEN(edits)), 1);
	assert_int_equal(parsed.manifests, 1);
	assert_int_equal(edits[1].descriptor.size, d.size);
	assert_string_equal(edits[1].descriptor.media_type, d.media_type);
	for (size_t i = 0; i < LEN(edits); i++)
		assert_true(is_named(edits[i].name, &d.digest));
	struct naming_edit again = edit_make("d", &d);
	assert_int_equal(apply(&again, 1), 1);
	assert_int_equal(parsed.manifests, 2);
	/* One that describes it in another way is checked for itself. */
	struct descriptor wrong = d;
	wrong.size++;
	struct naming_edit two[] = {edit_make("e", &d), edit_make("f", &wrong)};
	assert_int_equal(apply(two, LEN(two)), 1);
	assert_int_equal(two[0].outcome, FAIL_NONE);
	assert_int_equal(two[1].outcome, FAIL_BAD_DATA);
}

/* What foreign layers are left out is noted for every name of a batch. */
static void test_batch_notes_what_is_left_out(void **state)
{
	(void)state;
	AUTO_BUF text = BUF_INIT;
	AUTO_BUF index = BUF_INIT;
	char layer[DIGEST_TEXT_SIZE];
	struct digest config = blob_make(&st, CONFIG), foreign = digest_of_text("foreign");
	digest_format(&foreign, layer);
	assert_int_equal(
	    buf_append_str(&text, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_MANIFEST "\",\"config\":"), 0);
	append_descriptor(&text, "application/vnd.oci.image.config.v1+json", &config, strlen(CONFIG));
	assert_int_equal(buf_append_str(&text, ",\"layers\":["), 0);
	assert_int_equal(buf_appendf(&text,
				     "{\"mediaType\":\"application/vnd.docker.image.rootfs.foreign.diff.tar\","
				     "\"digest\":\"%s\",\"size\":7,\"urls\":[\"http://x/\"]}",
				     layer),
			 0);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	struct descriptor d = {.media_type = MEDIA_TYPE_OCI_MANIFEST, .digest = blob_make(&st, text.data)};
	d.size = text.len;
	struct naming_edit edits[] = {edit_make("a", &d), edit_make("b", &d)};
	assert_int_equal(apply(edits, LEN(edits)), 1);
	assert_int_equal(file_load_at(AT_FDCWD, index_path, 1u << 20, &index), 0);
	char *first = strstr(index.data, layer);
	assert_non_null(first);
	assert_non_null(strstr(first + 1, layer));
}

#define MANY 20000

/* An index with many names, as another tool may write it, in place of ours. */
static size_t many_write(const struct descriptor *d, unsigned len)
{
	AUTO_BUF text = BUF_INIT;
	char digest[DIGEST_TEXT_SIZE];
	digest_format(&d->digest, digest);
	assert_int_equal(buf_append_str(&text, "{\"schemaVersion\":2,\"manifests\":["), 0);
	for (unsigned i = 0; i < len; i++)
		assert_int_equal(buf_appendf(&text,
					     "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%" PRIu64
					     ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"r/n:%u\"}}",
					     i > 0 ? "," : "", d->media_type, digest, d->size, i),
				 0);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	assert_int_equal(unlink(index_path), 0);
	write_file(index_path, text.data, text.len, 0644);
	return text.len;
}

/* Among many names, only the entry of the one that is set is parsed; the file is read again only after a change. */
static void test_many_names(void **state)
{
	(void)state;
	struct reason why;
	struct descriptor d = image_make();
	size_t len = many_write(&d, MANY);
	parsed.bytes = 0;
	assert_int_equal(set_name("first", &d, &why), FAIL_NONE);
	assert_true(parsed.bytes > len / 2 && parsed.bytes < 2 * len);
	static const char *const names[] = {"second", "r/n:7", "r/n:19999", "second"};
	for (size_t i = 0; i < LEN(names); i++) {
		parsed.bytes = parsed.texts = 0;
		assert_int_equal(set_name(names[i], &d, &why), FAIL_NONE);
		assert_true(parsed.texts <= 3 && parsed.bytes < 2048);
	}
	parsed.bytes = 0;
	bool changed;
	assert_int_equal(remove_name("r/n:100", &changed, &why), FAIL_NONE);
	assert_true(changed);
	assert_int_equal(parsed.bytes, 0);
}

/* Another tool writes the file between our edits, and keeps what it wrote. */
static void test_foreign_writes_are_merged(void **state)
{
	(void)state;
	struct reason why;
	struct descriptor d = image_make();
	bool changed;
	assert_int_equal(set_name("ours", &d, &why), FAIL_NONE);
	(void)many_write(&d, 3);
	assert_int_equal(remove_name("r/n:2", &changed, &why), FAIL_NONE);
	assert_true(changed && !is_named("r/n:2", &d.digest));
	(void)many_write(&d, 2);
	assert_int_equal(set_name("again", &d, &why), FAIL_NONE);
	assert_true(is_named("r/n:0", &d.digest) && is_named("r/n:1", &d.digest) && is_named("again", &d.digest));
	assert_false(is_named("ours", &d.digest));
	assert_int_equal(unlink(index_path), 0);
	assert_int_equal(set_name("alone", &d, &why), FAIL_NONE);
	assert_true(is_named("alone", &d.digest) && !is_named("again", &d.digest));
}

static struct descriptor foreign_image;
static unsigned foreign_writes;

static void foreign_write(void)
{
	(void)many_write(&foreign_image, ++foreign_writes);
}

/* Another tool writes the file while we write ours: what it wrote is kept, and our edits are made in that. */
static void test_foreign_write_before_the_rename(void **state)
{
	(void)state;
	struct descriptor d = foreign_image = image_make();
	struct naming_edit edits[] = {edit_make("a", &d), edit_make("r/n:0", NULL), edit_make("r/n:2", NULL)};
	bool changed;
	struct reason why;
	foreign_writes = 1;
	syncs_left = 1;
	assert_int_equal(apply(edits, LEN(edits)), 1);
	assert_int_equal(foreign_writes, 2);
	assert_true(edits[0].changed && edits[1].changed && !edits[2].changed);
	assert_true(is_named("a", &d.digest) && is_named("r/n:1", &d.digest));
	assert_false(is_named("r/n:0", &d.digest));
	/* One that never stops is reported; its file is untouched. */
	syncs_left = UINT_MAX;
	assert_int_equal(set_name("b", &d, &why), FAIL_AGAIN);
	syncs_left = 0;
	assert_non_null(strstr(why.text, "index.json"));
	assert_true(is_named("r/n:2", &d.digest) && !is_named("b", &d.digest));
	assert_int_equal(remove_name("r/n:2", &changed, &why), FAIL_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_whole_image, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing_fields_are_filled_in, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing_layer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing_manifest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_layer_of_another_size, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_a_manifest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_damaged_manifest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_broken_index_is_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_batch_checks_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_batch_notes_what_is_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_foreign_writes_are_merged, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_foreign_write_before_the_rename, setup, teardown),
	};
	return cmocka_run_group_tests_name("commitd naming", tests, NULL, NULL);
}
