/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/graph.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Store */
#include "common/store/walk.h"

struct graph_edge {
	struct graph_node *to;
	uint64_t size; /* as described, or SIZE_UNKNOWN */
	bool is_document;
};

struct graph {
	struct layout *layout;
	struct walk *walk;
	void *nodes; /* tsearch(3) by digest: hostile digests cannot make it slow */
	size_t len, rounds;
};

static int compare(const void *a, const void *b)
{
	return digest_compare(&((const struct graph_node *)a)->digest, &((const struct graph_node *)b)->digest);
}

static void node_free(void *node)
{
	free(((struct graph_node *)node)->edges);
	free(node);
}

static struct graph_node *find(const struct graph *g, const struct digest *d)
{
	const struct graph_node key = {.digest = *d};
	void *found = tfind(&key, &g->nodes, compare);

	return found ? *(struct graph_node **)found : NULL;
}

/* The node of a digest, created if there is none. NULL: out of memory. */
static struct graph_node *take(struct graph *g, const struct digest *d)
{
	struct graph_node *n = find(g, d);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->digest = *d;
	n->number = g->len;
	if (layout_blob_size(g->layout, d, &n->size) < 0)
		n->size = SIZE_UNKNOWN;
	if (!tsearch(n, &g->nodes, compare)) {
		free(n);
		return NULL;
	}
	g->len++;
	return n;
}

static int on_visit(void *self, const struct walk_node *node, struct reason *why)
{
	(void)why;
	return take(self, &node->descriptor->digest) ? 0 : -ENOMEM;
}

static int on_enter(void *self, const struct walk_node *node, const struct manifest *m, struct reason *why)
{
	struct graph *g = self;
	struct graph_node *n = take(g, &node->descriptor->digest);
	struct graph_edge *edges = calloc(m->entries_len + 1, sizeof(*edges));

	(void)why;
	for (size_t i = 0; n && edges && i < m->entries_len; i++) {
		edges[i] = (struct graph_edge){
		    .to = take(g, &m->entries[i].digest),
		    .size = m->entries[i].size,
		    .is_document = walk_is_document(m, &m->entries[i]),
		};
		if (!edges[i].to)
			n = NULL;
	}
	if (!n || !edges) {
		free(edges);
		return -ENOMEM;
	}
	assert(!n->edges);
	n->edges = edges;
	n->edges_len = m->entries_len;
	n->is_read = true;
	n->kind = image_kind_of(m);
	return 0;
}

int graph_new(struct layout *l, struct graph **ret_graph)
{
	struct graph *g = calloc(1, sizeof(*g));
	/* The node of a document that cannot be entered is not read, which tells; two descriptions are two edges. */
	const struct walk_hooks hooks = {.visit = on_visit, .enter = on_enter, .fault = walk_pass_over, .self = g};

	if (!g || walk_new(l, &hooks, &g->walk) < 0) {
		free(g);
		return -ENOMEM;
	}
	g->layout = l;
	*ret_graph = g;
	return 0;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	walk_free(g->walk);
	tdestroy(g->nodes, node_free);
	free(g);
}

int graph_add(struct graph *g, const struct descriptor *root)
{
	struct descriptor d = *root;
	int r = walk_from(g->walk, &d, NULL);

	return r == -E2BIG ? 0 : r; /* what was not read remains so */
}

size_t graph_len(const struct graph *g)
{
	return g->len;
}

const struct graph_node *graph_find(const struct graph *g, const struct digest *d)
{
	return find(g, d);
}

/* Follows an edge: each node once in a round. */
static void meet(const struct graph *g, struct graph_node *to, struct graph_node **stack)
{
	if (to->seen == g->rounds)
		return;
	to->seen = g->rounds;
	to->next = *stack;
	*stack = to;
}

static struct graph_node *next(const struct graph *g, struct graph_node **stack)
{
	struct graph_node *n = *stack;

	if (!n)
		return NULL;
	*stack = n->next;
	for (size_t i = 0; i < n->edges_len; i++)
		meet(g, n->edges[i].to, stack);
	return n;
}

/* With a list of its own, not by recursion: indexes that name each other's indexes are a chain of any length. */
static struct graph_node *begin(struct graph *g, const struct digest *root)
{
	struct graph_node *stack = NULL, *n = find(g, root);

	g->rounds++;
	if (n)
		meet(g, n, &stack);
	return stack;
}

void graph_each(struct graph *g, const struct descriptor *root, graph_visit *visit, void *self)
{
	struct graph_node *stack = begin(g, &root->digest), *n;

	while ((n = next(g, &stack)))
		visit(self, n);
}

struct parents {
	const struct graph_node *of;
	graph_visit *visit;
	void *self;
};

static void visit_if_parent(const void *item, VISIT order, void *closure)
{
	const struct graph_node *n = *(const struct graph_node *const *)item;
	const struct parents *p = closure;

	if (order != postorder && order != leaf)
		return;
	for (size_t i = 0; i < n->edges_len; i++) {
		if (n->edges[i].to == p->of) {
			p->visit(p->self, n);
			return;
		}
	}
}

void graph_each_parent(const struct graph *g, const struct graph_node *node, graph_visit *visit, void *self)
{
	struct parents p = {node, visit, self};

	twalk_r(g->nodes, visit_if_parent, &p);
}

/* Whether the end of an edge is stored as described. */
static bool is_well(const struct graph_edge *e, const char *left_out)
{
	if (e->to->size == SIZE_UNKNOWN)
		return names_lists(left_out, &e->to->digest);
	return (e->size == SIZE_UNKNOWN || e->size == e->to->size) && (!e->is_document || e->to->is_read);
}

void graph_sum(struct graph *g, const struct descriptor *root, const char *left_out, struct graph_sum *ret_sum)
{
	struct graph_node *stack = begin(g, &root->digest), *n;
	const struct graph_edge top = {.to = stack, .size = root->size, .is_document = true};

	*ret_sum = (struct graph_sum){.incomplete = !stack || !is_well(&top, "")};
	while ((n = next(g, &stack))) {
		ret_sum->bytes += n->size == SIZE_UNKNOWN ? 0 : n->size;
		for (size_t i = 0; i < n->edges_len && !ret_sum->incomplete; i++)
			ret_sum->incomplete = !is_well(&n->edges[i], left_out);
	}
}
