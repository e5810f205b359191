/* SPDX-License-Identifier: Apache-2.0 */
/* What needs what, how much of it is there, and whether that is all. */

/* Own */
#include "tests/unit/unit_store.h"

/* The code under test */
#include "sluice/cmd/graph.h"

static struct graph *graph_of(const struct unit_store *s, const struct descriptor *roots, size_t len)
{
	struct graph *g;

	assert_int_equal(graph_new(s->layout, &g), 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(graph_add(g, &roots[i]), 0);
	return g;
}

static void count(void *self, const struct graph_node *node)
{
	size_t *counted = self;

	assert_true(node->number < 64);
	++*counted;
}

static size_t below(struct graph *g, const struct descriptor *root)
{
	size_t counted = 0;

	graph_each(g, root, count, &counted);
	return counted;
}

static size_t parents(const struct graph *g, const struct descriptor *d)
{
	size_t counted = 0;

	graph_each_parent(g, graph_find(g, &d->digest), count, &counted);
	return counted;
}

/* Two images with a layer in common, and an index of both. */
static void test_shared_content(void **state)
{
	struct unit_store s;
	struct graph_sum sum;
	(void)state;
	unit_store_open(&s);
	struct descriptor config = unit_store_blob(&s, "{}", UNIT_CONFIG), layer = unit_store_blob(&s, "layer", "x/l"),
			  other = unit_store_blob(&s, "other layer", "x/l"), layers[] = {layer, layer, other};
	struct descriptor one = unit_store_document(&s, "", &config, layers, 2),
			  two = unit_store_document(&s, "", &config, layers, 3), both[] = {one, two},
			  index = unit_store_document(&s, "", NULL, both, 2), roots[] = {two, index, one, index};
	struct graph *g = graph_of(&s, roots, LEN(roots));
	assert_int_equal(graph_len(g), 6);
	assert_int_equal(below(g, &one), 3);
	assert_int_equal(below(g, &two), 4);
	assert_int_equal(below(g, &index), 6);
	assert_int_equal(parents(g, &layer), 2);
	assert_int_equal(parents(g, &other), 1);
	assert_int_equal(parents(g, &index), 0);
	graph_sum(g, &one, "", &sum);
	assert_int_equal(sum.bytes, one.size + config.size + layer.size);
	assert_false(sum.incomplete);
	graph_sum(g, &index, "", &sum);
	assert_int_equal(sum.bytes, index.size + one.size + two.size + config.size + layer.size + other.size);
	assert_false(sum.incomplete);
	assert_int_equal(graph_find(g, &one.digest)->kind, IMAGE_IMAGE);
	assert_int_equal(graph_find(g, &index.digest)->kind, IMAGE_INDEX);
	assert_int_equal(graph_find(g, &layer.digest)->kind, IMAGE_UNKNOWN);
	graph_free(g);
	unit_store_close(&s);
}

static bool is_incomplete(const struct unit_store *s, const struct descriptor *root, const char *left_out)
{
	struct graph *g = graph_of(s, root, 1);
	struct graph_sum sum;

	graph_sum(g, root, left_out, &sum);
	graph_free(g);
	return sum.incomplete;
}

static void test_incomplete(void **state)
{
	struct unit_store s;
	char digest[DIGEST_TEXT_SIZE], two[2 * DIGEST_TEXT_SIZE];
	(void)state;
	unit_store_open(&s);
	struct descriptor config = unit_store_blob(&s, "{}", UNIT_CONFIG), layer = unit_store_blob(&s, "layer", "x/l"),
			  absent = unit_describe("absent", "x/l"), longer = layer, document = layer;
	struct descriptor good = unit_store_document(&s, "", &config, &layer, 1);
	assert_false(is_incomplete(&s, &good, ""));

	struct descriptor lacking = unit_store_document(&s, "", &config, &absent, 1);
	assert_true(is_incomplete(&s, &lacking, ""));
	digest_format(&absent.digest, digest);
	assert_false(is_incomplete(&s, &lacking, digest));
	(void)snprintf(two, sizeof(two), "sha256:00,%s", digest);
	assert_false(is_incomplete(&s, &lacking, two));
	digest[strlen(digest) - 1] = '\0';
	assert_true(is_incomplete(&s, &lacking, digest));

	longer.size++;
	struct descriptor wrong = unit_store_document(&s, "", &config, &longer, 1);
	assert_true(is_incomplete(&s, &wrong, ""));
	struct descriptor entries[] = {layer, longer}, twice = unit_store_document(&s, "", &config, entries, 2);
	assert_true(is_incomplete(&s, &twice, ""));

	(void)snprintf(document.media_type, sizeof(document.media_type), MEDIA_TYPE_OCI_MANIFEST);
	assert_true(is_incomplete(&s, &document, "")); /* is no manifest */
	struct descriptor index = unit_store_document(&s, "", NULL, &document, 1);
	assert_true(is_incomplete(&s, &index, ""));
	index = unit_store_document(&s, "", NULL, &lacking, 1);
	assert_true(is_incomplete(&s, &index, ""));
	good.size++;
	assert_true(is_incomplete(&s, &good, ""));
	assert_true(is_incomplete(&s, &absent, ""));
	unit_store_close(&s);
}

/* Indexes that name each other's indexes: each name is within the bounds, the chain has no end. */
static void test_long_chain(void **state)
{
	enum { LINKS = 5000 };
	struct unit_store s;
	struct graph *g;
	(void)state;
	unit_store_open(&s);
	struct descriptor d = unit_store_document(&s, "", NULL, NULL, 0);
	assert_int_equal(graph_new(s.layout, &g), 0);
	assert_int_equal(graph_add(g, &d), 0);
	for (size_t i = 0; i < LINKS; i++) {
		d = unit_store_document(&s, "", NULL, &d, 1);
		assert_int_equal(graph_add(g, &d), 0);
	}
	struct graph_sum sum;
	graph_sum(g, &d, "", &sum);
	assert_int_equal(graph_len(g), LINKS + 1);
	assert_false(sum.incomplete);
	graph_free(g);
	unit_store_close(&s);
}

/* What is beyond the bounds of a walk is not read, and so not complete, also for a later root. */
static void test_bounds(void **state)
{
	struct unit_store s;
	struct graph *g;
	struct graph_sum sum;
	(void)state;
	unit_store_open(&s);
	struct descriptor d = unit_store_document(&s, "", NULL, NULL, 0);
	for (size_t i = 0; i < MANIFEST_NESTING_MAX + 1; i++)
		d = unit_store_document(&s, "", NULL, &d, 1);
	assert_int_equal(graph_new(s.layout, &g), 0);
	assert_int_equal(graph_add(g, &d), 0);
	graph_sum(g, &d, "", &sum);
	assert_true(sum.incomplete);
	graph_free(g);
	unit_store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shared_content),
	    cmocka_unit_test(test_incomplete),
	    cmocka_unit_test(test_long_chain),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests_name("sluice graph", tests, NULL, NULL);
}
