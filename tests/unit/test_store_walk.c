/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over an image: each digest once, within bounds, and faults are reported. */

/* Own */
#include "tests/unit/unit_dir.h"

/* The code under test */
#include "common/store/walk.h"

#define MANIFEST MEDIA_TYPE_OCI_MANIFEST
#define INDEX    MEDIA_TYPE_OCI_INDEX

static struct layout *layout;

/* What the walk visited. */
struct trace {
	char text[1024]; /* the first letters of the content, documents in capitals, and "!" for a fault */
	size_t visits;
	int last_error;
	bool ends; /* at a fault */
};

static int set_up(void **state)
{
	struct reason why;
	(void)unit_dir_set_up(state);
	assert_int_equal(mkdirat(dir.fd, "blobs", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "blobs/sha256", 0755), 0);
	unit_write_text(&dir, LAYOUT_FILE, "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_int_equal(layout_open(dir.path, LAYOUT_READER, &layout, &why), 0);
	return 0;
}

static int tear_down(void **state)
{
	layout_free(layout);
	return unit_dir_tear_down(state);
}

static struct descriptor describe(const char *text, const char *media_type)
{
	struct descriptor d = {.size = strlen(text)};
	digest_of(HASH_SHA256, text, strlen(text), &d.digest);
	(void)snprintf(d.media_type, sizeof(d.media_type), "%s", media_type);
	return d;
}

static struct descriptor store(const char *text, const char *media_type)
{
	struct descriptor d = describe(text, media_type);
	char hex[DIGEST_TEXT_SIZE], name[FILE_PATH_SIZE];
	digest_format_hex(&d.digest, hex);
	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	unit_write_text(&dir, name, text);
	return d;
}

static void append(struct buf *out, const char *before, const struct descriptor *d)
{
	char digest[DIGEST_TEXT_SIZE], type[MEDIA_TYPE_MAX + 32] = "";
	digest_format(&d->digest, digest);
	if (*d->media_type)
		(void)snprintf(type, sizeof(type), "\"mediaType\":\"%s\",", d->media_type);
	assert_int_equal(buf_appendf(out, "%s{%s\"digest\":\"%s\",\"size\":%llu}", before, type, digest,
				     (unsigned long long)d->size),
			 0);
}

/* A stored index of `len` entries, or, with `config`, a manifest of `len` layers. */
static struct descriptor store_document(const struct descriptor *config, const struct descriptor *entries, size_t len)
{
	AUTO_BUF text = BUF_INIT;
	assert_int_equal(buf_append_str(&text, "{\"schemaVersion\":2,"), 0);
	if (config)
		append(&text, "\"config\":", config);
	assert_int_equal(buf_append_str(&text, config ? ",\"layers\":[" : "\"manifests\":["), 0);
	for (size_t i = 0; i < len; i++)
		append(&text, i > 0 ? "," : "", &entries[i]);
	assert_int_equal(buf_append_str(&text, "]}"), 0);
	return store(text.data, config ? MANIFEST : INDEX);
}

static int on_visit(void *self, const struct walk_node *node, struct reason *why)
{
	struct trace *t = self;
	size_t len = strlen(t->text);
	(void)why;
	t->visits++;
	if (len + 1 < sizeof(t->text))
		t->text[len] = (char)((node->is_document ? 'A' : 'a') + (int)node->depth);
	return 0;
}

static int on_fault(void *self, const struct walk_node *node, int error, struct reason *why)
{
	struct trace *t = self;
	char hex[DIGEST_TEXT_SIZE];
	digest_format_hex(&node->descriptor->digest, hex);
	assert_non_null(strstr(why->text, hex));
	t->last_error = error;
	t->text[strlen(t->text)] = '!';
	return t->ends ? error : 0;
}

static int walk(struct descriptor root, struct trace *t)
{
	const struct walk_hooks hooks = {.visit = on_visit, .fault = on_fault, .self = t};
	struct reason why = {""};
	struct walk *w;
	assert_int_equal(walk_new(layout, &hooks, &w), 0);
	int r = walk_from(w, &root, &why);
	assert_int_equal(why.text[0] != '\0', r < 0 || t->last_error < 0);
	walk_free(w);
	return r;
}

/* Letters show the depth: a root 'A', its entries 'B' or 'b', … */
static void test_order(void **state)
{
	struct trace t = {.text = ""};
	struct descriptor config = describe("{}", "x/config"),
			  layers[] = {describe("l1", "x/l"), describe("l2", "x/l")};
	struct descriptor one = store_document(&config, layers, 2), two = store_document(&config, layers, 1);
	struct descriptor entries[] = {one, two, describe("something else", "x/else"), one};
	(void)state;
	assert_int_equal(walk(store_document(NULL, entries, LEN(entries)), &t), 0);
	assert_string_equal(t.text, "ABBbccc");
	t = (struct trace){.text = ""};
	assert_int_equal(walk(one, &t), 0);
	assert_string_equal(t.text, "Abbb");
}

static void test_media_type_of_the_root(void **state)
{
	const struct walk_hooks hooks = {.visit = on_visit, .self = &(struct trace){.text = ""}};
	struct descriptor config = describe("{}", "x/config"), root = store_document(&config, NULL, 0);
	struct reason why;
	struct walk *w;
	(void)state;
	root.media_type[0] = '\0';
	root.size = SIZE_UNKNOWN;
	assert_int_equal(walk_new(layout, &hooks, &w), 0);
	assert_int_equal(walk_from(w, &root, &why), 0);
	assert_string_equal(root.media_type, MANIFEST);
	walk_free(w);
}

static void test_digests_are_remembered_between_roots(void **state)
{
	struct trace t = {.text = ""};
	const struct walk_hooks hooks = {.visit = on_visit, .fault = on_fault, .self = &t};
	struct descriptor config = describe("{}", "x/config"), layer = describe("l1", "x/l");
	struct descriptor image = store_document(&config, &layer, 1), index = store_document(NULL, &image, 1);
	struct walk *w;
	(void)state;
	assert_int_equal(walk_new(layout, &hooks, &w), 0);
	assert_int_equal(walk_from(w, &image, NULL), 0);
	assert_int_equal(walk_from(w, &index, NULL), 0);
	assert_int_equal(walk_from(w, &index, NULL), 0);
	assert_string_equal(t.text, "AbbA");
	walk_free(w);
}

static int on_enter(void *self, const struct walk_node *node, const struct manifest *m, struct reason *why)
{
	struct trace *t = self;
	size_t len = strlen(t->text);
	(void)why;
	assert_true(len + 3 < sizeof(t->text));
	(void)snprintf(t->text + len, 4, "(%c%zu", (char)('A' + (int)node->depth), m->entries_len % 10);
	return t->ends ? -ECANCELED : 0;
}

/* Each document once, before its entries, and with all of them: also those that were visited before. */
static void test_documents_are_entered(void **state)
{
	struct trace t = {.text = ""};
	const struct walk_hooks hooks = {.visit = on_visit, .fault = on_fault, .enter = on_enter, .self = &t};
	struct descriptor config = describe("{}", "x/config"), layer = describe("l1", "x/l");
	struct descriptor one = store_document(&config, &layer, 1), two = store_document(&layer, &config, 1);
	struct descriptor entries[] = {one, two, one}, index = store_document(NULL, entries, LEN(entries));
	struct walk *w;
	(void)state;
	assert_int_equal(walk_new(layout, &hooks, &w), 0);
	assert_int_equal(walk_from(w, &one, NULL), 0);
	assert_string_equal(t.text, "A(A2bb");
	t = (struct trace){.text = ""};
	assert_int_equal(walk_from(w, &index, NULL), 0);
	assert_string_equal(t.text, "A(A3B(B2");
	t.ends = true;
	struct descriptor another = store_document(NULL, &two, 1);
	assert_int_equal(walk_from(w, &another, NULL), -ECANCELED);
	walk_free(w);
}

static void test_content_that_is_a_document_too(void **state)
{
	struct trace t = {.text = ""};
	struct descriptor config = describe("{}", "x/config"), image = store_document(&config, NULL, 0);
	struct descriptor as_content = image, entries[2];
	(void)state;
	(void)snprintf(as_content.media_type, sizeof(as_content.media_type), "x/else");
	entries[0] = as_content;
	entries[1] = image;
	assert_int_equal(walk(store_document(NULL, entries, 2), &t), 0);
	assert_string_equal(t.text, "Abc");
	/* In an index, an entry without a media type is a document. */
	t = (struct trace){.text = ""};
	image.media_type[0] = '\0';
	assert_int_equal(walk(store_document(NULL, &image, 1), &t), 0);
	assert_string_equal(t.text, "ABc");
}

static void test_faults(void **state)
{
	struct descriptor config = describe("{}", "x/config"), image = store_document(&config, NULL, 0);
	struct descriptor missing = describe("not stored", MANIFEST), bad = store("[]", MANIFEST);
	struct descriptor longer = image, as_index = image;
	longer.size++;
	(void)snprintf(as_index.media_type, sizeof(as_index.media_type), "%s", INDEX);
	const struct {
		struct descriptor entries[2];
		int error;
		const char *text;
	} rows[] = {
	    {{missing, image}, -ENOENT, "ABB!c"},
	    {{bad, image}, -EINVAL, "ABB!c"},
	    {{image, longer}, -EINVAL, "AB!c"},
	    {{image, as_index}, -EINVAL, "AB!c"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct descriptor root = store_document(NULL, rows[i].entries, 2);
		struct trace t = {.text = ""};
		assert_int_equal(walk(root, &t), 0);
		assert_string_equal(t.text, rows[i].text);
		assert_int_equal(t.last_error, rows[i].error);
		t = (struct trace){.ends = true};
		assert_int_equal(walk(root, &t), rows[i].error);
	}
}

static void test_damaged_document(void **state)
{
	struct trace t = {.text = ""};
	struct descriptor config = describe("{}", "x/config"), image = store_document(&config, NULL, 0);
	char hex[DIGEST_TEXT_SIZE], name[FILE_PATH_SIZE];
	(void)state;
	digest_format_hex(&image.digest, hex);
	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	unit_write_text(&dir, name, "{}");
	assert_int_equal(walk(image, &t), 0);
	assert_int_equal(t.last_error, -EBADMSG);
}

static void test_depth(void **state)
{
	struct trace t = {.text = ""};
	struct descriptor config = describe("{}", "x/config"), d = store_document(&config, NULL, 0);
	(void)state;
	for (unsigned i = 0; i < MANIFEST_NESTING_MAX; i++)
		d = store_document(NULL, &d, 1);
	assert_int_equal(walk(d, &t), 0);
	assert_string_equal(t.text, "ABCDEf");
	t = (struct trace){.text = ""};
	assert_int_equal(walk(store_document(NULL, &d, 1), &t), 0);
	assert_int_equal(t.last_error, -E2BIG);
	assert_string_equal(t.text, "ABCDE!");
}

/* The maximum number of documents, and one more. */
static void test_documents_max(void **state)
{
	static struct descriptor entries[WALK_DOCUMENTS_MAX];
	(void)state;
	for (size_t i = 0; i < LEN(entries); i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "manifest %zu", i);
		entries[i] = describe(text, MANIFEST);
	}
	for (size_t over = 0; over < 2; over++) {
		struct trace t = {.text = ""};
		struct descriptor root = store_document(NULL, entries, LEN(entries) - 1 + over);
		const struct walk_hooks hooks = {.visit = on_visit, .self = &t};
		struct walk *w;
		assert_int_equal(walk_new(layout, &hooks, &w), 0);
		assert_int_equal(walk_from(w, &root, NULL), over ? -E2BIG : -ENOENT);
		assert_int_equal(t.visits, WALK_DOCUMENTS_MAX);
		walk_free(w);
	}
}

static int stop(void *self, const struct walk_node *node, struct reason *why)
{
	(void)self;
	reason_set(why, "enough");
	return node->is_document ? 0 : -ECANCELED;
}

static void test_visit_ends_the_walk(void **state)
{
	const struct walk_hooks hooks = {.visit = stop};
	struct descriptor config = describe("{}", "x/config"), image = store_document(&config, NULL, 0);
	struct reason why = {""};
	struct walk *w;
	(void)state;
	assert_int_equal(walk_new(layout, &hooks, &w), 0);
	assert_int_equal(walk_from(w, &image, &why), -ECANCELED);
	assert_string_equal(why.text, "enough");
	walk_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_media_type_of_the_root, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_digests_are_remembered_between_roots, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_documents_are_entered, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_content_that_is_a_document_too, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_damaged_document, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_documents_max, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_visit_ends_the_walk, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
